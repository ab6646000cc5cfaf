// Other texts as points; for two of them, the pairs of tokens that contribute to their cosine.

class Corpus {
  constructor(data) {
    this.data = data.corpus;
    this.chosen = [0, 1]; // the two texts of the page
    this.next = 0;
    this.hover = 0;
    byId("corpus").hidden = false;
    byId("trust").textContent = this.data.trust;
    const canvas = byId("map");
    const nearest = (event) => {
      const box = canvas.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
      let best = 0, least = Infinity;
      this.places.forEach(([px, py], i) => {
        const far = (px - x) ** 2 + (py - y) ** 2;
        if (far < least) [best, least] = [i, far];
      });
      return best;
    };
    canvas.addEventListener("pointermove", (event) => this.point(nearest(event)));
    canvas.addEventListener("click", (event) => this.choose(nearest(event)));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key], n = this.data.texts.length;
      if (step) this.point((this.hover + step + n) % n);
      else if (event.key === "Enter" || event.key === " ") this.choose(this.hover);
      else return;
      event.preventDefault();
    });
    this.draw();
    this.explain();
  }

  draw() {
    const canvas = byId("map"), { points, texts } = this.data, side = Math.max(220, Math.min(520, canvas.parentElement.clientWidth * (window.innerWidth > 760 ? 0.48 : 1)));
    const context = sized(canvas, side, side), edge = 18;
    this.places = texts.map((_, i) => [edge + (points[2 * i] / 65535) * (side - 2 * edge), side - edge - (points[2 * i + 1] / 65535) * (side - 2 * edge)]);
    const dot = (i, radius, fill, stroke) => {
      context.beginPath();
      context.arc(...this.places[i], radius, 0, 7);
      context.fillStyle = fill;
      context.fill();
      if (!stroke) return;
      context.strokeStyle = stroke;
      context.lineWidth = 2;
      context.stroke();
    };
    texts.forEach((_, i) => dot(i, 3.5, css("--soft")));
    dot(this.hover, 5, css("--accent"));
    context.strokeStyle = css("--ink");
    context.beginPath();
    context.moveTo(...this.places[this.chosen[0]]);
    context.lineTo(...this.places[this.chosen[1]]);
    context.stroke();
    dot(this.chosen[0], 6, css("--bar"), css("--ink"));
    dot(this.chosen[1], 6, css("--far"), css("--ink"));
  }

  point(i) {
    this.hover = i;
    this.draw();
    byId("chosen").textContent = brief(this.data.texts[i], 300);
  }

  choose(i) {
    this.chosen[this.next] = i;
    this.next = 1 - this.next;
    this.hover = i;
    this.draw();
    this.explain();
  }

  // The approximate token states of a text. They are stored as signed bytes, then two numbers per byte, then four.
  states(text) {
    const { offsets, axes: [a, b, c], bytes, codes, steps, sizes } = this.data, rows = [];
    for (let row = offsets[text]; row < offsets[text + 1]; row++) {
      const v = new Float32Array(a + b + c), at = row * bytes, half = at + a, quarter = half + Math.ceil(b / 2);
      for (let j = 0; j < a; j++) v[j] = (codes[at + j] << 24) >> 24;
      for (let j = 0; j < b; j++) v[a + j] = ((codes[half + (j >> 1)] >> (4 * (j & 1))) & 15) - 7.5;
      for (let j = 0; j < c; j++) v[a + b + j] = ((codes[quarter + (j >> 2)] >> (2 * (j & 3))) & 3) - 1.5;
      for (let j = 0; j < v.length; j++) v[j] *= steps[j] * sizes[row];
      rows.push(v);
    }
    return rows;
  }

  explain() {
    const [one, other] = this.chosen, { texts, pieces, lengths, error } = this.data, [p, q] = [pieces[one], pieces[other]];
    const a = this.states(one), b = this.states(other), scale = 1 / (a.length * b.length * lengths[one] * lengths[other]);
    const pairs = a.map((x) => b.map((y) => x.reduce((sum, v, k) => sum + v * y[k], 0) * scale));
    const sides = [p, q].map((labels, side) => new Chips(side ? "second point" : "first point", labels, [], () => {}));
    const sums = [pairs.map((row) => row.reduce((s, v) => s + v, 0)), q.map((_, j) => pairs.reduce((s, row) => s + row[j], 0))];
    const most = Math.max(...sums.map(largest));
    sides.forEach((chips, side) => chips.colour(sums[side], most, (v) => signed(v, 3)));
    byId("why").replaceChildren(...sides.map((chips) => chips.element));
    const order = pairs.flatMap((row, i) => row.map((v, j) => [v, i, j])).sort((x, y) => Math.abs(y[0]) - Math.abs(x[0]));
    byId("whypairs").replaceChildren(...order.slice(0, 6).map(([v, i, j]) => {
      const item = make("li"), line = make("span", "pair", `${signed(v, 3)}  ${shown(p[i])}  ·  ${shown(q[j])}`);
      item.append(line);
      return item;
    }));
    const total = sums[0].reduce((s, v) => s + v, 0);
    byId("chosen").textContent = `${brief(texts[one], 200)}  —  ${brief(texts[other], 200)}`;
    byId("whysum").textContent = `cosine ${total.toFixed(3)} by their output tokens, which are stored rounded: the error is at most ${error.toPrecision(1)} for 95 % of pairs`;
  }
}
