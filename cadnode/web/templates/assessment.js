"use strict";
// The table of assessments: a row that is chosen is shown in the image, a verdict is sent without
// leaving the page, and a slider says what another operating point would change.
(() => {
  const percent = share => Math.round(100 * share);
  const words = (share, low, high) => t("%(share)s %% (%(low)s to %(high)s %%)",
    {share: percent(share), low: percent(low), high: percent(high)});

  function goTo(row) {
    const [y0, x0, y1, x1] = row.dataset.box.split(" ").map(Number);
    for (const other of document.querySelectorAll("#assessment tr.on")) other.classList.remove("on");
    row.classList.add("on");
    const detail = { view: row.dataset.view, x0, y0, x1, y1 };
    document.dispatchEvent(new CustomEvent("cadnode:go-to", { detail }));
  }

  async function send(form, submitter) {
    const body = new URLSearchParams(new FormData(form));
    body.set(submitter.name, submitter.value);
    const n = submitter.closest("tr").dataset.n;
    try {
      const answer = await fetch(form.action, { method: "POST", body, headers: { Accept: "text/html" } });
      if (answer.status === 401 || answer.status === 403) return location.reload();
      const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
      const wanted = fresh.querySelector("#assessment");
      if (!wanted || !answer.ok) return form.submit();
      document.querySelector("#assessment").replaceWith(document.adoptNode(wanted));
      document.querySelector(`#assessment tr[data-n="${n}"] button[value="${submitter.value}"], #assessment tr[data-n="${n}"] .pick`).focus();
    } catch {
      submitter.disabled = false;
      document.body.classList.add("stale");  // the node is away: nothing was kept
    }
  }

  // Nothing in the page is changed before somebody moves a slider: what refreshes it compares it.
  function moved(article) {
    const curve = JSON.parse(article.dataset.curve), slider = article.querySelector("input");
    const [threshold, sens, sensLow, sensHigh, spec, specLow, specHigh] = curve.steps[slider.value];
    const isSet = slider.value === slider.defaultValue;
    const at = isSet ? curve.threshold : threshold;
    article.toggleAttribute("data-busy", !isSet);
    article.querySelector(".threshold").textContent = decimal(at, 3);
    article.querySelector(".is-set").hidden = !isSet;
    article.querySelector(".changed").hidden = isSet;
    article.querySelector(".sensitivity").textContent = words(sens, sensLow, sensHigh);
    article.querySelector(".specificity").textContent = words(spec, specLow, specHigh);
    slider.setAttribute("aria-valuetext", t("%(threshold)s, sensitivity %(sensitivity)s %%, specificity %(specificity)s %%",
      {threshold: decimal(at, 3), sensitivity: percent(sens), specificity: percent(spec)}));
    for (const badge of article.querySelectorAll(".would")) badge.classList.toggle("hot", Number(badge.dataset.score) >= at);
    const recalled = article.querySelector(".recalled");
    if (recalled) recalled.textContent = curve.recent.filter(score => score >= at).length;
    // Findings that it would not call; where nothing was moved none is marked.
    const below = isSet || curve.of_breasts ? [] : curve.scores.filter(([, score]) => score < at).map(([id]) => id);
    const detail = { system: curve.system, model: curve.model, patient: article.dataset.patient, threshold: at, below };
    document.dispatchEvent(new CustomEvent("cadnode:operating-point", { detail }));
  }

  document.addEventListener("click", event => {
    const row = event.target.closest("#assessment tr.finding");
    if (row && !event.target.closest("form")) goTo(row);
    const article = event.target.closest(".reset")?.closest("article.point");
    if (article) {
      const slider = article.querySelector("input");
      slider.value = slider.defaultValue;
      moved(article);
      slider.focus();
    }
  });
  document.addEventListener("submit", event => {
    if (!event.target.matches("form.verdict") || !event.submitter) return;
    event.preventDefault();
    send(event.target, event.submitter);
  });
  document.addEventListener("input", event => {
    const article = event.target.closest("article.point");
    if (article) moved(article);
  });
})();
