// Keeps the page live: the server tells of each snapshot, and the page fetches the part that changes. It updates only the
// nodes that differ, so that open groups, focus, scroll positions and selected text stay.
"use strict";

const SILENCE_MS = 2500; // without an event for so long, the page asks by itself
const RETRY_MS = 1000;
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

// What a script has made in a node that is its own stays.
const isOwn = (node) => node.nodeType === Node.ELEMENT_NODE && node.dataset.own !== undefined;

function morph(to, from) {
  if (isOwn(to)) return;
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

let refreshing = false;
let again = false;

// One request at a time: an event that comes meanwhile asks for another one.
async function refresh() {
  again = refreshing;
  if (refreshing || document.hidden) return;
  refreshing = true;
  try {
    await fetchChanges();
    document.dispatchEvent(new Event("newsroom:refreshed"));
  } catch {
    // showAge shows the banner if the failure lasts.
  } finally {
    refreshing = false;
  }
  if (again) refresh();
}

async function fetchChanges() {
  const headers = etag ? { "If-None-Match": etag } : {};
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) };
  const response = await fetch(live.dataset.live, options);
  if (response.status === 401) location.reload(); // the service has another token now, and asks for it
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

let source = null;
let lastEvent = performance.now();
let retryAt = 0;

function onEvent() {
  lastEvent = performance.now();
  refresh();
}

function connect() {
  source = new EventSource("/api/v1/events");
  for (const name of ["snapshot", "rebalance", "gap"]) source.addEventListener(name, onEvent);
}

function disconnect() {
  source?.close();
  source = null;
}

// The browser connects again by itself after a restart of the server, but not after an error that the server answers.
function look() {
  const time = performance.now();
  if (document.hidden) return;
  if ((!source || source.readyState === EventSource.CLOSED) && time >= retryAt) {
    retryAt = time + RETRY_MS * 5;
    connect();
  }
  if (time - lastEvent > SILENCE_MS) refresh();
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) {
    disconnect();
    return;
  }
  lastAnswer = lastEvent = performance.now();
  retryAt = 0;
  look();
  refresh();
});

// Without an answer, or with one that is not JSON, the reason is the same for the reader: the service does not answer.
async function fetchRecords(path) {
  try {
    const response = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS * 3) });
    const body = await response.json();
    return response.ok ? body : { failure: body.detail };
  } catch {
    return { failure: "The status API does not answer: press the button to try again." };
  }
}

async function showRecords(button) {
  const table = document.getElementById("record-table");
  button.disabled = true;
  const { records: rows = [], complete, failure } = await fetchRecords(button.dataset.records);
  button.disabled = false;
  const late = complete === false ? "Not all partitions answered within two seconds: records may be missing." : "";
  document.getElementById("record-failure").textContent = failure ?? late;
  const text = (value) => (value === null || value === undefined ? "–" : typeof value === "string" ? value : JSON.stringify(value));
  table.tBodies[0].replaceChildren(
    ...rows.map((record) => {
      const row = document.createElement("tr");
      for (const name of ["partition", "offset", "key", "value"]) row.insertCell().textContent = text(record[name]);
      return row;
    }),
  );
  table.hidden = rows.length === 0;
  button.textContent = "Show the last records again";
}

document.addEventListener("click", (event) => {
  if (event.target.id === "show-records") showRecords(event.target);
});
document.addEventListener("change", (event) => {
  if (event.target.id === "telling") localStorage.setItem("telling", event.target.checked ? "yes" : "");
});
const telling = document.getElementById("telling");
if (telling) telling.checked = localStorage.getItem("telling") === "yes";

setInterval(showAge, AGE_INTERVAL_MS);
setInterval(look, RETRY_MS);
look();
refresh();
