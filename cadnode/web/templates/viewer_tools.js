// The buttons, lists and sliders above the images.
export function listenToTools(room) {
  const orders = {
    four: () => room.four(), one: () => room.single(), link: () => room.link(),
    fit: () => room.each(cell => cell.fit()), actual: () => room.each(cell => cell.actual()),
    invert: () => room.invert(), window: () => room.setMode("window"),
    region: () => room.setMode("region"), keys: () => room.help(),
    next: () => room.showPage(room.page + 1), row: () => room.row(),
  };
  for (const [name, order] of Object.entries(orders)) {
    room.tool(name)?.addEventListener("click", order);
  }
  room.tool("preset").addEventListener("change", event => {
    room.preset(event.target.value);
    if (event.target.value === "half" || event.target.value === "double") event.target.value = "";
  });
  for (const name of ["heat", "map", "outlines"]) {
    room.tool(name).addEventListener("change", () => room.strengthen());
  }
  room.tool("strength").addEventListener("input", event => {
    for (const cell of room.cells) cell.layers.setStrength(event.target.value / 100);
  });
}
