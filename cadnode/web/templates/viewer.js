// The reading room of a study: four views in hanging order, then one, then its stored pixels.
import {Cell} from "./viewer_cell.js";
import {Drawing, follow} from "./viewer_drawing.js";
import {keysOf} from "./viewer_keys.js";
import {Priors} from "./viewer_priors.js";
import {listenToTools} from "./viewer_tools.js";

const AT_ONCE = 4;

class Room {
  constructor(section) {
    this.section = section;
    this.hang = section.querySelector(".hang");
    this.cells = [...section.querySelectorAll(".cell[data-shown]")].map(one => new Cell(one));
    this.places = [...section.querySelectorAll(".cell")];
    this.page = 0;
    this.active = this.cells[0];
    this.mode = "pan";
    this.isLinked = false;
    this.drawing = new Drawing(this);
    this.priors = new Priors(this);
    for (const cell of this.cells) this.listen(cell);
    listenToTools(this);
    keysOf(this);
    this.showPage(0);
    section.classList.add("ready");
    section.querySelector(".tools").hidden = false;
    this.strengthen();
    if (document.activeElement === document.body) this.active.figure.focus({preventScroll: true});
  }

  get shown() {
    return this.cells.filter(cell => !cell.figure.hidden);
  }

  /** The cells that an order is for: all that are shown where they are linked, else the active. */
  get meant() {
    return this.isLinked ? this.shown : [this.active];
  }

  get pages() {
    return Math.ceil(this.places.length / AT_ONCE);
  }

  /** Scroll to the images, where most of them are out of sight. */
  reveal() {
    const {top, bottom} = this.section.getBoundingClientRect(), half = innerHeight / 2;
    if (top > half || bottom < half) this.section.scrollIntoView({block: "start"});
  }

  say(words) {
    this.section.querySelector("#room-says").textContent = words;
  }

  showPage(page) {
    const focused = document.activeElement.closest(".cell");
    this.page = (page + this.pages) % this.pages;
    const from = AT_ONCE * this.page;
    this.places.forEach((place, n) => { place.hidden = n < from || n >= from + AT_ONCE; });
    for (const cell of this.priors.cells) cell.figure.hidden = true;
    this.hang.classList.remove("single", "pair");
    this.press("one", false);
    this.press("four", true);
    if (this.active.figure.hidden) this.activate(this.shown[0]);
    if (focused?.hidden) this.focus();
    for (const cell of this.shown) cell.open().then(() => cell.fit(true));
    if (this.pages > 1) this.say(t("Views %(page)s of %(pages)s", {page: this.page + 1, pages: this.pages}));
  }

  activate(cell) {
    if (!cell) return;
    this.active = cell;
    for (const one of this.cells) one.figure.classList.toggle("active", one === cell);
    this.tellShown(cell);
  }

  /** The page's other parts have their outlines drawn when they hear of a view. */
  tellShown(cell) {
    document.dispatchEvent(new CustomEvent("cadnode:view-shown", {detail: {view: cell.view.view}}));
  }

  /** One view alone, or the four again. */
  single(cell = this.active) {
    this.page = Math.max(0, Math.floor(this.places.indexOf(cell.figure) / AT_ONCE));
    for (const one of this.hang.children) one.hidden = one !== cell.figure;
    this.hang.classList.remove("pair");
    this.hang.classList.add("single");
    this.press("one", true);
    this.press("four", false);
    this.activate(cell);
    this.focus();
    this.say(t("%(view)s alone", {view: cell.view.name}));
    return cell.open().then(() => cell.fit(true));
  }

  focus() {
    this.active.figure.focus({preventScroll: true});
  }

  get isSingle() {
    return this.hang.classList.contains("single");
  }

  four() {
    this.drawing.end();
    this.showPage(this.page);
    this.focus();
    this.say(t("Four views"));
  }

  /** The four side by side, or two by two. */
  row() {
    this.press("row", this.hang.classList.toggle("row"));
    if (this.isSingle) this.four();
    this.say(this.hang.classList.contains("row") ? t("Side by side") : t("Two by two"));
  }

  toggleSingle(cell = this.active) {
    if (this.isSingle) this.four();
    else this.single(cell);
  }

  listen(cell) {
    const {figure, stage} = cell;
    cell.moved = leader => this.lead(leader);
    figure.addEventListener("focusin", () => this.activate(cell));
    stage.addEventListener("dblclick", () => {
      if (this.mode === "pan") this.toggleSingle(cell);
    });
    stage.addEventListener("contextmenu", event => event.preventDefault());
    // Before OpenSeadragon, which would pan.
    stage.addEventListener("pointerdown", event => {
      if (!figure.contains(document.activeElement)) figure.focus({preventScroll: true});
      if (this.mode === "region" && event.button === 0) this.drawing.drag(cell, event);
      else if (event.button === 2 || (this.mode === "window" && event.button === 0)) {
        this.dragWindow(cell, event);
      }
    }, {capture: true});
  }

