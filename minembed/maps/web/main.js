// The actions of the reader, and their effects.

class App {
  constructor(data) {
    this.data = data;
    this.camera = new Camera(data);
    this.scatter = new Scatter(byId("dots"), data);
    this.overlay = new Overlay(byId("marks"), data);
    this.state = { hover: -1, selected: -1, before: -1, pair: null, names: true, visible: new Array(256).fill(true) };
    this.weight = new Uint8Array(data.n).fill(2);
    this.lower = null; // texts in lower case, made by the first search
    this.matches = null;
    this.match = -1;
    this.frames = 0;
    fillHeader(data);
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    this.dark.addEventListener("change", () => this.retheme());
    new ResizeObserver(() => this.resize()).observe(byId("stage"));
    this.listen();
    this.retheme();
    this.resize();
  }

  retheme() {
    const style = getComputedStyle(document.documentElement), value = (name) => style.getPropertyValue("--" + name).trim();
    const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
    this.palette = this.data.palettes[this.dark.matches ? 1 : 0];
    this.colours = this.palette.map(rgb);
    this.theme = { paper: value("paper"), ink: value("ink"), accent: value("accent"), far: value("far") };
    this.paper = rgb(this.theme.paper);
    this.legend();
    this.paint();
  }

  legend() {
    fillLegend(this.data, this.palette, this.state.visible, (group) => {
      this.state.visible[group] = !this.state.visible[group];
      const focused = [...byId("legend").querySelectorAll("button")].indexOf(document.activeElement);
      this.weigh();
      if (focused >= 0) byId("legend").querySelectorAll("button")[focused].focus();
    });
  }

  resize() {
    const box = byId("stage").getBoundingClientRect(), ratio = Math.min(devicePixelRatio || 1, 2);
    this.camera.width = box.width;
    this.camera.height = box.height;
    this.scatter.resize(box.width, box.height, ratio);
    this.overlay.resize(box.width, box.height, ratio);
    this.paint();
  }

  // The weight of each point: hidden, faint, shown, or found.
  weigh() {
    const { data, weight, matches, state } = this;
    for (let i = 0; i < data.n; i++) weight[i] = !state.visible[data.groups[i]] ? 0 : !matches ? 2 : matches[i] ? 3 : 1;
    this.legend();
    this.paint();
  }

