// An earlier exam beside this one: each view and the same view of then, side by side.
import {Cell} from "./viewer_cell.js";

export class Priors {
  constructor(room) {
    this.room = room;
    this.cells = [];
  }

  /** Show an earlier exam's views beside these; without any, leave them. */
  show({views, label}) {
    this.clear();
    const shown = (views || []).filter(view => !view.why && view.levels);
    this.cells = shown.map(view => {
      const figure = figureOf(view, label || t("Prior"));
      this.room.hang.append(figure);
      const cell = new Cell(figure);
      this.room.listen(cell);
      return cell;
    });
    const paired = this.room.cells.filter(cell => this.then(cell)), {active} = this.room;
    this.room.cells.push(...this.cells);
    if (!this.cells.length) this.room.four();
    else this.pair(paired.includes(active) ? active : paired[0] ?? active);
  }

  /** The same view of then. */
  then(cell) {
    return this.cells.find(one => one.view.name === cell.view.name);
  }

  get isPaired() {
    return this.room.hang.classList.contains("pair");
  }

  /** A view and the same one of then. */
  pair(cell) {
    const then = this.then(cell);
    for (const one of this.room.hang.children) {
      one.hidden = one !== cell.figure && one !== then?.figure;
    }
    this.room.hang.classList.remove("single");
    this.room.hang.classList.add("pair");
    this.room.activate(cell);
    this.room.focus();
    for (const one of this.room.shown) one.open().then(() => one.fit(true));
    this.room.say(then
      ? t("%(view)s and its prior", {view: cell.view.name}) : t("There is no prior %(view)s", {view: cell.view.name}));
  }

  clear() {
    for (const cell of this.cells) {
      cell.close();
      cell.figure.remove();
    }
    this.room.cells = this.room.cells.filter(cell => !this.cells.includes(cell));
    this.cells = [];
  }
}

/** The place of a view, as the page's template makes it. */
function figureOf(view, label) {
  const figure = make("div", `cell ${view.laterality === "R" ? "wall-right" : "wall-left"}`);
  if (view.mirrored) figure.classList.add("mirrored");
  figure.tabIndex = 0;
  figure.setAttribute("role", "group");
  figure.setAttribute("aria-label", `${label}: ${view.name}`);
  figure.dataset.shown = JSON.stringify({windows: [], maps: [], outlines: [], ...view});
  const stage = make("div", "stage"), image = document.createElement("img");
  image.src = `${view.url}/preview`;
  image.alt = `${label}: ${view.name}`;
  image.draggable = false;
  stage.append(image);
  const caption = make("p", "caption"), name = document.createElement("b");
  name.textContent = view.name;
  const which = make("span", "remark");
  which.textContent = label;
  caption.append(name, which, make("span", "says"));
  figure.append(stage, caption);
  return figure;
}

function make(kind, names) {
  const made = document.createElement(kind);
  made.className = names;
  return made;
}
