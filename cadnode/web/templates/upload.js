"use strict";
// Sends what was dropped or chosen, a file a request and two at a time, and shows what became of it.
const form = document.querySelector("#upload");
const at = id => document.getElementById(id);
const AT_ONCE = 2;
const TRIES = 3;
let waiting = [], running = 0, sent = 0, all = 0, listed = 0, stopped = false;
const counts = { new: 0, here: 0, left: 0 };
const studies = new Set();
const reasons = new Map();

async function* filesIn(entry, path) {
  if (entry.isFile) {
    const file = await new Promise((found, failed) => entry.file(found, failed));
    yield [path + entry.name, file];
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const some = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!some.length) return;
    for (const one of some) yield* filesIn(one, path + entry.name + "/");
  }
}
async function dropped(items) {
  const entries = [...items].map(item => item.webkitGetAsEntry()).filter(entry => entry);
  for (const entry of entries)
    for await (const [name, file] of filesIn(entry, "")) add(name, file);
}
function add(name, file) {
  if (stopped && !running) reset();
  waiting.push([name, file]);
  all += 1;
  at("progress").hidden = false;
  at("stop").hidden = false;
  next();
}
function reset() {
  waiting = []; sent = all = listed = 0; stopped = false;
  counts.new = counts.here = counts.left = 0;
  reasons.clear();
}
function next() {
  while (!stopped && running < AT_ONCE && waiting.length) {
    running += 1;
    send(...waiting.shift()).finally(() => { running -= 1; sent += 1; show(); next(); });
  }
  show();
}
async function send(name, file, tried = 1) {
  const headers = {
    "Content-Type": "application/octet-stream",
    "X-File-Name": encodeURIComponent(name.slice(-200)),
    "X-CSRF-Token": form.dataset.csrf,
  };
  let answer;
  try {
    answer = await fetch("/api/upload", { method: "POST", headers, body: file });
  } catch {
    return again(name, file, tried, t("the node did not answer, or the file cannot be read"));
  }
  if (answer.status === 401 || answer.status === 403) {
    stopped = true;
    return leave(name, t("the session has ended: log in and send the rest again"));
  }
  let found = {};
  try { found = await answer.json(); } catch { found = { error: t("the node's answer cannot be used") }; }
  if (answer.status === 503 || answer.status === 408) return again(name, file, tried, t(found.error));
  if (found.error) return leave(name, t(found.error));
  counts.new += found.new;
  counts.here += found.already_here;
  listed += found.listed;
  for (const key of found.studies) studies.add(key);
  for (const one of found.left_out) leave(one.name, t(one.meaning));
}
async function again(name, file, tried, why) {
  if (tried >= TRIES || stopped) return leave(name, why);
  await new Promise(done => setTimeout(done, 1000 * tried));
  return send(name, file, tried + 1);
}
function leave(name, why) {
  counts.left += 1;
  if (!reasons.has(why)) reasons.set(why, []);
  reasons.get(why).push(name);
}
function element(kind, text) {
  const made = document.createElement(kind);
  made.textContent = text;
  return made;
}
function show() {
  const isDone = !running && (stopped || !waiting.length);
  at("now").textContent = stopped ? tn("Stopped: %(sent)s of %(n)s file was sent.", "Stopped: %(sent)s of %(n)s files were sent.", {sent, n: all})
    : isDone ? tn("%(n)s file was sent, which is all.", "All %(n)s files were sent.", {n: all})
    : tn("%(sent)s of %(n)s file was sent.", "%(sent)s of %(n)s files were sent.", {sent, n: all});
  at("bar").max = all || 1;
  at("bar").value = sent;
  at("stop").hidden = isDone;
  for (const id of Object.keys(counts)) at(id).textContent = counts[id];
  const taken = counts.new + counts.here;
  at("index").hidden = !(isDone && listed > taken);
  at("index").textContent = tn("The DICOMDIR lists %(n)s file, and %(taken)s were taken: are all of the CD's files here?",
    "The DICOMDIR lists %(n)s files, and %(taken)s were taken: are all of the CD's files here?", {n: listed, taken});
  at("studies-title").hidden = !studies.size;
  at("studies").replaceChildren(...[...studies].map(key => {
    const line = document.createElement("li"), link = element("a", t("Study %(key)s", {key}));
    link.href = `/studies/${key}`;
    line.append(link);
    return line;
  }));
  at("reasons-title").hidden = !reasons.size;
  at("reasons").replaceChildren(...[...reasons].map(([why, names]) => {
    const part = document.createElement("details");
    part.append(element("summary", `${names.length} × ${why}`));
    const list = document.createElement("ul");
    list.append(...names.slice(0, 200).map(name => element("li", name)));
    part.append(list);
    return part;
  }));
}
if (form) {
  for (const kind of ["dragenter", "dragover"]) addEventListener(kind, event => {
    event.preventDefault();
    form.classList.add("over");
  });
  addEventListener("dragleave", event => { if (!event.relatedTarget) form.classList.remove("over"); });
  addEventListener("drop", event => {
    event.preventDefault();
    form.classList.remove("over");
    dropped(event.dataTransfer.items);
  });
  for (const id of ["folder", "files"]) at(id).addEventListener("change", event => {
    for (const file of event.target.files) add(file.webkitRelativePath || file.name, file);
    event.target.value = "";
  });
  at("stop").addEventListener("click", () => { stopped = true; show(); });
  addEventListener("beforeunload", event => { if (running) event.preventDefault(); });
}
