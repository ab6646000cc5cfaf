// Attention: a small picture of every head, and the tokens of a text coloured by how much the chosen token attends to each.

class Attention {
  constructor(data) {
    this.data = data;
    const { attention } = data;
    this.side = this.token = 0;
    [this.layer, this.head] = data.strongest;
    this.most = new Map();
    const names = ["First text", "Second text"].map((name, i) => {
      const tab = make("button", "", name);
      tab.id = "tab-" + i;
      tab.setAttribute("role", "tab");
      return tab;
    });
    byId("whose").append(...names);
    cells(byId("grid"), {
      size: () => [attention.layers, attention.heads],
      now: () => [this.layer, this.head],
      place: (x, y) => {
        const i = Math.floor(y / this.step), j = Math.floor(x / this.step);
        return i >= 0 && j >= 0 && i < attention.layers && j < attention.heads ? [i, j] : null;
      },
      choose: (i, j, firmly) => firmly && this.choose(i, j),
    });
    byId("kept").textContent = attention.note;
    tabs(names, (side) => this.text(Number(side)));
  }

  text(side) {
    this.side = side;
    this.token = 0;
    this.chips = new Chips("tokens", this.data.sides[side].pieces, [], (k) => this.look(k));
    byId("looks").replaceChildren(this.chips.element);
    this.draw();
    this.choose(this.layer, this.head);
  }

  // Each head as a picture of at most 24 x 24 averages.
  draw() {
    const { attention } = this.data, canvas = byId("grid"), { n } = attention.sides[this.side];
    const step = this.step = Math.max(22, Math.min(64, Math.floor(canvas.parentElement.clientWidth / (window.innerWidth > 760 ? 1.75 : 1) / attention.heads)));
    const dots = Math.min(n, 24), dot = (step - 4) / dots;
    const context = sized(canvas, step * attention.heads, step * attention.layers), [r, g, b] = MORE;
    for (let layer = 0; layer < attention.layers; layer++) {
      for (let head = 0; head < attention.heads; head++) {
        context.fillStyle = css("--panel");
        context.fillRect(head * step + 1, layer * step + 1, step - 2, step - 2);
        for (let i = 0; i < dots; i++) {
          const row = rowOf(attention, this.side, layer, head, Math.floor((i * n) / dots));
          for (let j = 0; j < dots; j++) {
            let sum = 0;
            for (let k = Math.floor((j * n) / dots); k < Math.floor(((j + 1) * n) / dots); k++) sum += row[k];
            if (sum < 0.01) continue;
            context.fillStyle = `rgba(${r}, ${g}, ${b}, ${Math.min(1, sum ** 0.6).toFixed(2)})`;
            context.fillRect(head * step + 2 + j * dot, layer * step + 2 + i * dot, dot + 0.3, dot + 0.3);
          }
        }
      }
    }
    this.picture = new OffscreenCanvas(canvas.width, canvas.height);
    this.picture.getContext("2d").drawImage(canvas, 0, 0);
    this.frame();
  }

  frame() {
    const canvas = byId("grid"), context = canvas.getContext("2d");
    context.save();
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.drawImage(this.picture, 0, 0);
    context.restore();
    context.strokeStyle = css("--ink");
    context.lineWidth = 2;
    context.strokeRect(this.head * this.step + 1, this.layer * this.step + 1, this.step - 2, this.step - 2);
  }

  choose(layer, head) {
    [this.layer, this.head] = [layer, head];
    byId("head").textContent = `Layer ${layer}, head ${head}`;
    this.frame();
    this.look(this.token);
  }

  look(token) {
    this.token = token;
    const { attention, sides } = this.data, { pieces } = sides[this.side];
    const row = rowOf(attention, this.side, this.layer, this.head, token);
    this.chips.colour(row, Math.max(0.05, largest(row)), (v) => `${(100 * v).toFixed(1)} %`);
    this.chips.press(token);
    const order = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, 4);
    byId("gaze").textContent = `${shown(pieces[token])} looks at ` + order.map((k) => `${shown(pieces[k])} ${(100 * row[k]).toFixed(0)} %`).join(", ");
  }
}
