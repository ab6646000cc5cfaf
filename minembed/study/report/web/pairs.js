// A table of the contributions of pairs of tokens to the score, at one of several levels.

const LISTED = 9, LABEL = 13, SMALL = 1; // pixels: of a row that is wide enough for its token, and of the smallest cell

class Pairs {
  constructor(data) {
    this.data = data;
    this.at = [0, 0];
    const names = data.levels.map((level) => {
      const tab = make("button", "", level.title);
      tab.id = "tab-" + level.name;
      tab.setAttribute("role", "tab");
      return tab;
    });
    byId("levels").append(...names);
    const canvas = byId("matrix");
    cells(canvas, {
      size: () => [this.level.labels[0].length, this.level.columns],
      now: () => this.at,
      place: (x, y) => this.cellAt(x, y),
      choose: (i, j) => this.choose(i, j),
    });
    byId("top").addEventListener("click", (event) => {
      const button = event.target.closest("button");
      if (button) this.choose(Number(button.dataset.row), Number(button.dataset.column), true);
    });
    tabs(names, (name) => this.show(data.levels.find((level) => level.name === name)));
  }

  value(i, j) {
    return this.level.values[i * this.level.columns + j];
  }

  show(level) {
    this.level = level;
    const [rows, columns] = level.labels, chips = byId("chips"), { data } = this;
    byId("level").textContent = level.words;
    byId("sum").textContent = !level.adds ? "" : `${data.similarity} ${data.score.toFixed(4)} = sum of all contributions ${level.sum.toFixed(4)}, residual ${level.residual.toExponential(1)}`;
    byId("test").textContent = [level.test, ...level.notes].filter(Boolean).join("\n");
    this.chips = [rows, columns].map((labels, side) => {
      const tokens = data.sides[side].pieces.length;
      return new Chips(side ? "second text" : "first text", labels.slice(0, tokens), labels.slice(tokens), (k) => this.point(side, k));
    });
    chips.replaceChildren(...this.chips.map((one) => one.element));
    this.most = largest(level.values) || 1;
    this.digits = Math.max(3, digitsOf(this.most));
    const alone = [
      rows.map((_, i) => columns.reduce((sum, _, j) => sum + this.value(i, j), 0)),
      columns.map((_, j) => rows.reduce((sum, _, i) => sum + this.value(i, j), 0)),
    ];
    this.sums = alone.map((sums, side) => sums.map((sum, k) => level.tokens[side][k] ?? sum)); // tokens, then rows or columns that are not tokens
    this.list();
    this.rest();
    this.draw();
    this.read();
  }

  // Colours when the mouse points at no token: the contribution of each token by all its pairs.
  rest() {
    const most = Math.max(...this.sums.map(largest));
    this.chips.forEach((one, side) => {
      one.colour(this.sums[side], most, (v) => `${signed(v, this.digits)} of the score`);
      one.press(-1);
    });
  }

  // Colours when it points at one: the contribution of its pair with each token of the other text.
  point(side, k) {
    const other = 1 - side, labels = this.level.labels[other];
    const values = labels.map((_, l) => (side ? this.value(l, k) : this.value(k, l)));
    this.rest();
    this.chips[other].colour(values, largest(values), (v) => signed(v, this.digits));
    this.chips[side].press(k);
    this.chips[other].press(-1);
    const strongest = values.reduce((best, v, l) => (Math.abs(v) > Math.abs(values[best]) ? l : best), 0);
    this.at = side ? [strongest, k] : [k, strongest];
    this.draw();
    this.read();
  }

