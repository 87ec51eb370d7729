// A region that somebody draws, by pointer or by keys; when it is done the page is told.
const LEAST = 4;  // pixels of the image: less is a slip of the hand

export class Drawing {
  constructor(room) {
    this.room = room;
    this.cell = null;
    this.box = null;
  }

  begin() {
    this.cell = this.room.active;
    this.box = null;
  }

  end() {
    this.cell?.layers.showRegion(null);
    this.box = null;
    if (this.room.mode === "region") {
      this.room.mode = "pan";
      this.room.section.dataset.mode = "pan";
      this.room.press("region", false);
    }
  }

  drag(cell, down) {
    if (!cell.at) return;
    this.cell?.layers.showRegion(null);
    this.cell = cell;
    const from = cell.pixelAt(down.clientX, down.clientY);
    follow(cell.stage, down, move => {
      this.show(boxOf(from, cell.pixelAt(move.clientX, move.clientY)));
    }, () => this.done());
  }

  show(box) {
    this.box = box;
    this.cell.layers.showRegion(box);
  }

  /** Arrow keys move the rectangle, with Shift they change its size; the first makes it. */
  key(event) {
    const step = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    const cell = this.room.active;
    if (event.key === "Enter" && this.box) {
      this.done();
      return true;
    }
    if (!step || !cell.at) return false;
    if (!this.box || this.cell !== cell) {
      this.cell?.layers.showRegion(null);
      this.cell = cell;
      this.box = middleOf(cell);
    } else {
      const by = Math.max(1, Math.round(8 / cell.at.scale)), across = cell.view.mirrored ? -1 : 1;
      const [x, y] = [step[0] * by * across, step[1] * by], {x0, y0, x1, y1} = this.box;
      const {columns, rows} = cell.view;
      const within = (value, most) => Math.min(most, Math.max(0, value));
      if (event.shiftKey) {
        this.box = {
          x0, y0, x1: Math.max(x0 + LEAST, within(x1 + Math.abs(x) * step[0], columns)),
          y1: Math.max(y0 + LEAST, within(y1 + y, rows)),
        };
      } else {
        const dx = within(x0 + x, columns - (x1 - x0)) - x0, dy = within(y0 + y, rows - (y1 - y0)) - y0;
        this.box = {x0: x0 + dx, y0: y0 + dy, x1: x1 + dx, y1: y1 + dy};
      }
    }
    this.show(this.box);
    this.room.say(t("Region from %(x0)s, %(y0)s to %(x1)s, %(y1)s", this.box));
    return true;
  }

  done() {
    const box = this.box, cell = this.cell;
    if (!box || box.x1 - box.x0 < LEAST || box.y1 - box.y0 < LEAST) {
      cell?.layers.showRegion(null);
      return;
    }
    const detail = {view: cell.view.view, ...box};
    document.dispatchEvent(new CustomEvent("cadnode:region-drawn", {detail}));
    this.box = null;
    this.room.say(t("The region is drawn"));
  }
}

function boxOf(one, other) {
  return {
    x0: Math.min(one.x, other.x), y0: Math.min(one.y, other.y),
    x1: Math.max(one.x, other.x), y1: Math.max(one.y, other.y),
  };
}

function middleOf(cell) {
  const {width, height, scale} = cell.at, box = cell.stage.getBoundingClientRect();
  const at = cell.pixelAt(box.left + width / 2, box.top + height / 2), half = Math.round(40 / scale);
  const {columns, rows} = cell.view;
  return {
    x0: Math.max(0, at.x - half), y0: Math.max(0, at.y - half),
    x1: Math.min(columns, at.x + half), y1: Math.min(rows, at.y + half),
  };
}

/** Call `moved` for each move of a pointer until it is lifted; nothing else hears of it. */
export function follow(stage, down, moved, ended = () => {}) {
  down.preventDefault();
  down.stopImmediatePropagation();
  stage.setPointerCapture(down.pointerId);
  const stop = new AbortController(), options = {capture: true, signal: stop.signal};
  const hear = act => event => {
    if (event.pointerId !== down.pointerId) return;
    event.stopImmediatePropagation();
    act(event);
  };
  stage.addEventListener("pointermove", hear(moved), options);
  for (const name of ["pointerup", "pointercancel"]) {
    stage.addEventListener(name, hear(event => { stop.abort(); ended(event); }), options);
  }
}
