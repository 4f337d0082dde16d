// Keeps the page live: fetches the part that changes and updates only the nodes that differ, so that open groups,
// focus, scroll positions and selected text stay.
"use strict";

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 4000; // a request that takes longer counts as failed
const GONE_AFTER_MS = 3000; // one lost request is normal

const live = document.getElementById("live");
const gone = document.getElementById("gone");
let etag = null;
let lastAnswer = performance.now();
let lastChange = performance.now();

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName && (a.id || "") === (b.id || "");
}

function copyAttributes(from, to) {
  for (const { name, value } of from.attributes) {
    if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  }
  for (const { name } of [...to.attributes]) {
    const readersOwn = to.nodeName === "DETAILS" && name === "open";
    if (!from.hasAttribute(name) && !readersOwn) to.removeAttribute(name);
  }
}

function morph(to, from) {
  if (from.nodeType !== Node.ELEMENT_NODE) {
    if (to.nodeValue !== from.nodeValue) to.nodeValue = from.nodeValue;
    return;
  }
  copyAttributes(from, to);
  morphChildren(to, from);
}

function morphChildren(to, from) {
  const newNodes = [...from.childNodes];
  const oldNodes = [...to.childNodes];
  newNodes.forEach((node, i) => {
    const old = oldNodes[i];
    if (!old) to.append(document.importNode(node, true));
    else if (sameKind(old, node)) morph(old, node);
    else old.replaceWith(document.importNode(node, true));
  });
  oldNodes.slice(newNodes.length).forEach((node) => node.remove());
}

async function refresh() {
  const headers = etag ? { "If-None-Match": etag } : {};
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(live.dataset.live, options);
  if (response.status !== 304) {
    if (!response.ok) throw new Error(`status ${response.status}`);
    const parsed = new DOMParser().parseFromString(await response.text(), "text/html");
    morphChildren(live, parsed.body);
    etag = response.headers.get("ETag");
    lastChange = performance.now();
  }
  lastAnswer = performance.now();
}

function showAge() {
  const silent = performance.now() - lastAnswer;
  const isGone = silent > GONE_AFTER_MS;
  document.body.classList.toggle("is-gone", isGone);
  gone.hidden = !isGone;
  if (isGone) gone.textContent = "The status API does not answer: the figures below are old. Trying again each second.";
  const age = document.getElementById("age");
  if (age) age.textContent = Math.round(Number(age.dataset.age) + (performance.now() - lastChange) / 1000);
}

async function turn() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      // showAge shows the banner if the failure lasts.
    }
    showAge();
  }
  setTimeout(turn, INTERVAL_MS);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) lastAnswer = performance.now();
});
turn();
