"use strict";
// Asks for the same page again and shows what is new in it, until the page says that it is final.
// Where it marks parts as live, these alone: what somebody is entering elsewhere stays.
function show(main, wanted) {
  const live = main.querySelectorAll("[data-live]");
  for (const part of live.length ? live : [main]) {
    const fresh = part === main ? wanted : wanted.querySelector("#" + part.id);
    if (fresh) follow(part, fresh);
  }
}
// Changes what differs and touches nothing else: focus, scroll, a selection, what is ticked, typed
// or unfolded stay as they are.
const PEOPLES = new Set(["open", "checked", "value", "selected"]);  // attributes that a person sets
function follow(shown, fresh) {
  if (shown.nodeType !== Node.ELEMENT_NODE) {
    if (shown.nodeValue !== fresh.nodeValue) shown.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (shown.getAttribute(name) !== value && !kept(shown, name)) shown.setAttribute(name, value);
  }
  for (const { name } of [...shown.attributes]) {
    if (!fresh.hasAttribute(name) && !kept(shown, name)) shown.removeAttribute(name);
  }
  followChildren(shown, fresh);
}
function kept(shown, name) {
  return PEOPLES.has(name) && shown.matches("details, input:not([type=hidden]), option");
}
function followChildren(shown, fresh) {
  let at = shown.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    const own = counterpart(shown, at, wanted);
    if (!own) {
      shown.insertBefore(document.adoptNode(wanted), at);
      continue;
    }
    // A row that moved past others: those before it go behind it, and the row itself is not moved.
    while (at !== own) {
      const next = at.nextSibling;
      shown.appendChild(at);
      at = next;
    }
    follow(own, wanted);
    at = own.nextSibling;
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}
function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.dataset.key || node.id : "";
}
// What is shown of it already: of a row its key says which, of other nodes the next of its kind.
function counterpart(shown, at, wanted) {
  const key = keyOf(wanted);
  for (let node = at; node; node = node.nextSibling) {
    if (key ? keyOf(node) === key : node.nodeName === wanted.nodeName && !keyOf(node)) return node;
    if (!key) return null;
  }
  return null;
}
async function refresh() {
  const main = document.querySelector("main");
  try {
    const headers = { Accept: "text/html", "X-Cadnode-Refresh": "1" };  // nobody is at work by this
    const answer = await fetch(location.href, { headers, redirect: "manual" });
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
      location.reload();  // the session has ended: the page's place is the log-in's
      return;
    }
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const wanted = fresh.querySelector("main");
    if (wanted) {
      document.title = fresh.title;
      show(main, wanted);
    }
    document.body.classList.remove("stale");
  } catch {
    document.body.classList.add("stale");  // the node is away: what is shown may be old
  }
  plan();
}
function plan() {
  const seconds = Number(document.querySelector("main").dataset.refreshS);
  if (seconds) setTimeout(refresh, 1000 * seconds);
}
// A page that the browser kept for its back button may show what its reader may not see any more.
addEventListener("pageshow", event => { if (event.persisted) location.reload(); });
plan();
