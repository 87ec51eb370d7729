"use strict";
// Asks for the same page again and shows what is new in it, until the page says that it is final.
// Where it marks parts as live, these alone: what somebody is entering elsewhere stays.
function show(main, wanted) {
  const live = main.querySelectorAll("[data-live]");
  for (const part of live.length ? live : [main]) {
    const fresh = part === main ? wanted : wanted.querySelector("#" + part.id);
    if (fresh && fresh.outerHTML !== part.outerHTML) part.replaceWith(document.adoptNode(fresh));
  }
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
    if (wanted && !main.querySelector("details[open], [data-busy]")) {
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
