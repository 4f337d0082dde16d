// Keeps the page live: fetches the part that changes and updates only the nodes that differ, so that open groups,
// focus, scroll positions and selected text stay.
"use strict";

const INTERVAL_MS = 1000;
const TIMEOUT_MS = 4000; // a request that takes longer counts as failed
const AGE_INTERVAL_MS = 250;
const GONE_AFTER_MS = 3000; // one lost request is normal

const live = document.getElementById("live");
const gone = document.getElementById("gone");
let etag = null;
let lastAnswer = performance.now();
let lastChange = performance.now();

// What identifies an element among its siblings, wherever it stands: a group that appears before another moves nothing.
function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset.key || "" : "";
}

function copyAttributes(from, to) {
  const readersOwn = (name) => to.nodeName === "DETAILS" && name === "open";
  for (const { name, value } of from.attributes) {
    if (to.getAttribute(name) !== value && !readersOwn(name)) to.setAttribute(name, value);
  }
  for (const { name } of [...to.attributes]) {
    if (!from.hasAttribute(name) && !readersOwn(name)) to.removeAttribute(name);
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
  const keys = new Set([...from.children].map(keyOf));
  for (const child of [...to.children]) {
    if (keyOf(child) && !keys.has(keyOf(child))) child.remove();
  }
  const keyed = new Map([...to.children].filter(keyOf).map((child) => [keyOf(child), child]));
  let old = to.firstChild;
  for (const node of from.childNodes) {
    const key = keyOf(node);
    const fits = old && !keyOf(old) && old.nodeName === node.nodeName;
    const match = key ? keyed.get(key) : fits ? old : null;
    if (!match || match.nodeName !== node.nodeName) {
      to.insertBefore(document.importNode(node, true), old);
    } else {
      // A node that is moved loses the focus, so what stood before it goes instead.
      while (key && old && old !== match && !keyOf(old)) old = removed(old);
      if (match === old) old = old.nextSibling;
      else to.insertBefore(match, old);
      morph(match, node);
    }
  }
  while (old) old = removed(old);
}

function removed(node) {
  const next = node.nextSibling;
  node.remove();
  return next;
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

// Runs by its own clock, so that a request without an answer does not keep "Live" on the page.
function showAge() {
  const isGone = performance.now() - lastAnswer > GONE_AFTER_MS;
  document.body.classList.toggle("is-gone", isGone);
  gone.hidden = !isGone;
  if (isGone) gone.textContent = "The status API does not answer: the figures below are old. Trying again each second.";
  const age = document.getElementById("age");
  if (!age) return;
  const seconds = Number(age.dataset.age) + (performance.now() - lastChange) / 1000;
  age.textContent = Math.round(seconds);
  const line = document.getElementById("statusline");
  if (seconds > Number(line.dataset.lateAfter) && line.classList.contains("live")) {
    line.classList.replace("live", "late");
    document.getElementById("liveness").textContent = "Waiting";
  }
}

async function turn() {
  if (!document.hidden) {
    try {
      await refresh();
    } catch {
      // showAge shows the banner if the failure lasts.
    }
  }
  setTimeout(turn, INTERVAL_MS);
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) lastAnswer = performance.now();
});
setInterval(showAge, AGE_INTERVAL_MS);
turn();
