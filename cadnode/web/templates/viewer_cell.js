// One view in its place: an OpenSeadragon viewer of stored pixels, its window and its layers.
import {Layers} from "./viewer_layers.js";
import {GreyTable, drawsItsColours, sourceOf} from "./viewer_pixels.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)").matches;

export class Cell {
  constructor(figure) {
    this.figure = figure;
    this.view = JSON.parse(figure.dataset.shown);
    this.stage = figure.querySelector(".stage");
    this.says = figure.querySelector(".says");
    this.window = null;  // as the header says
    this.inverted = false;
    this.isFitted = true;
    this.layers = new Layers(this.stage, this.view);
    this.layers.changed = () => this.place();
    this.pointer = null;  // the image pixel that it is at
    this.stage.addEventListener("pointermove", event => {
      if (this.at && event.pointerType === "mouse") this.pointer = this.pixelAt(event.clientX, event.clientY);
    }, {capture: true});
    this.stage.addEventListener("pointerleave", () => { this.pointer = null; });
    this.ready = null;
  }

  /** Open the viewer, once; until its first tile is here the small picture stays. */
  open() {
    this.ready ??= this.begin().catch(error => {
      this.figure.classList.add("failed");
      this.says.textContent = t("This image cannot be shown: %(why)s", {why: t(error.message)});
    });
    return this.ready;
  }

  async begin() {
    keepsToPolicy();
    this.grey = await GreyTable.of(this.view);
    this.colours = this.grey.colours(null, false);
    this.viewer = OpenSeadragon({
      element: this.stage, drawer: "canvas", tileSources: sourceOf(this.view, () => this.colours),
      showNavigationControl: false, showSequenceControl: false, tabIndex: -1,
      animationTime: CALM ? 0 : 0.2, springStiffness: 10, blendTime: 0, immediateRender: true,
      visibilityRatio: 0.15, minZoomImageRatio: 0.4, maxZoomPixelRatio: 12,
      smoothTileEdgesMinZoom: Infinity, imageLoaderLimit: 4, maxImageCacheCount: 160,
      zoomPerScroll: 1.15, autoResize: false,
      gestureSettingsMouse: {clickToZoom: false, dblClickToZoom: false, flickEnabled: false},
      gestureSettingsTouch: {clickToZoom: false, dblClickToZoom: false, flickEnabled: false},
      gestureSettingsPen: {clickToZoom: false, dblClickToZoom: false, flickEnabled: false},
    });
    this.redraw = drawsItsColours(this.viewer);
    this.viewer.addHandler("canvas-key", event => { event.preventDefaultAction = true; });
    for (const name of ["update-viewport", "animation"]) {
      this.viewer.addHandler(name, () => this.place());
    }
    this.viewer.addHandler("tile-drawn", () => this.figure.classList.add("drawn"));
    await new Promise((resolve, reject) => {
      this.viewer.addOnceHandler("open", resolve);
      this.viewer.addOnceHandler("open-failed", () => reject(new Error(t("it does not open"))));
    });
    this.viewer.viewport.setFlip(this.view.mirrored);
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(this.stage);
    this.fit(true);
    for (const name of ["canvas-drag", "canvas-scroll", "canvas-pinch"]) {
      this.viewer.addHandler(name, () => { this.isFitted = false; this.moved?.(this); });
    }
    this.tell();
  }

  get isRight() {
    return this.view.laterality === "R";
  }

  get port() {
    return this.viewer?.viewport;
  }

  /** Take the size that the stage has now; what was fitted is again, else the zoom stays. */
  resize() {
    const zoom = this.zoom(), wasActual = this.isActual, center = this.port.getCenter();
    if (!this.takeSize()) return;
    if (this.isFitted) this.fit(true);
    else {
      this.port.zoomTo(this.port.imageToViewportZoom(zoom), null, true);
      this.port.panTo(center, true);
      if (wasActual) this.align();
    }
  }

  /** Whether the stage has another size now than the viewer knew. */
  takeSize() {
    const size = new OpenSeadragon.Point(this.stage.clientWidth, this.stage.clientHeight);
    if (!size.x || !size.y || size.equals(this.port.getContainerSize())) return false;
    this.port.resize(size, false);
    this.viewer.forceRedraw();
    return true;
  }

  /** Bounds that show the whole image with its chest wall at the middle of the hanging. */
  fitted() {
    const {x: width, y: height} = this.port.getContainerSize();
    const high = this.view.rows / this.view.columns, wide = width / height;
    if (high * wide < 1) return new OpenSeadragon.Rect(0, (high - 1 / wide) / 2, 1, 1 / wide);
    const atRight = this.isRight !== this.view.mirrored;
    return new OpenSeadragon.Rect(atRight ? 1 - high * wide : 0, 0, high * wide, high);
  }

  fit(immediately = CALM) {
    if (!this.port || !this.stage.clientWidth) return;
    this.takeSize();
    this.isFitted = true;
    this.port.fitBounds(this.fitted(), immediately);
    this.place();
  }

  /** One stored pixel a pixel of the screen, on whole pixels, where the pointer is. */
  actual() {
    const dots = OpenSeadragon.pixelDensityRatio, {columns, rows, mirrored} = this.view;
    const inBreast = (this.isRight === mirrored ? 0.25 : 0.75) * columns;
    const middle = this.isFitted ? {x: inBreast, y: rows / 2} : null, to = this.pointer || middle;
    this.isFitted = false;
    if (to) this.port.panTo(new OpenSeadragon.Point(to.x / columns, to.y / columns), true);
    this.port.zoomTo(this.port.imageToViewportZoom(1 / dots), null, true);
    this.align();
  }

