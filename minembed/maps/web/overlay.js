// Drawn above the points: names of groups, lines to neighbours, rings.

class Overlay {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.context = canvas.getContext("2d");
    this.places = groupPlaces(data);
  }

  resize(width, height, ratio) {
    this.width = width;
    this.height = height;
    this.canvas.width = Math.max(Math.round(width * ratio), 1);
    this.canvas.height = Math.max(Math.round(height * ratio), 1);
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  draw(camera, state, theme, radius) {
    const { context: c, data } = this;
    c.clearRect(0, 0, this.width, this.height);
    c.lineJoin = "round";
    this.taken = [];
    if (state.names && data.n > 30) this.groupNames(camera, state, theme);
    if (state.selected >= 0) {
      for (let r = 0; r < data.nearest; r++) {
        const j = data.near[state.selected * data.nearest + r];
        this.line(camera, state.selected, j, theme, data.cosines[state.selected * data.nearest + r] / 32767, []);
      }
      if (state.before >= 0) this.line(camera, state.selected, state.before, theme, state.pair.value, [6, 4]);
      for (let r = 0; r < data.nearest; r++) this.ring(camera, data.near[state.selected * data.nearest + r], radius + 1, theme.ink, 1);
      if (state.before >= 0) this.ring(camera, state.before, radius + 4, theme.far, 2.5);
      this.ring(camera, state.selected, radius + 4, theme.ink, 2.5);
    }
    if (state.names && data.n <= 30) this.ownNames(camera, state, theme, radius);
    if (state.hover >= 0) this.ring(camera, state.hover, radius + 3, theme.accent, 2.5);
  }

  line(camera, i, j, theme, cosine, dash) {
    const c = this.context, [x0, y0, x1, y1] = [camera.x[i], camera.y[i], camera.x[j], camera.y[j]];
    c.setLineDash(dash);
    for (const [colour, width] of [[theme.paper, 3], [dash.length ? theme.far : theme.ink, 1.2]]) {
      c.strokeStyle = colour;
      c.lineWidth = width;
      c.globalAlpha = width === 3 ? 0.5 : 0.85;
      c.beginPath();
      c.moveTo(x0, y0);
      c.lineTo(x1, y1);
      c.stroke();
    }
    c.globalAlpha = 1;
    c.setLineDash([]);
    if (Math.hypot(x1 - x0, y1 - y0) < 70) return;
    const [x, y] = [x0 + (x1 - x0) * 0.62, y0 + (y1 - y0) * 0.62];
    if (this.free(x, y, 15, 7)) this.words(cosine.toFixed(2), x, y, theme, 11, 400);
  }

  // Whether a box (middle, half its sides) overlaps none of the earlier ones; if so, it is added to them.
  free(x, y, w, h) {
    if (this.taken.some((o) => Math.abs(o[0] - x) < o[2] + w && Math.abs(o[1] - y) < o[3] + h)) return false;
    this.taken.push([x, y, w, h]);
    return true;
  }

  ring(camera, i, radius, colour, width) {
    const c = this.context;
    c.strokeStyle = colour;
    c.lineWidth = width;
    c.beginPath();
    c.arc(camera.x[i], camera.y[i], radius, 0, 2 * Math.PI);
    c.stroke();
  }

  words(text, x, y, theme, size, weight) {
    const c = this.context;
    c.font = `${weight} ${size}px system-ui, "DejaVu Sans", sans-serif`;
    c.textAlign = "center";
    c.textBaseline = "middle";
    c.strokeStyle = theme.paper;
    c.lineWidth = 4;
    c.globalAlpha = 0.9;
    c.strokeText(text, x, y);
    c.globalAlpha = 1;
    c.fillStyle = theme.ink;
    c.fillText(text, x, y);
  }

  // Names are drawn where their group is densest; one that would cover that of a larger group appears after zooming in.
  groupNames(camera, state, theme) {
    const c = this.context;
    c.font = '600 13px system-ui, "DejaVu Sans", sans-serif';
    this.data.names.forEach((name, group) => {
      if (!state.visible[group] || !this.places[group]) return;
      const [x, y] = camera.at(...this.places[group]), w = c.measureText(name).width / 2 + 4;
      if (x < -20 || y < 0 || x > this.width + 20 || y > this.height) return;
      const middle = Math.min(Math.max(x, w), this.width - w);
      if (this.free(middle, y, w, 10)) this.words(name, middle, y, theme, 13, 600);
    });
  }

  // If few points are visible, their texts are drawn, too.
  ownNames(camera, state, theme, radius) {
    const c = this.context;
    c.font = '400 12px system-ui, "DejaVu Sans", sans-serif';
    for (let i = 0; i < this.data.n; i++) {
      if (!state.visible[this.data.groups[i]]) continue;
      const text = this.data.texts[i].replace(/\s+/g, " "), name = text.length > 34 ? text.slice(0, 33) + "…" : text;
      const w = c.measureText(name).width / 2 + 3, x = Math.min(Math.max(camera.x[i], w), this.width - w);
      for (const y of [camera.y[i] - radius - 11, camera.y[i] + radius + 12])
        if (y > 8 && y < this.height - 8 && this.free(x, y, w, 8)) { this.words(name, x, y, theme, 12, 400); break; }
    }
  }
}

// For each group, the middle of its fullest cell in a grid over the map.
function groupPlaces(data) {
  const cells = 24, counts = new Map(), best = data.names.map(() => ({ many: 0 }));
  const cell = (v) => Math.min(cells - 1, Math.floor(((v + 1) / 2) * cells));
  for (let i = 0; i < data.n; i++) {
    const group = data.groups[i];
    if (group === 255) continue;
    const key = (group * cells + cell(data.place[3 * i])) * cells + cell(data.place[3 * i + 1]);
    const sum = counts.get(key) || { many: 0, x: 0, y: 0, z: 0 };
    sum.many++;
    sum.x += data.place[3 * i];
    sum.y += data.place[3 * i + 1];
    sum.z += data.place[3 * i + 2];
    counts.set(key, sum);
    if (sum.many > best[group].many) best[group] = sum;
  }
  return best.map((sum) => (sum.many ? [sum.x / sum.many, sum.y / sum.many, sum.z / sum.many] : null));
}
