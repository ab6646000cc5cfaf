// The score by layer as a line, and the effect of each head as a coloured table.

const SVG = "http://www.w3.org/2000/svg";

function drawn(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

function drawLayers({ layers, score }) {
  const width = 480, height = 230, left = 36, right = 14, top = 14, bottom = 26, n = layers.scores.length;
  const low = Math.min(0, ...layers.scores), high = Math.max(1, ...layers.scores);
  const x = (i) => left + (i / Math.max(1, n - 1)) * (width - left - right);
  const y = (v) => top + ((high - v) / (high - low)) * (height - top - bottom);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.append(drawn("title", {}, layers.names.map((name, i) => `${name}: ${layers.scores[i].toFixed(3)}`).join(", ")));
  for (const v of [0, 0.5, 1]) {
    svg.append(drawn("line", { class: "rule", x1: left, x2: width - right, y1: y(v), y2: y(v) }));
    svg.append(drawn("text", { x: left - 6, y: y(v) + 4, "text-anchor": "end" }, String(v)));
  }
  svg.append(drawn("polyline", { class: "line", points: layers.scores.map((v, i) => `${x(i)},${y(v)}`).join(" ") }));
  layers.scores.forEach((v, i) => {
    const dot = drawn("circle", { class: "dot", cx: x(i), cy: y(v), r: 4 });
    dot.append(drawn("title", {}, `${layers.names[i]}: ${v.toFixed(4)}`));
    svg.append(dot);
    const every = Math.ceil(n / 13);
    if (i % every === 0 || i === n - 1) svg.append(drawn("text", { x: x(i), y: height - 8, "text-anchor": "middle" }, i ? String(i - 1) : "in"));
  });
  svg.append(drawn("text", { class: "label", x: x(n - 1), y: y(layers.scores[n - 1]) + (layers.scores[n - 2] > score ? 20 : -12), "text-anchor": "end" }, score.toFixed(3)));
  byId("layers").replaceChildren(svg);
}

class Heads {
  constructor(data) {
    this.heads = data.heads;
    this.score = data.score;
    this.at = data.strongest;
    byId("missing").textContent = data.heads.note;
    if (!data.heads.changes) {
      byId("heads").hidden = true;
      return;
    }
    cells(byId("heads"), {
      size: () => [this.heads.changes.length, this.heads.changes[0].length],
      now: () => this.at,
      place: (x, y) => {
        const i = Math.floor((y - 18) / this.step), j = Math.floor((x - 26) / this.step), { changes } = this.heads;
        return i >= 0 && j >= 0 && i < changes.length && j < changes[0].length ? [i, j] : null;
      },
      choose: (i, j) => {
        this.at = [i, j];
        this.draw();
      },
    });
    this.draw();
  }

  draw() {
    const { changes } = this.heads;
    if (!changes) return;
    const canvas = byId("heads"), most = largest(changes.flat()), columns = changes[0].length;
    const step = this.step = Math.max(14, Math.min(34, Math.floor((canvas.parentElement.clientWidth - 26) / columns)));
    const context = sized(canvas, 26 + step * columns, 18 + step * changes.length);
    context.font = "11px system-ui, DejaVu Sans, sans-serif";
    context.fillStyle = css("--soft");
    context.textAlign = "center";
    for (let j = 0; j < columns; j++) context.fillText(String(j), 26 + (j + 0.5) * step, 11);
    changes.forEach((row, i) => {
      context.fillStyle = css("--soft");
      context.fillText(String(i), 10, 18 + (i + 0.5) * step + 4);
      row.forEach((change, j) => {
        context.fillStyle = css("--panel");
        context.fillRect(26 + j * step, 18 + i * step, step - 2, step - 2);
        context.fillStyle = tint(change, most);
        context.fillRect(26 + j * step, 18 + i * step, step - 2, step - 2);
      });
    });
    const [i, j] = this.at;
    context.strokeStyle = css("--ink");
    context.lineWidth = 2;
    context.strokeRect(26 + j * step, 18 + i * step, step - 2, step - 2);
    byId("effect").textContent = `Without head ${j} of layer ${i}: ${(this.score + changes[i][j]).toFixed(4)} (${signed(changes[i][j], 4)})`;
  }
}
