// What lies over a view: heat map, outlines of findings, a region that is being drawn.
const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes = {}) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

/** The layers of one cell, in pixels of the image as stored. */
export class Layers {
  constructor(stage, view) {
    this.view = view;
    this.svg = element("svg", {class: "layers", "aria-hidden": "true"});
    this.placed = element("g");
    this.heat = element("g", {class: "heat"});
    this.marks = element("g", {class: "marks"});
    this.region = element("g", {class: "region"});
    this.labels = element("g", {class: "labels"});
    this.bar = element("g", {class: "bar"});
    this.placed.append(this.heat, this.marks, this.region);
    this.svg.append(this.placed, this.labels, this.bar);
    stage.append(this.svg);
    this.outlines = view.outlines.map(one => ({...one, isOurs: true}));
    this.below = new Map();  // by model, the findings that its slider would not call
    this.isShown = true;
    this.drawOutlines();
  }

  /** `at`: where image pixel (0, 0) is in the stage, pixels of the stage a pixel, its width. */
  place({x, y, scale, mirrored, width, height}) {
    const across = mirrored ? -scale : scale, left = mirrored ? width - x : x;
    this.placed.setAttribute("transform", `matrix(${across} 0 0 ${scale} ${left} ${y})`);
    const taken = [], isRight = this.view.laterality === "R";
    for (const label of this.labels.children) {  // beside it, away from the other breast
      const at = {x: left + across * label.dataset.x + (isRight ? -7 : 7), y: y + scale * label.dataset.y + 5};
      while (taken.some(one => Math.abs(one.x - at.x) < 80 && Math.abs(one.y - at.y) < 14)) at.y += 14;
      taken.push(at);
      label.setAttribute("x", at.x);
      label.setAttribute("y", at.y);
    }
    this.drawBar(scale, width, height);
  }

  // Ten millimetres in the plane of the breast, at the side that is away from the other breast.
  drawBar(scale, width, height) {
    this.bar.replaceChildren();
    if (!this.view.spacing_mm) return;
    const length = (10 / this.view.spacing_mm[1]) * scale;
    if (length > 0.8 * width || length < 8) return;
    const isRight = this.view.laterality === "R";
    const from = isRight ? 12 : width - 12 - length, at = height - 14;
    this.bar.append(element("path", {d: `M${from} ${at - 5}v5h${length}v-5`}));
    const end = {x: isRight ? from : from + length, "text-anchor": isRight ? "start" : "end"};
    const text = element("text", {...end, y: at - 8});
    text.textContent = this.view.spacing_estimated ? "≈ 10 mm" : "10 mm";
    this.bar.append(text);
  }

  showMap(name, strength) {
    const map = name === null ? null : this.view.maps.find(one => one.name === name);
    this.heat.replaceChildren();
    if (!map) return;
    const {columns, rows} = this.view;
    const image = element("image", {
      href: map.url, width: columns, height: rows, opacity: strength, preserveAspectRatio: "none",
    });
    this.heat.append(image);
  }

  setStrength(strength) {
    this.heat.firstChild?.setAttribute("opacity", strength);
  }

  showOutlines(isShown) {
    this.isShown = isShown;
    this.drawOutlines();
  }

  /** Add outlines of another part of the page, in place of those with the same id. */
  addOutlines(outlines) {
    const ids = new Set(outlines.map(one => String(one.id)));
    this.outlines = this.outlines.filter(one => one.isOurs || !ids.has(String(one.id)));
    this.outlines.push(...outlines.map(one => ({...one, kind: one.kind || "region"})));
    this.drawOutlines();
  }

  /** Findings that would not be called at a model's operating point: they are dashed. */
  setBelow(model, findings) {
    this.below.set(model, findings);
    this.drawOutlines();
  }

  isBelow(outline) {
    return outline.isOurs && [...this.below.values()].some(ids => ids.includes(outline.id));
  }

  drawOutlines() {
    this.marks.replaceChildren();
    this.labels.replaceChildren();
    for (const outline of this.isShown ? this.outlines : []) {
      if (!outline.points.length) continue;
      const points = outline.points.map(point => point.join(",")).join(" ");
      const looks = (outline.isOurs ? "" : " added") + (this.isBelow(outline) ? " below" : "");
      for (const kind of ["halo", "line"]) {
        this.marks.append(element("polygon", {points, class: kind + looks}));
      }
      const xs = outline.points.map(point => point[0]), ys = outline.points.map(point => point[1]);
      const isRight = this.view.laterality === "R", atLow = isRight !== this.view.mirrored;
      const edge = atLow ? Math.min(...xs) : Math.max(...xs);
      const middle = (Math.min(...ys) + Math.max(...ys)) / 2, anchor = isRight ? "end" : "start";
      const at = {"data-x": edge, "data-y": middle, "text-anchor": anchor};
      const label = element("text", {...at, class: looks});
      label.textContent = outline.label;
      this.labels.append(label);
    }
    this.changed?.();
  }

  /** A rectangle that is being drawn; null: none. */
  showRegion(box) {
    this.region.replaceChildren();
    if (!box) return;
    const {x0, y0, x1, y1} = box;
    const at = {x: x0, y: y0, width: Math.max(0, x1 - x0), height: Math.max(0, y1 - y0)};
    this.region.append(element("rect", {...at, class: "halo"}), element("rect", {...at, class: "line"}));
  }
}