  paint(moving = false) {
    if (moving) this.moved = performance.now();
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.frame();
    });
  }

  frame() {
    const begun = performance.now(), heavy = this.data.n > 10000 && devicePixelRatio > 1;
    const moving = heavy && begun - (this.moved || -1e9) < 160; // fewer pixels while the map moves
    this.scatter.resize(this.camera.width, this.camera.height, moving ? 1 : Math.min(devicePixelRatio || 1, 2));
    this.camera.project();
    this.scatter.draw(this.camera, this.colours, this.paper, this.weight);
    this.overlay.draw(this.camera, this.state, this.theme, this.scatter.radius(this.camera.zoom));
    this.frames++;
    this.lasted = performance.now() - begun;
    if (moving) setTimeout(() => this.paint(), 180);
  }

  // The nearest point to a place of the screen, within reach.
  hit(sx, sy, reach = Math.max(this.scatter.radius(this.camera.zoom) + 4, 9)) {
    const { x, y } = this.camera;
    let found = -1, least = reach * reach;
    for (let i = 0; i < this.data.n; i++) {
      if (!this.weight[i]) continue;
      const far = (x[i] - sx) ** 2 + (y[i] - sy) ** 2;
      if (far < least) [found, least] = [i, far];
    }
    return found;
  }

  hover(i, aloud = false) {
    const tip = byId("tip");
    byId("marks").classList.toggle("over", i >= 0);
    if (this.state.hover !== i) this.paintMarks(() => (this.state.hover = i));
    tip.hidden = i < 0;
    if (i < 0) return;
    const text = this.data.texts[i] || "(empty)", name = nameOf(this.data, i);
    const line = (text.length > 300 ? text.slice(0, 300) + "…" : text) + (name ? `\n${name}` : "");
    if (tip.textContent !== line) tip.textContent = line;
    tip.dir = "auto";
    const box = tip.getBoundingClientRect(), [x, y] = [this.camera.x[i], this.camera.y[i]];
    const left = x + 14 + box.width < this.camera.width ? x + 14 : Math.max(x - 14 - box.width, 4);
    const top = y + 14 + box.height < this.camera.height ? y + 14 : Math.max(y - 14 - box.height, 4);
    tip.style.transform = `translate(${left}px, ${top}px)`;
    if (aloud) byId("status").textContent = line;
  }

  // Redraw only the marks, not the points.
  paintMarks(change) {
    change();
    this.overlay.draw(this.camera, this.state, this.theme, this.scatter.radius(this.camera.zoom));
  }

  select(i, keep = true) {
    const state = this.state;
    if (i >= 0 && i === state.selected) return;
    state.before = keep && i >= 0 ? state.selected : -1;
    state.selected = i;
    state.pair = state.before >= 0 ? cosineOf(this.data, i, state.before) : null;
    if (i >= 0) {
      this.camera.reveal(i);
      byId("status").textContent = "Selected: " + this.data.texts[i].slice(0, 200);
    }
    fillChosen(this.data, state, (j) => this.select(j));
    this.paint();
  }

  search(text) {
    const wanted = text.trim().toLowerCase().split(/\s+/).filter(Boolean), { data } = this;
    this.match = -1;
    if (!wanted.length) {
      this.matches = null;
      byId("count").textContent = "";
      return this.weigh();
    }
    this.lower ||= data.texts.map((t) => t.toLowerCase());
    this.matches = new Uint8Array(data.n);
    let many = 0;
    for (let i = 0; i < data.n; i++) if (wanted.every((word) => this.lower[i].includes(word))) { this.matches[i] = 1; many++; }
    byId("count").textContent = many === 1 ? "1 match" : `${many.toLocaleString("en")} matches`;
    this.weigh();
  }

  // The next point that matches the search; without a search, the next point.
  step(by) {
    const { data, matches } = this, from = this.match < 0 && by < 0 ? 0 : this.match;
    for (let s = 1; s <= data.n; s++) {
      const i = (((from + by * s) % data.n) + data.n) % data.n;
      if (this.weight[i] && (!matches || matches[i])) {
        this.match = i;
        this.camera.reveal(i);
        this.camera.project();
        this.hover(i, true);
        return this.paint();
      }
    }
  }

  // From the current point to the nearest one in a direction.
  go(dx, dy) {
    const { camera, state } = this, { x, y } = camera;
    const from = state.hover >= 0 ? state.hover : state.selected;
    const [sx, sy] = from >= 0 ? [x[from], y[from]] : [camera.width / 2, camera.height / 2];
    let found = -1, least = Infinity;
    for (let i = 0; i < this.data.n; i++) {
      if (i === from || this.weight[i] < 2) continue;
      const ahead = (x[i] - sx) * dx + (y[i] - sy) * dy, aside = Math.abs((x[i] - sx) * dy) + Math.abs((y[i] - sy) * dx);
      if (from >= 0 && (ahead <= 0.5 || aside > ahead)) continue;
      const far = Math.hypot(ahead, 2 * aside);
      if (far < least) [found, least] = [i, far];
    }
    if (found < 0) return this.move(dx, dy);
    camera.reveal(found);
    camera.project();
    this.hover(found, true);
    this.paint();
  }

  move(dx, dy) {
    if (this.camera.depth) this.camera.turn(30 * dx, 30 * dy);
    else this.camera.pan(-60 * dx, -60 * dy);
    this.moveEnd();
  }

  zoomBy(factor, sx = this.camera.width / 2, sy = this.camera.height / 2) {
    this.camera.zoomAt(factor, sx, sy);
    this.moveEnd();
  }

  moveEnd() {
    this.camera.project();
    byId("tip").hidden = true;
    this.paint(true);
  }

  clear() {
    if (this.state.selected >= 0) this.select(-1);
    else if (byId("search").value) { byId("search").value = ""; this.search(""); }
    this.hover(-1);
  }

  listen() {
    const marks = byId("marks"), pointers = new Map();
    let moved = 0;
    marks.addEventListener("pointerdown", (e) => {
      marks.setPointerCapture(e.pointerId);
      pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
      moved = pointers.size > 1 ? 99 : 0;
    });
    marks.addEventListener("pointermove", (e) => {
      const last = pointers.get(e.pointerId);
      if (!last) return this.hover(this.hit(e.offsetX, e.offsetY));
      const [dx, dy] = [e.offsetX - last[0], e.offsetY - last[1]];
      const others = [...pointers].filter(([id]) => id !== e.pointerId).map(([, place]) => place);
      moved += Math.abs(dx) + Math.abs(dy);
      if (moved < 4) return;
      marks.classList.add("drag");
      if (others.length) {
        const [[ox, oy]] = others, spread = (p) => Math.hypot(p[0] - ox, p[1] - oy);
        this.camera.zoomAt(spread([e.offsetX, e.offsetY]) / Math.max(spread(last), 1), ox, oy);
      } else if (this.camera.depth && !e.shiftKey) this.camera.turn(dx, dy);
      else this.camera.pan(dx, dy);
      pointers.set(e.pointerId, [e.offsetX, e.offsetY]);
      this.hover(-1);
      this.moveEnd();
    });
    const release = (e) => {
      const was = pointers.delete(e.pointerId);
      marks.classList.remove("drag");
      if (!was || e.type !== "pointerup" || moved >= 4) return;
      const i = this.hit(e.offsetX, e.offsetY, e.pointerType === "touch" ? 22 : undefined);
      if (i >= 0) this.select(i);
      else this.select(-1);
      this.hover(i);
    };
    for (const kind of ["pointerup", "pointercancel"]) marks.addEventListener(kind, release);
    marks.addEventListener("pointerleave", () => pointers.size || this.hover(-1));
    marks.addEventListener("wheel", (e) => {
      e.preventDefault();
      this.zoomBy(Math.exp(-Math.max(-300, Math.min(300, e.deltaY * (e.deltaMode ? 30 : 1))) * 0.0018), e.offsetX, e.offsetY);
      this.hover(-1);
    }, { passive: false });
    marks.addEventListener("keydown", (e) => this.key(e));
    addEventListener("keydown", (e) => {
      const typing = e.target instanceof HTMLInputElement;
      if (e.key === "Escape") this.clear();
      else if (e.key === "/" && !typing) { e.preventDefault(); byId("search").focus(); }
    });
    byId("search").addEventListener("input", (e) => this.search(e.target.value));
    byId("search").addEventListener("keydown", (e) => e.key === "Enter" && this.step(e.shiftKey ? -1 : 1));
    const clicks = {
      in: () => this.zoomBy(1.5), out: () => this.zoomBy(1 / 1.5), all: () => this.home(), clear: () => this.select(-1), closer: () => this.closer(),
      before: () => this.step(-1), after: () => this.step(1), show: () => this.showAll(true), hide: () => this.showAll(false),
    };
    for (const [id, action] of Object.entries(clicks)) byId(id).addEventListener("click", action);
    byId("names").addEventListener("change", (e) => this.paintMarks(() => (this.state.names = e.target.checked)));
  }

  key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[e.key];
    const action = {
      "+": () => this.zoomBy(1.3), "=": () => this.zoomBy(1.3), "-": () => this.zoomBy(1 / 1.3), 0: () => this.home(),
      z: () => this.closer(), n: () => this.step(1), p: () => this.step(-1),
      Enter: () => this.state.hover >= 0 && this.select(this.state.hover),
      " ": () => this.state.hover >= 0 && this.select(this.state.hover),
    }[e.key];
    if (way) e.shiftKey ? this.move(...way) : this.go(...way);
    else if (action) action();
    else return;
    e.preventDefault();
  }

  // Zoom so that the selected point and most of its neighbours fill the screen.
  closer() {
    const { data, camera, state } = this, i = state.selected;
    if (i < 0) return;
    const far = [];
    for (let r = 0; r < data.nearest; r++) far.push(2 * mapDistance(data, i, data.near[i * data.nearest + r]));
    far.sort((a, b) => a - b);
    const reach = Math.max(far[Math.floor(far.length * 0.7)] || 0, 0.004);
    camera.zoomAt((Math.min(camera.width, camera.height) * 0.36) / (reach * camera.scale), camera.x[i], camera.y[i]);
    camera.project();
    camera.pan(camera.width / 2 - camera.x[i], camera.height / 2 - camera.y[i]);
    this.moveEnd();
  }

  home() {
    this.camera.reset();
    this.moveEnd();
  }

  showAll(shown) {
    this.state.visible.fill(shown);
    this.weigh();
  }
}

readData().then(
  (data) => { window.minembedMap = new App(data); },
  (error) => {
    const note = element("p", `This map could not be opened (${error.message}). It needs a browser of 2023 or later.`);
    note.id = "failed";
    document.body.append(note);
    throw error;
  },
);
