// Stored values become grey: tiles as they are stored, a window applied here (PS3.3 C.11.2).
const CELLS = "cadnodeCells";

/** What the stored cells of a view mean: modality values (NaN: padding), and brightness as stored. */
export class GreyTable {
  static async of(view) {
    const answer = await fetch(view.url + "/grey");
    if (!answer.ok) throw new Error((await answer.json().catch(() => null))?.error || t("no image"));
    return new GreyTable(await answer.arrayBuffer(), view);
  }

  constructor(buffer, view) {
    const count = Math.floor((buffer.byteLength - 1) / 5);
    this.values = new Float32Array(buffer, 0, count);
    this.stored = new Uint8Array(buffer, 4 * count, count);
    this.isInverse = new Uint8Array(buffer, 5 * count, 1)[0] === 1;
    this.stated = view.window || this.range(value => value > 0 && value < 255);
    this.whole = this.range(() => true);
  }

  // The window that spans the values whose brightness as stored fits; a LUT has one this way, too.
  range(fits) {
    let low = Infinity, high = -Infinity;
    this.values.forEach((value, cell) => {
      if (Number.isNaN(value) || !fits(this.stored[cell])) return;
      low = Math.min(low, value);
      high = Math.max(high, value);
    });
    if (!(high > low)) return {center: low === Infinity ? 0 : low, width: 1, function: "LINEAR"};
    return {center: (low + high + 1) / 2, width: high - low + 1, function: "LINEAR"};
  }

  /** RGBA of each cell; `window` null: as the header says. */
  colours(window, inverted) {
    const found = new Uint32Array(this.values.length);
    for (let cell = 0; cell < found.length; cell++) {
      let grey = this.stored[cell];
      const value = this.values[cell];
      if (window && !Number.isNaN(value)) {
        const share = brightness(value, window);
        grey = Math.round(255 * (this.isInverse ? 1 - share : share));
      }
      if (inverted) grey = 255 - grey;
      found[cell] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    return found;
  }
}

/** PS3.3 C.11.2.1.2.1 (LINEAR), C.11.2.1.3.1 (SIGMOID), C.11.2.1.3.2 (LINEAR_EXACT). */
export function brightness(value, {center, width, function: kind}) {
  if (kind === "SIGMOID") return 1 / (1 + Math.exp((-4 * (value - center)) / width));
  if (kind === "LINEAR_EXACT") return clip((value - center) / width + 0.5);
  if (width <= 1) return value > center - 0.5 ? 1 : 0;
  return clip((value - (center - 0.5)) / (width - 1) + 0.5);
}

function clip(share) {
  return Math.min(1, Math.max(0, share));
}

/** The OpenSeadragon source of a view; `colours()` gives the table that tiles are drawn with. */
export function sourceOf(view, colours) {
  learn();
  const source = new OpenSeadragon.TileSource({
    width: view.columns, height: view.rows, tileWidth: view.tile, tileHeight: view.tile,
    tileOverlap: view.overlap, minLevel: 0, maxLevel: view.levels - 1, ready: true,
  });
  source.getTileUrl = (level, x, y) => `${view.url}/tiles/${level}/${x}_${y}`;
  source.hasTransparency = () => false;
  source.colours = colours;
  source.downloadTileStart = job => {
    const ending = new AbortController();
    job.userData.ending = ending;
    fetch(job.src, {signal: ending.signal}).then(async answer => {
      if (!answer.ok) return job.fail(`status ${answer.status}`, null);
      const cells = new Uint16Array(await answer.arrayBuffer());
      job.finish({cells, columns: columnsOf(view, job.tile)}, null, CELLS);
    }).catch(error => { if (!ending.signal.aborted) job.fail(String(error), null); });
  };
  source.downloadTileAbort = job => job.userData.ending?.abort();
  return source;
}

function columnsOf(view, {level, x}) {
  const whole = Math.ceil(view.columns / 2 ** (view.levels - 1 - level));
  const end = Math.min(whole, (x + 1) * view.tile + view.overlap);
  return end - Math.max(0, x * view.tile - view.overlap);
}

/** A canvas with a tile's cells in those colours. */
export function painted({cells, columns}, colours) {
  const canvas = document.createElement("canvas");
  canvas.width = columns;
  canvas.height = cells.length / columns;
  const context = canvas.getContext("2d");
  const image = context.createImageData(canvas.width, canvas.height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let n = 0; n < cells.length; n++) pixels[n] = colours[cells[n]];
  context.putImageData(image, 0, 0);
  return context;
}

let isLearned = false;
function learn() {  // cells are never written to: a copy of them is they themselves
  if (isLearned) return;
  isLearned = true;
  OpenSeadragon.converter.learn(CELLS, CELLS, (_tile, data) => data, 1, 1);
  OpenSeadragon.converter.learn(
    CELLS, "context2d", (tile, data) => painted(data, tile.tiledImage.source.colours()), 1, 2);
}

/** Have a viewer draw its tiles in the colours that their source has now. */
export function drawsItsColours(viewer) {
  viewer.addHandler("tile-invalidated", async event => {
    const data = await event.getData(CELLS);
    if (event.outdated()) return;
    await event.setData(painted(data, event.tiledImage.source.colours()), "context2d");
  });
  let isBusy = false, isWanted = false;
  return async function redraw() {
    isWanted = true;
    if (isBusy) return;
    isBusy = true;
    while (isWanted) {
      isWanted = false;
      await viewer.requestInvalidate(true);
      await new Promise(requestAnimationFrame);
    }
    isBusy = false;
  };
}
