"use strict";
// Prior exams beside a study. The list is the node's own page of it, put into this one's place for
// it. A prior is offered to the viewer by the event cadnode:show-prior {prior, views, label}; a viewer that
// shows it calls preventDefault, and otherwise its previews are shown below the list. {prior: null}
// takes it away. P shows the newest and hides it, and has it fetched where it is not here yet; it
// counts while the focus is in this list or among the study's images (WCAG 2.2, 2.1.4).
(() => {
  let wanted = null;  // the prior that is to be shown as soon as it is here
  let shown = null;
  let last = null;  // the list as it was fetched: a page that renews itself gets it again
  let timer = 0;
  let taken = null;  // what a viewer shows

  const place = () => document.querySelector("[data-priors]");

  function tell(prior, views, label) {
    const detail = { prior, views, label };
    const event = new CustomEvent("cadnode:show-prior", { detail, cancelable: true });
    const isTaken = !document.dispatchEvent(event);
    taken = isTaken && prior ? detail : null;
    return isTaken;
  }

  async function load(show) {
    const here = place();
    if (!here) return;
    const url = here.dataset.priors + (show ? "?show=" + encodeURIComponent(show) : "");
    const headers = { Accept: "text/html", "X-Cadnode-Refresh": "1" };
    try {
      const answer = await fetch(url, { headers, redirect: "manual" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const fresh = page.querySelector("#prior-exams");
      if (fresh) fill(document.adoptNode(fresh));
    } catch {
      // The node is away: the page says so by itself.
    }
  }

  function fill(fresh) {
    last = fresh;
    const old = place();
    const focused = old && old.contains(document.activeElement);
    if (old) old.replaceWith(fresh);
    if (focused) fresh.focus({ preventScroll: true });
    clearTimeout(timer);
    if ("moving" in fresh.dataset) timer = setTimeout(() => load(shown), 1500);
    if (wanted && fresh.querySelector(`[data-show="${wanted}"]`)) show(wanted);
  }

  async function show(prior) {
    wanted = null;
    shown = prior;
    let views = [], label = "";
    try {
      const url = `${place().dataset.priors}/${prior}/views`;
      const answer = await fetch(url, { headers: { Accept: "application/json" } });
      if (answer.ok) ({ views, label } = await answer.json());
    } catch {
      // Previews say what is missing.
    }
    const isTaken = views.length > 0 && tell(prior, views, label);
    await load(isTaken ? null : prior);
    if (isTaken) mark(prior);
  }

  // In the list: this one is shown, by the viewer.
  function mark(prior) {
    const link = place()?.querySelector(`[data-show="${prior}"]`);
    if (!link) return;
    link.removeAttribute("data-show");
    link.setAttribute("data-hide", "");
    link.textContent = link.dataset.hideWords;
    link.closest("li").classList.add("shown");
  }

  function hide() {
    shown = wanted = null;
    tell(null, [], "");
    load(null);
  }

  async function bring(form) {
    wanted = form.dataset.fetch;
    const body = new URLSearchParams(new FormData(form));
    try {
      await fetch(form.action, { method: "POST", body, headers: { Accept: "application/json" } });
    } catch {
      // The list that follows says where it is.
    }
    load(shown);
  }

  function newest() {
    if (shown) return hide();
    const first = place()?.querySelector(".exams li");
    if (!first) return load(null);
    const link = first.querySelector("[data-show]");
    const form = first.querySelector("form[data-fetch]");
    if (link) show(link.dataset.show);
    else if (form) bring(form);
  }

  document.addEventListener("click", event => {
    const link = event.target.closest?.("[data-priors] [data-show], [data-priors] [data-hide]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    if (link.dataset.show) show(link.dataset.show);
    else hide();
  });
  document.addEventListener("submit", event => {
    if (!event.target.matches?.("[data-priors] form[data-fetch]")) return;
    event.preventDefault();
    bring(event.target);
  });
  document.addEventListener("keydown", event => {
    if (event.key.toLowerCase() !== "p" || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!event.target.closest?.("[data-priors], #room")) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    event.preventDefault();
    newest();
  });
  // A study's page that renews itself puts an empty place here again: the list returns to it as it
  // was, with its pictures and what had the focus in it.
  let focused = null;
  document.addEventListener("focusin", event => {
    focused = event.target.closest("[data-priors]") ? event.target : null;
  });
  new MutationObserver(() => {
    const here = place();
    if (!here || "filled" in here.dataset || !last) return;
    const again = focused;
    here.replaceWith(last);
    if (again && last.contains(again)) again.focus({ preventScroll: true });
  }).observe(document.body, { childList: true, subtree: true });

  // Images that were renewed are shown with the prior that was beside them.
  document.addEventListener("cadnode:refreshed", () => {
    if (taken && !document.querySelector("#room .prior")) tell(taken.prior, taken.views, taken.label);
  });

  const here = place();
  if (here && "filled" in here.dataset) {
    shown = here.dataset.shown || null;
    last = here;
    if (document.activeElement === document.body) here.focus({ preventScroll: true });
    if ("moving" in here.dataset) timer = setTimeout(() => load(shown), 1500);
  } else {
    load(null);
  }
})();