  /** Have stored pixels begin where pixels of the screen do. */
  align() {
    const dots = OpenSeadragon.pixelDensityRatio;
    const at = this.port.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    const off = value => Math.round(value * dots) / dots - value;
    const by = new OpenSeadragon.Point(-off(at.x), -off(at.y));
    this.port.panBy(this.port.deltaPointsFromPixels(by, true), true);
    this.place();
  }

  /** CSS pixels an image pixel. */
  zoom() {
    return this.port.viewportToImageZoom(this.port.getZoom(true));
  }

  /** Whether a stored pixel is a pixel of the screen. */
  get isActual() {
    return Math.abs(this.zoom() * OpenSeadragon.pixelDensityRatio - 1) < 1e-6;
  }

  zoomBy(factor) {
    this.isFitted = false;
    this.port.zoomBy(factor).applyConstraints();
    this.moved?.(this);
  }

  panBy(x, y) {
    this.isFitted = false;
    const across = this.view.mirrored ? -x : x;
    const by = this.port.deltaPointsFromPixels(new OpenSeadragon.Point(across, y), true);
    this.port.panBy(by).applyConstraints();
    this.moved?.(this);
  }

  /** Show a box of the image, with some of what is around it. */
  goTo({x0, y0, x1, y1}) {
    const side = Math.max(x1 - x0, y1 - y0, 64), more = 0.75 * side;
    const box = new OpenSeadragon.Rect(x0 - more, y0 - more, x1 - x0 + 2 * more, y1 - y0 + 2 * more);
    this.isFitted = false;
    this.port.fitBounds(this.viewer.world.getItemAt(0).imageToViewportRectangle(box), CALM);
  }

  /** Where it looks: zoom as a multiple of the fit, place as shares from chest wall and top. */
  where() {
    const center = this.port.getCenter(), high = this.view.rows / this.view.columns;
    const shown = this.view.mirrored ? 1 - center.x : center.x;
    const fit = this.port.getContainerSize().x / this.fitted().width;
    return {
      zoom: (this.port.getZoom() * this.port.getContainerSize().x) / fit,
      fromWall: this.isRight ? 1 - shown : shown, fromTop: center.y / high,
    };
  }

  /** Look where another view looks. */
  follow({zoom, fromWall, fromTop}) {
    if (!this.port) return;
    this.isFitted = false;
    const high = this.view.rows / this.view.columns;
    const shown = this.isRight ? 1 - fromWall : fromWall;
    const x = this.view.mirrored ? 1 - shown : shown;
    const fit = this.port.getContainerSize().x / this.fitted().width;
    this.port.zoomTo((zoom * fit) / this.port.getContainerSize().x, null, true);
    this.port.panTo(new OpenSeadragon.Point(x, fromTop * high), true);
  }

  /** The image pixel at a place of the page, clipped to the image. */
  pixelAt(clientX, clientY) {
    const box = this.stage.getBoundingClientRect();
    const {x, y, scale, mirrored, width} = this.at;
    const across = clientX - box.left, left = mirrored ? width - across : across;
    const within = (value, most) => Math.min(most, Math.max(0, Math.round(value)));
    return {
      x: within((left - x) / scale, this.view.columns),
      y: within((clientY - box.top - y) / scale, this.view.rows),
    };
  }

  place() {
    if (!this.viewer?.world.getItemAt(0)) return;
    const origin = this.port.pixelFromPoint(new OpenSeadragon.Point(0, 0), true);
    const {x: width, y: height} = this.port.getContainerSize();
    const scale = this.zoom(), isActual = this.isActual;
    if (isActual === this.isSmooth || this.isSmooth === undefined) {
      this.isSmooth = !isActual;  // at 1:1 a stored pixel is a pixel, and no mean of four
      this.viewer.drawer.setImageSmoothingEnabled(this.isSmooth);
    }
    this.at = {x: origin.x, y: origin.y, scale, mirrored: this.view.mirrored, width, height};
    this.layers.place(this.at);
    this.tell();
  }

  /** The window in use, as numbers. */
  get used() {
    return this.window || this.grey.stated;
  }

  /** Use a window; null: as the header says. */
  setWindow(window, inverted = this.inverted) {
    if (!this.grey) return;
    this.window = window && {...window, width: Math.max(1, window.width)};
    this.inverted = inverted;
    this.colours = this.grey.colours(this.window, this.inverted);
    this.redraw();
    this.tell();
  }

  /** Wider by a factor, and darker by a share of the width. */
  changeWindow(wider, darker) {
    if (!this.grey) return;
    const {center, width, function: kind} = this.used;
    const sign = this.grey.isInverse !== this.inverted ? -1 : 1;
    this.setWindow({center: center + sign * darker * width, width: width * wider, function: kind});
  }

  tell() {
    if (!this.grey || !this.port) return;
    const dots = OpenSeadragon.pixelDensityRatio, percent = Math.round(100 * this.zoom() * dots);
    const {center, width} = this.used;
    const words = [`${percent} %`, `C ${round(center)} W ${round(width)}`];
    if (this.inverted) words.push("inverted");
    if (this.view.mirrored) words.push("mirrored");
    const text = words.join(" · ");
    if (this.says.textContent !== text) this.says.textContent = text;
  }

  close() {
    this.resizing?.disconnect();
    this.viewer?.destroy();
  }
}

// OpenSeadragon adds a style sheet, which the page's policy forbids, unless its selector finds one:
// it finds this element of no namespace, which styles nothing.
function keepsToPolicy() {
  if (document.querySelector("style[data-openseadragon-mobile-css]")) return;
  const none = document.createElementNS("", "style");
  none.setAttribute("data-openseadragon-mobile-css", "none");
  document.head.append(none);
}

function round(value) {
  return Math.abs(value) < 10 ? decimal(value, 2) : Math.round(value);
}