  list() {
    const order = [];
    const [rows, columns] = this.data.sides.map((side) => side.pieces.length);
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) order.push([i, j]);
    order.sort((a, b) => Math.abs(this.value(...b)) - Math.abs(this.value(...a)));
    this.at = order[0];
    const top = order.slice(0, LISTED), sumOf = (list) => list.reduce((sum, pair) => sum + this.value(...pair), 0);
    byId("top").replaceChildren(...top.map(([i, j]) => {
      const item = make("li"), button = make("button"), value = this.value(i, j);
      button.type = "button";
      [button.dataset.row, button.dataset.column] = [i, j];
      const number = make("span", "value", signed(value, this.digits));
      number.style.backgroundImage = `linear-gradient(${tint(value, this.most)}, ${tint(value, this.most)})`;
      button.append(number, make("span", "pair", `${shown(this.level.labels[0][i])}  ·  ${shown(this.level.labels[1][j])}`));
      item.append(button);
      return item;
    }));
    const { level } = this;
    const rest = sumOf(order.slice(LISTED)), tokens = sumOf(order), all = this.level.sum;
    const lines = [];
    if (level.adds && order.length > LISTED) lines.push(`${signed(rest, 4)} from the other ${count(order.length - LISTED, "pair")} of tokens`);
    if (level.adds && Math.abs(all - tokens) > 5e-5) lines.push(`${signed(all - tokens, 4)} from no token: positions, biases`);
    byId("others").textContent = lines.join("\n");
  }

  draw() {
    const canvas = byId("matrix"), [rows, columns] = this.level.labels, { most } = this;
    const room = canvas.parentElement.clientWidth;
    const left = rows.length <= 60 ? 96 : 0, top = columns.length <= 60 ? 88 : 0;
    const cell = Math.max(SMALL, Math.min(58, Math.max((room - left) / columns.length, columns.length <= 60 ? LABEL : SMALL)));
    const tall = Math.max(SMALL, Math.min(cell, 30));
    this.shape = { left, top, cell, tall };
    const context = sized(canvas, left + cell * columns.length, top + tall * rows.length);
    context.font = "11px ui-monospace, DejaVu Sans Mono, Menlo, monospace";
    context.textBaseline = "middle";
    for (let i = 0; i < rows.length; i++) {
      for (let j = 0; j < columns.length; j++) {
        context.fillStyle = tint(this.value(i, j), most);
        context.fillRect(left + j * cell, top + i * tall, cell - (cell > 6 ? 1 : 0), tall - (tall > 6 ? 1 : 0));
      }
    }
    context.fillStyle = css("--ink");
    context.textAlign = "right";
    if (left) rows.forEach((piece, i) => context.fillText(brief(piece, 12), left - 8, top + (i + 0.5) * tall));
    context.textAlign = "left";
    if (top) columns.forEach((piece, j) => {
      context.save();
      context.translate(left + (j + 0.5) * cell, top - 5);
      context.rotate(-Math.PI / 2.6);
      context.fillText(brief(piece, 12), 0, 0);
      context.restore();
    });
    context.strokeStyle = css("--ink");
    context.lineWidth = 2;
    context.strokeRect(left + this.at[1] * cell, top + this.at[0] * tall, Math.max(cell - 1, 3), Math.max(tall - 1, 3));
    byId("low").textContent = signed(-most, this.digits);
    byId("high").textContent = signed(most, this.digits);
    byId("ramp").style.background = `linear-gradient(90deg, ${tint(-1, 1)}, ${tint(0, 1)}, ${tint(1, 1)})`;
  }

  cellAt(x, y) {
    const { left, top, cell, tall } = this.shape, i = Math.floor((y - top) / tall), j = Math.floor((x - left) / cell);
    return i >= 0 && j >= 0 && i < this.level.labels[0].length && j < this.level.columns ? [i, j] : null;
  }

  choose(i, j) {
    if (this.at[0] === i && this.at[1] === j) return;
    this.at = [i, j];
    this.rest();
    this.chips[0].press(i);
    this.chips[1].press(j);
    this.draw();
    this.read();
  }

  read() {
    const [i, j] = this.at;
    byId("cell").textContent = `${signed(this.value(i, j), this.digits)}  ${shown(this.level.labels[0][i])} · ${shown(this.level.labels[1][j])}`;
  }
}