  dragWindow(cell, down) {
    if (!cell.grey) return;
    this.activate(cell);
    let {clientX: x, clientY: y} = down;
    follow(cell.stage, down, move => {
      const wider = Math.exp((move.clientX - x) / 250), darker = (move.clientY - y) / 500;
      for (const one of this.meant) one.changeWindow(wider, darker);
      [x, y] = [move.clientX, move.clientY];
    });
  }

  /** Have the others look where one looks, mirrored from breast to breast. */
  lead(leader) {
    if (!this.isLinked) return;
    const where = leader.where();
    for (const one of this.shown) if (one !== leader) one.follow(where);
  }

  setMode(mode) {
    this.mode = this.mode === mode ? "pan" : mode;
    this.section.dataset.mode = this.mode;
    this.press("window", this.mode === "window");
    this.press("region", this.mode === "region");
    if (this.mode === "region") this.drawing.begin();
    else this.drawing.end();
    const words = {pan: t("Drag pans"), window: t("Drag changes the window"), region: t("Drag a region")};
    this.say(words[this.mode]);
  }

  press(name, isPressed) {
    this.tool(name)?.setAttribute("aria-pressed", String(isPressed));
  }

  tool(name) {
    return this.section.querySelector(`[data-tool="${name}"]`);
  }

  link() {
    this.isLinked = !this.isLinked;
    this.press("link", this.isLinked);
    this.say(this.isLinked ? t("The views move together") : t("Each view moves alone"));
    if (this.isLinked) this.lead(this.active);
  }

  invert() {
    const inverted = !this.active.inverted;
    for (const cell of this.meant) cell.setWindow(cell.window, inverted);
    this.press("invert", inverted);
  }

  preset(name) {
    const index = Number(name);
    for (const cell of this.meant) {
      if (!cell.grey) continue;
      const {center, width, function: kind} = cell.used;
      if (name === "whole") cell.setWindow(cell.grey.whole);
      else if (name === "half") cell.setWindow({center, width: width / 2, function: kind});
      else if (name === "double") cell.setWindow({center, width: width * 2, function: kind});
      else if (index > 0 && cell.view.windows[index]) cell.setWindow(cell.view.windows[index]);
      else cell.setWindow(null);
    }
    this.say(this.active.says.textContent);
  }

  get maps() {
    return [...this.tool("map").options].map(option => option.value);
  }

  /** Show the chosen heat map, as strong as the slider stands. */
  strengthen() {
    const isOn = this.tool("heat").checked, strength = this.tool("strength").value / 100;
    for (const cell of this.cells) {
      cell.layers.showMap(isOn ? this.tool("map").value : null, strength);
      cell.layers.showOutlines(this.tool("outlines").checked);
    }
  }

  toggle(name) {
    this.tool(name).checked = !this.tool(name).checked;
    this.strengthen();
    this.say(toggled(this.tool(name).checked, this.tool(name).labels[0].innerText.trim()));
  }

  nextMap() {
    const select = this.tool("map");
    if (!this.maps.length) return;
    select.selectedIndex = (select.selectedIndex + 1) % select.options.length;
    this.tool("heat").checked = true;
    this.strengthen();
    this.say(t("Heat map: %(system)s", {system: select.selectedOptions[0].text}));
  }

  each(order) {
    for (const cell of this.meant) if (cell.port) order(cell);
  }

  help() {
    document.querySelector("#room-keys").showModal();
  }

  of(key) {
    return this.cells.find(cell => cell.view.view === key);
  }

  close() {
    for (const cell of this.cells) cell.close();
  }
}

let room = null;
function enter() {
  const section = document.querySelector("#room[data-version]");
  if (room && room.section === section) return;
  room?.close();
  const isReady = section?.querySelector(".cell[data-shown]") && typeof OpenSeadragon === "function";
  room = isReady ? new Room(section) : null;
  for (const cell of room?.cells || []) if (cell !== room.active) room.tellShown(cell);
  room?.tellShown(room.active);  // last: a form takes the view that was told last
}

document.addEventListener("cadnode:refreshed", enter);
document.addEventListener("cadnode:show-outlines", ({detail}) => {
  const layers = room?.of(detail.view)?.layers;
  if (detail.outlines.length) layers?.showRegion(null);  // what was drawn is among them
  layers?.addOutlines(detail.outlines);
});
document.addEventListener("cadnode:go-to", ({detail}) => {
  const cell = room?.of(detail.view);
  if (!cell) return;
  room.reveal();
  room.single(cell).then(() => cell.goTo(detail));
});
document.addEventListener("cadnode:show-prior", event => {
  if (!room) return;
  room.priors.show(event.detail);
  if (!room.priors.cells.length) return;  // the list shows small pictures
  event.preventDefault();
  room.reveal();
});
document.addEventListener("cadnode:operating-point", ({detail}) => {
  if (room?.section.dataset.patient !== detail.patient) return;
  for (const cell of room.cells) cell.layers.setBelow(detail.model, detail.below);
});
enter();

/** What is said of a switch. */
function toggled(isOn, what) {
  return isOn ? t("%(what)s: on", {what}) : t("%(what)s: off", {what});
}
