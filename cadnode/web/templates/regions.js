"use strict";
// Regions that a reader asks about: what is drawn in the viewer is sent, its answer is awaited and
// shown. All words are the page's own; the node renders the table.
(() => {
  const EVERY_MS = 400, LONGEST_MS = 4000, SHOWN_MS = 20000;
  let pause_ms = EVERY_MS, asked = "", timer = 0, shownFor = 0, hasViewer = false;
  const part = () => document.getElementById("regions");
  const rows = () => [...document.querySelectorAll("#regions-list tr[data-region]")];

  function say(text) {
    const status = document.getElementById("regions-status");
    if (status && status.textContent !== text) status.textContent = text;
    const beside = document.getElementById("room-asked");  // whoever draws looks there
    if (!beside) return;
    beside.textContent = text;
    beside.hidden = false;
    clearTimeout(shownFor);
    shownFor = setTimeout(() => { beside.hidden = true; }, SHOWN_MS);
  }

  function outlines(view) {
    return rows().filter(row => row.dataset.view === view).map(row => ({
      id: row.dataset.region, label: row.dataset.label, kind: "asked",
      points: JSON.parse(row.dataset.points),
    }));
  }

  function tell(name, detail) {
    document.dispatchEvent(new CustomEvent(name, { detail }));
  }

  function draw() {
    for (const view of new Set(rows().map(row => row.dataset.view)))
      tell("cadnode:show-outlines", { view, outlines: outlines(view) });
    unhide();
  }

  function unhide() {
    for (const button of document.querySelectorAll("#regions-list [data-show]"))
      button.hidden = !hasViewer;
  }

  async function renew() {
    timer = 0;
    const here = part();
    if (!here) return;
    try {
      const headers = { Accept: "text/html", "X-Cadnode-Refresh": "1" };
      const answer = await fetch(here.dataset.part, { headers, redirect: "manual" });
      if (answer.type === "opaqueredirect" || answer.status === 401) return location.reload();
      if (!answer.ok) throw new Error(answer.status);
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const list = fresh.getElementById("regions-list"), old = document.getElementById("regions-list");
      if (list && old && list.outerHTML !== old.outerHTML) {
        const focused = document.activeElement?.closest("tr[data-region]")?.dataset.region;
        old.replaceWith(document.adoptNode(list));
        draw();
        if (focused) document.querySelector(`tr[data-region="${focused}"] [data-show]`)?.focus();
      }
    } catch {
      say(here.dataset.away);
    }
    const row = rows().find(one => one.dataset.region === asked);
    if (row && row.dataset.state !== "waiting") {
      say(row.dataset.state === "assessed" ? row.dataset.answer : here.dataset[row.dataset.state]);
      asked = "";
    }
    plan();
  }

  function plan() {
    if (timer || !(asked || rows().some(row => row.dataset.state === "waiting"))) return;
    timer = setTimeout(renew, pause_ms);
    pause_ms = Math.min(LONGEST_MS, pause_ms * 1.15);
  }

  async function ask(body) {
    const here = part();
    if (!here) return;
    say(here.dataset.sending);
    try {
      const answer = await fetch(here.dataset.ask, {
        method: "POST", body: JSON.stringify(body),
        headers: { "Content-Type": "application/json", "X-CSRF-Token": here.dataset.csrf },
      });
      const found = await answer.json();
      if (!answer.ok) return say(`${t(found.error)}: ${t(found.hint)}`);
      asked = found.id;
      pause_ms = EVERY_MS;
      say(found.worker === "stopped" ? here.dataset.stopped : here.dataset.waiting);
      clearTimeout(timer);
      await renew();
    } catch {
      say(here.dataset.away);
    }
  }

  function whole({ view, x0, y0, x1, y1 }) {
    return { view, box: [x0, y0, x1, y1].map(Math.round) };
  }

  document.addEventListener("cadnode:region-drawn", event => {
    const { view, points } = event.detail;
    ask(points ? { view, outline: points } : whole(event.detail));
  });

  document.addEventListener("cadnode:view-shown", event => {
    hasViewer = true;
    unhide();
    const view = event.detail.view, choice = document.querySelector(".region-form [name=view]");
    if (choice && [...choice.options].some(option => option.value === view)) choice.value = view;
    tell("cadnode:show-outlines", { view, outlines: outlines(view) });
  });

  document.addEventListener("submit", event => {
    const form = event.target.closest(".region-form");
    if (!form) return;
    event.preventDefault();
    const at = name => Number(form.elements[name].value);
    ask(whole({ view: form.elements.view.value, x0: at("x0"), y0: at("y0"), x1: at("x1"), y1: at("y1") }));
  });

  document.addEventListener("click", event => {
    const row = event.target.closest("#regions-list [data-show]")?.closest("tr");
    if (!row) return;
    const points = JSON.parse(row.dataset.points), view = row.dataset.view;
    const xs = points.map(point => point[0]), ys = points.map(point => point[1]);
    tell("cadnode:go-to", {
      view, x0: Math.min(...xs), y0: Math.min(...ys), x1: Math.max(...xs), y1: Math.max(...ys),
    });
    tell("cadnode:show-outlines", { view, outlines: outlines(view) });
  });

  if (part()) {
    draw();
    plan();
  }
})();
