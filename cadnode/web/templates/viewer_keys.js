// Keys of the reading room. They count while the focus is within it: nobody who types elsewhere,
// or speaks to the computer, sets them off (WCAG 2.2, 2.1.4).
const PAN = 80;  // pixels of the screen

export function keysOf(room) {
  const pan = (x, y) => () => { if (room.active.port) room.active.panBy(x, y); };
  const zoom = factor => () => { if (room.active.port) room.active.zoomBy(factor); };
  const look = (wider, darker) => () => {
    for (const cell of room.meant) cell.changeWindow(wider, darker);
  };
  const keys = {
    f: () => room.each(cell => cell.fit()),
    a: () => room.each(cell => cell.actual()),
    w: () => room.setMode("window"),
    r: () => room.setMode("region"),
    g: () => room.row(),
    l: () => room.link(),
    i: () => room.invert(),
    d: () => room.preset(""),
    h: () => room.toggle("heat"),
    m: () => room.nextMap(),
    o: () => room.toggle("outlines"),
    s: () => room.tool("strength").focus(),
    enter: () => room.toggleSingle(),
    escape: () => { if (room.mode !== "pan") room.setMode(room.mode); else room.four(); },
    0: () => room.four(),
    pagedown: () => room.showPage(room.page + 1),
    pageup: () => room.showPage(room.page - 1),
    "+": zoom(1.25), "=": zoom(1.25), "-": zoom(0.8),
    "[": look(1 / 1.15, 0), "]": look(1.15, 0), ",": look(1, 0.05), ".": look(1, -0.05),
    arrowleft: pan(-PAN, 0), arrowright: pan(PAN, 0), arrowup: pan(0, -PAN), arrowdown: pan(0, PAN),
    "?": () => room.help(),
  };
  room.section.addEventListener("keydown", event => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("dialog")) return;
    const isTool = event.target.closest("button, select, input, summary, a");
    if (isTool && (event.key.startsWith("Arrow") || event.key === "Enter")) return;
    if (room.mode === "region" && room.drawing.key(event)) {
      event.preventDefault();
      return;
    }
    const order = keys[event.key.toLowerCase()] || numbered(room, event.key);
    if (!order || (event.target.matches("select") && event.key.length === 1)) return;
    event.preventDefault();
    order();
  });
}

/** The places of the page that is shown, as they are read: 1 to 4. */
function numbered(room, key) {
  const place = /^[1-4]$/.test(key) ? room.places[4 * room.page + Number(key) - 1] : null;
  const cell = place && room.cells.find(one => one.figure === place);
  if (!cell) return null;
  return () => room.priors.isPaired ? room.priors.pair(cell) : room.single(cell);
}
