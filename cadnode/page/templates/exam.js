const $ = id => document.getElementById(id), all = query => [...document.querySelectorAll(query)];
const body = document.body, count = all("tr.finding").length;
let picked = 0, map = "";

const show = () => {
  body.classList.toggle("no-map", !$("map").checked);
  body.classList.toggle("no-marks", !$("marks").checked);
};
const choose = name => {
  map = name;
  all(".crop").forEach(crop => {
    const inputs = [...crop.querySelectorAll("input")];
    const input = inputs.find(i => i.value === name) || inputs[0];
    if (!input) return;
    input.checked = true;
    crop.querySelectorAll("img.map").forEach(i => i.classList.toggle("on", i.dataset.map === input.value));
  });
};
const pick = n => {
  picked = n;
  all("[data-n]").forEach(e => e.classList.toggle("on", +e.dataset.n === n));
  all(".pick").forEach(e => e.setAttribute("aria-pressed", +e.textContent === n));
};
const step = by => {
  pick((picked - 1 + by + count) % count + 1);
  const row = document.querySelector(`tr.finding[data-n="${picked}"]`);
  if (row) { row.querySelector(".pick").focus({preventScroll: true}); row.scrollIntoView({block: "nearest"}); }
};
const next = () => {
  const inputs = all(".crop.on input"), at = inputs.findIndex(i => i.checked);
  if (inputs.length) choose(inputs[(at + 1) % inputs.length].value);
};
const toggle = id => { $(id).checked = !$(id).checked; show(); };

$("map").onchange = $("marks").onchange = show;
$("opacity").oninput = e => body.style.setProperty("--map-opacity", e.target.value / 100);
all("g.mark[data-n]").forEach(e => { e.onclick = () => pick(+e.dataset.n); });
all("tr.finding").forEach(e => {
  e.onclick = () => { pick(+e.dataset.n); document.querySelector(".crop.on")?.scrollIntoView({block: "nearest"}); };
});
all(".crop input").forEach(e => { e.onchange = () => choose(e.value); });
document.onkeydown = e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  const typing = e.target.matches("input[type=range], input[type=radio]");
  const keys = {h: () => toggle("map"), o: () => toggle("marks"), m: next};
  if (count && !typing) Object.assign(keys, {arrowdown: () => step(1), arrowup: () => step(-1)});
  const act = keys[e.key.toLowerCase()];
  const near = e.target.closest(".findings") || !e.key.startsWith("Arrow");
  if (act && near) { act(); e.preventDefault(); }
  else if (/^[1-9]$/.test(e.key) && +e.key <= count) pick(+e.key);
};
const asked = new URLSearchParams(location.hash.slice(1));
if (count) pick(Math.min(count, +asked.get("finding") || 1));
choose(asked.get("map") || "");
