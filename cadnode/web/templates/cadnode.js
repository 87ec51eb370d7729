"use strict";
// Asks for the same page again and shows what is new in it, until the page says that it is final.
async function refresh() {
  const main = document.querySelector("main");
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" }, redirect: "error" });
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    const wanted = fresh.querySelector("main");
    if (wanted && wanted.outerHTML !== main.outerHTML) {
      document.title = fresh.title;
      main.replaceWith(document.adoptNode(wanted));
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
plan();
