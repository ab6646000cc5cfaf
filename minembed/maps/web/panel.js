// The column beside the map.  Everything is inserted as text, never as markup.

const byId = (id) => document.getElementById(id);

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawing(width, height, shapes) {
  const space = "http://www.w3.org/2000/svg", svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
  svg.setAttribute("aria-hidden", "true");
  for (const [name, attributes] of shapes) {
    const shape = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
    svg.append(shape);
  }
  return svg;
}

function swatch(shape, fill) {
  return drawing(16, 16, [{
    circle: ["circle", { cx: 8, cy: 8, r: 6, fill }],
    square: ["rect", { x: 2.5, y: 2.5, width: 11, height: 11, fill }],
    triangle: ["polygon", { points: "8,1.5 14.5,13 1.5,13", fill }],
    diamond: ["polygon", { points: "8,0.8 15.2,8 8,15.2 0.8,8", fill }],
  }[shape]]);
}

function fillHeader(data) {
  byId("title").textContent = document.title = data.title;
  byId("trust").textContent = data.trust;
  const terms = [];
  if (data.shares.length) {
    const each = data.shares.map((share) => `${(100 * share).toFixed(1)} %`).join(", ");
    terms.push(["Variance", `The share of the vectors' variance on each axis (${each}). The map does not show the rest.`]);
  } else {
    terms.push([data.method === "tsne" ? "t-SNE" : "UMAP", `${data.settings}. Keeps neighbourhoods. Sizes of islands, the empty `
      + "space between them and directions mean little."]);
  }
  if (data.k) terms.push(
    ["Trustworthiness", `Goes down for every point that is among the ${data.k} nearest on the map and not among the ${data.k} nearest by cosine. `
      + "1 is best; random points have about 0.5."],
    ["Continuity", "The reverse: goes down for every true neighbour that is not near on the map."],
    ["Nearest kept", `How many of the ${data.k} nearest by cosine are also the ${data.k} nearest on the map.`]);
  if (data.sampled) terms.push(["Measured", `on ${data.sampled.toLocaleString("en")} random points, each compared with all others.`]);
  for (const [term, meaning] of terms) byId("terms").append(element("dt", term), element("dd", meaning));
}

function fillLegend(data, palette, visible, toggle) {
  const counts = new Uint32Array(256), colours = palette.length - 1;
  for (const group of data.groups) counts[group]++;
  byId("origin").textContent = data.origin ? `Groups: ${data.origin}` : "Points";
  byId("switches").hidden = !data.names.length;
  const items = data.names.map((name, g) => [g, name, data.shapes[Math.floor(g / colours) % data.shapes.length], palette[g % colours]]);
  if (counts[255]) items.push([255, data.rest, "circle", palette[colours]]);
  byId("legend").replaceChildren(...items.map(([group, name, shape, colour]) => {
    const item = element("li"), button = element("button");
    button.type = "button";
    button.setAttribute("aria-pressed", String(visible[group]));
    button.title = name;
    button.append(swatch(shape, colour), element("span", name, "name"), element("span", counts[group].toLocaleString("en"), "many"));
    button.addEventListener("click", () => toggle(group));
    item.append(button);
    return item;
  }));
}

function nameOf(data, i) {
  return data.groups[i] === 255 ? (data.names.length ? data.rest : "") : data.names[data.groups[i]];
}

// The selected point, its nearest neighbours by the vectors, and the previous selection.
function fillChosen(data, state, select) {
  const i = state.selected;
  byId("chosen").hidden = i < 0;
  if (i < 0) return;
  byId("text").textContent = data.texts[i] || "(empty)";
  byId("group").textContent = nameOf(data, i);
  byId("pair").hidden = state.before < 0;
  if (state.before >= 0) {
    byId("other").textContent = data.texts[state.before] || "(empty)";
    const { value, off } = state.pair, rough = off >= 0.0005 ? ` ± ${off.toFixed(off < 0.01 ? 3 : 2)}` : "";
    byId("cosine").textContent = `cosine ${value.toFixed(off > 0.01 ? 2 : 3)}${rough} · true distance ${(1 - value).toFixed(2)} · `
      + `on the map ${(100 * mapDistance(data, i, state.before)).toFixed(1)} % of its width, `
      + `place ${mapRank(data, i, state.before).toLocaleString("en")} of ${(data.n - 1).toLocaleString("en")}`;
  }
  const rows = [], far = [];
  for (let r = 0; r < data.nearest; r++) far.push(mapDistance(data, i, data.near[i * data.nearest + r]));
  const widest = Math.max(...far, 0.02);
  for (let r = 0; r < data.nearest; r++) {
    const j = data.near[i * data.nearest + r], cosine = data.cosines[i * data.nearest + r] / 32767;
    const row = element("tr"), bars = element("td"), text = element("td"), button = element("button", data.texts[j] || "(empty)");
    bars.append(drawing(96, 15, [
      ["rect", { class: "true", x: 0, y: 1, width: Math.max(96 * Math.min(1 - cosine, 1), 1), height: 6 }],
      ["rect", { class: "map", x: 0, y: 8, width: Math.max((96 * far[r]) / widest, 1), height: 6 }],
    ]), element("small", `${(1 - cosine).toFixed(2)} · ${(100 * far[r]).toFixed(1)} %, ${ordinal(mapRank(data, i, j))}`));
    button.type = "button";
    button.dir = "auto";
    button.addEventListener("click", () => select(j));
    text.append(button);
    row.append(element("td", cosine.toFixed(3)), bars, text);
    rows.push(row);
  }
  byId("heading").textContent = rows.length ? `Its ${rows.length} nearest neighbours by the vectors` : "No other point";
  byId("near").hidden = !rows.length;
  byId("near").tBodies[0].replaceChildren(...rows);
}

function ordinal(n) {
  const ending = n % 100 > 10 && n % 100 < 14 ? "th" : { 1: "st", 2: "nd", 3: "rd" }[n % 10] || "th";
  return n.toLocaleString("en") + ending;
}
