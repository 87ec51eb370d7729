"use strict";
// Asks for the same page again and shows what is new in it, until the page says that it is final.
// Where it marks parts as live, these alone: what somebody is entering elsewhere stays.
function show(main, wanted) {
  const live = main.querySelectorAll("[data-live]");
  for (const part of live.length ? live : [main]) {
    const fresh = part === main ? wanted : wanted.querySelector("#" + part.id);
    if (!fresh) continue;
    // Scripts change what is in a part that states its version: it is compared by that, and replaced.
    if (!part.dataset.version) follow(part, fresh);
    else if (part.dataset.version !== fresh.dataset.version) part.replaceWith(document.adoptNode(fresh));
  }
  if (wanted.dataset.refreshS) main.dataset.refreshS = wanted.dataset.refreshS;
  else delete main.dataset.refreshS;
  document.dispatchEvent(new CustomEvent("cadnode:refreshed"));
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
  const wanted = [...fresh.childNodes], staying = new Set(wanted.map(keyOf));
  for (const node of [...shown.childNodes]) {
    if (keyOf(node) && !staying.has(keyOf(node))) node.remove();
  }
  let at = shown.firstChild;
  for (const node of wanted) {
    let own = counterpart(at, node);
    if (own && own !== at) {  // it moved; what it passed stays where it is
      if (nextRow(at) === own) shown.appendChild(at);  // or the one before it moved back
      else shown.insertBefore(own, at);
    } else if (!own) {
      own = shown.insertBefore(document.adoptNode(node), at);
      at = own.nextSibling;
      continue;
    }
    follow(own, node);
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
function nextRow(at) {
  let node = at && at.nextSibling;
  while (node && node.nodeType !== Node.ELEMENT_NODE) node = node.nextSibling;
  return node;
}
// What is shown of it already: of a row its key says which, else what stands here, if it is like it.
function counterpart(at, wanted) {
  const key = keyOf(wanted);
  if (!key) return at && at.nodeName === wanted.nodeName && !keyOf(at) ? at : null;
  for (let node = at; node; node = node.nextSibling) {
    if (keyOf(node) === key && node.nodeName === wanted.nodeName) return node;
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
    if (wanted && !main.querySelector("[data-busy]")) {
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
