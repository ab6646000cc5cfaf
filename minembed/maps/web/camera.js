// The position of the map on the screen: pan, zoom, and in three dimensions a rotation.

class Camera {
  constructor(data) {
    this.data = data;
    this.width = this.height = 1;
    this.x = new Float32Array(data.n); // screen places of all points, in CSS pixels
    this.y = new Float32Array(data.n);
    this.depth = data.dimensions === 3 ? new Float32Array(data.n) : null; // larger is nearer
    this.reset();
  }

  reset() {
    this.zoom = 1;
    this.cx = this.cy = 0; // the point of the map in the middle of the screen
    this.yaw = this.data.dimensions === 3 ? 0.6 : 0;
    this.pitch = this.data.dimensions === 3 ? 0.45 : 0;
    if (this.data.dimensions === 2) this.fit();
    else this.reach = this.data.place.reduce((most, v) => Math.max(most, Math.abs(v)), 0.01) * 1.1;
  }

  // Fit the points to the screen; they may fill only a part of their square.
  fit() {
    const p = this.data.place;
    let [x0, x1, y0, y1] = [1, -1, 1, -1];
    for (let i = 0; i < this.data.n; i++) {
      x0 = Math.min(x0, p[3 * i]); x1 = Math.max(x1, p[3 * i]);
      y0 = Math.min(y0, p[3 * i + 1]); y1 = Math.max(y1, p[3 * i + 1]);
    }
    this.cx = (x0 + x1) / 2;
    this.cy = (y0 + y1) / 2;
    this.spanX = Math.max(x1 - x0, 0.02);
    this.spanY = Math.max(y1 - y0, 0.02);
  }

  get scale() {
    const room = Math.max(Math.min(this.width, this.height) * 0.06, 16) * 2;
    const base = this.data.dimensions === 3
      ? Math.min(this.width, this.height) * 0.46 / this.reach
      : Math.min((this.width - room) / this.spanX, (this.height - room) / this.spanY);
    return Math.max(base, 1) * this.zoom;
  }

  project() {
    const { data: { n, place }, x, y, depth, scale } = this;
    const left = this.width / 2, top = this.height / 2;
    if (!depth) {
      for (let i = 0; i < n; i++) {
        x[i] = left + (place[3 * i] - this.cx) * scale;
        y[i] = top - (place[3 * i + 1] - this.cy) * scale;
      }
      return;
    }
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    for (let i = 0; i < n; i++) {
      const px = place[3 * i], py = place[3 * i + 1], pz = place[3 * i + 2];
      const across = cy * px + sy * pz, away = cy * pz - sy * px;
      x[i] = left + (across - this.cx) * scale;
      y[i] = top - (cp * py - sp * away - this.cy) * scale;
      depth[i] = sp * py + cp * away;
    }
  }

  // From a point of the map to the screen.
  at(px, py, pz) {
    const [sy, cy, sp, cp] = [Math.sin(this.yaw), Math.cos(this.yaw), Math.sin(this.pitch), Math.cos(this.pitch)];
    const across = cy * px + sy * pz, up = cp * py - sp * (cy * pz - sy * px);
    return [this.width / 2 + (across - this.cx) * this.scale, this.height / 2 - (up - this.cy) * this.scale];
  }

  pan(dx, dy) {
    this.cx -= dx / this.scale;
    this.cy += dy / this.scale;
  }

  turn(dx, dy) {
    this.yaw += dx * 0.008;
    this.pitch = Math.max(-1.5, Math.min(1.5, this.pitch + dy * 0.008));
  }

  zoomAt(factor, sx, sy) {
    const before = this.scale;
    this.zoom = Math.max(0.3, Math.min(400, this.zoom * factor));
    const k = 1 / before - 1 / this.scale;
    this.cx += (sx - this.width / 2) * k;
    this.cy -= (sy - this.height / 2) * k;
  }

  // Move a point into view, if it is not.
  reveal(i) {
    this.project();
    const edge = Math.min(60, this.width / 4, this.height / 4);
    const dx = Math.max(edge - this.x[i], 0) + Math.min(this.width - edge - this.x[i], 0);
    const dy = Math.max(edge - this.y[i], 0) + Math.min(this.height - edge - this.y[i], 0);
    if (dx || dy) this.pan(dx, dy);
  }
}
