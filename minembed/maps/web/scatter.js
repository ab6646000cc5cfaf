// Draws tens of thousands of points into an image without a graphics card, the same on every machine.  A point is a
// stamp: the coverage of a few pixels by its shape, at one of 4 x 4 positions inside a pixel.

const PHASES = 4;

function stampOf(shape, radius, phaseX, phaseY) {
  const reach = Math.ceil(radius * 1.25) + 1, size = 2 * reach + 1, fine = 4;
  const inside = {
    circle: (x, y) => x * x + y * y <= radius * radius,
    square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) <= radius * 0.88,
    triangle: (x, y) => y <= radius * 0.75 && y >= -radius * 1.1 + Math.abs(x) * 1.75,
    diamond: (x, y) => Math.abs(x) + Math.abs(y) <= radius * 1.22,
  }[shape];
  const places = [], cover = [];
  for (let row = 0; row < size; row++)
    for (let column = 0; column < size; column++) {
      let hits = 0;
      for (let a = 0; a < fine * fine; a++) {
        const x = column - reach + ((a % fine) + 0.5) / fine - 0.5 - phaseX / PHASES;
        const y = row - reach + (Math.floor(a / fine) + 0.5) / fine - 0.5 - phaseY / PHASES;
        if (inside(x, y)) hits++;
      }
      if (hits) { places.push(column - reach, row - reach); cover.push(hits / (fine * fine)); }
    }
  return { reach, places: Int16Array.from(places), cover: Float32Array.from(cover) };
}

class Scatter {
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.context = canvas.getContext("2d", { alpha: false });
    this.stamps = new Map();
    this.order = Uint32Array.from({ length: data.n }, (_, i) => i);
  }

  resize(width, height, ratio) {
    const [w, h] = [Math.max(Math.round(width * ratio), 1), Math.max(Math.round(height * ratio), 1)];
    this.ratio = ratio;
    if (this.image && this.image.width === w && this.image.height === h) return;
    this.canvas.width = w;
    this.canvas.height = h;
    this.image = this.context.createImageData(w, h);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  stamp(shape, radius, phase) {
    const key = shape + radius + "/" + phase;
    if (!this.stamps.has(key)) {
      const made = stampOf(shape, radius, phase % PHASES, Math.floor(phase / PHASES));
      const width = this.image.width;
      made.offsets = Int32Array.from(made.cover, (_, i) => made.places[2 * i] + made.places[2 * i + 1] * width);
      made.width = width;
      this.stamps.set(key, made);
    }
    return this.stamps.get(key);
  }

  radius(zoom) {
    const n = this.data.n;
    const base = n <= 60 ? 7 : n <= 600 ? 5 : n <= 3000 ? 3.6 : n <= 12000 ? 2.5 : 1.9;
    return Math.min(base * Math.max(zoom, 1) ** 0.3, Math.max(base, 8));
  }

  // Paint all points: `weight[i]` is 0 for hidden, 1 for faint, 2 for shown, 3 for highlighted.
  draw(camera, colours, paper, weight) {
    const { data, pixels, image } = this;
    if (this.stamps.size && this.stamps.values().next().value.width !== image.width) this.stamps.clear();
    if (this.stamps.size > 2000) this.stamps.clear();
    pixels.fill(0xff000000 | (paper[2] << 16) | (paper[1] << 8) | paper[0]);
    if (camera.depth) this.sort(camera.depth);
    const radius = Math.round(this.radius(camera.zoom) * this.ratio * 4) / 4;
    const dense = data.n > 3000 ? 0.78 : 0.9;
    const passes = weight.some((w) => w === 1) ? [1, 2, 3] : [2, 3];
    const ring = data.n <= 3000;
    for (const pass of passes) {
      if (pass !== 2 && !weight.includes(pass)) continue;
      const size = pass === 3 ? Math.max(radius * 1.35, 3 * this.ratio) : radius, alpha = pass === 1 ? 0.2 : pass === 3 ? 1 : dense;
      for (let j = 0; j < data.n; j++) {
        const i = this.order[j];
        if (weight[i] !== pass) continue;
        const x = camera.x[i] * this.ratio, y = camera.y[i] * this.ratio;
        if (!(x > -40 && y > -40 && x < image.width + 40 && y < image.height + 40)) continue;
        const group = data.groups[i], none = group === 255;
        const shape = none ? "circle" : data.shapes[Math.floor(group / (colours.length - 1)) % data.shapes.length];
        const colour = none ? colours[colours.length - 1] : colours[group % (colours.length - 1)];
        const near = camera.depth ? 0.55 + 0.45 * Math.max(0, Math.min(1, (camera.depth[i] + 1.2) / 2.4)) : 1;
        if (ring && pass !== 1) this.put(shape, size + 1.1 * this.ratio, x, y, paper, 1);
        this.put(shape, size, x, y, colour, (none ? 0.7 : 1) * alpha * near);
      }
    }
    this.context.putImageData(image, 0, 0);
  }

  put(shape, radius, x, y, colour, alpha) {
    const px = Math.floor(x), py = Math.floor(y);
    const phase = Math.floor((x - px) * PHASES) + PHASES * Math.floor((y - py) * PHASES);
    const { reach, places, cover, offsets } = this.stamp(shape, radius, phase);
    const { width, height } = this.image, pixels = this.pixels, start = py * width + px;
    const [r, g, b] = colour;
    const whole = px >= reach && py >= reach && px < width - reach && py < height - reach;
    for (let m = 0; m < cover.length; m++) {
      if (!whole) {
        const column = px + places[2 * m], row = py + places[2 * m + 1];
        if (column < 0 || row < 0 || column >= width || row >= height) continue;
      }
      const at = start + offsets[m], a = cover[m] * alpha, old = pixels[at];
      const or = old & 255, og = (old >> 8) & 255, ob = (old >> 16) & 255;
      pixels[at] = 0xff000000 | ((ob + (b - ob) * a) << 16) | ((og + (g - og) * a) << 8) | (or + (r - or) * a);
    }
  }

  // Farthest first, by a counting sort: near points are painted over far ones.
  sort(depth) {
    const steps = 512, counts = new Uint32Array(steps + 1), n = this.data.n;
    const bin = (i) => Math.max(0, Math.min(steps - 1, Math.floor(((depth[i] + 1.8) / 3.6) * steps)));
    for (let i = 0; i < n; i++) counts[bin(i) + 1]++;
    for (let s = 0; s < steps; s++) counts[s + 1] += counts[s];
    for (let i = 0; i < n; i++) this.order[counts[bin(i)]++] = i;
  }
}
