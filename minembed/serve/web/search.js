// Search in an index, as it is typed.

class Search {
  constructor(app, names) {
    this.app = app;
    this.running = null;
    this.asked = ""; // the query whose hits are shown
    byId("index").replaceChildren(...names.map((name) => {
      const option = make("option", "", shown(name));
      option.value = name;
      return option;
    }));
    byId("index").hidden = names.length < 2;
    byId("index").addEventListener("change", () => this.run());
    byId("query").addEventListener("input", later(120, () => this.run()));
  }

  value() {
    return { index: byId("index").value, query: byId("query").value || "a question", k: 10 };
  }

  async run() {
    if (this.running) this.running.abort();
    const mine = this.running = new AbortController(), begin = performance.now();
    this.app.offerCalls();
    if (!byId("query").value.trim()) {
      this.show([], "");
      return;
    }
    try {
      const value = this.value(), found = await this.app.server.askTwice("v1/search", value, mine.signal), ms = performance.now() - begin;
      this.asked = value.query;
      this.show(found.data, `${count(found.data.length, "hit")}, ${ms.toFixed(ms < 10 ? 1 : 0)} ms round trip`);
      this.app.failed(null);
    } catch (error) {
      if (error.name !== "AbortError") this.app.failed(error);
    }
  }

  show(hits, told) {
    byId("found").textContent = told;
    byId("hits").replaceChildren(...hits.map((hit) => this.hit(hit)));
  }

  hit(hit) {
    const item = make("li"), side = make("div"), bar = make("span", "bar"), text = make("div", "text", hit.text === null ? "" : brief(hit.text, 2000));
    bar.style.width = `${Math.round(100 * Math.min(1, Math.max(0, hit.score)))}%`;
    side.append(make("span", "score", places(hit.score, 3)), bar);
    text.dir = "auto";
    const more = [String(hit.id), ...Object.entries(hit.fields || {}).map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`)];
    item.append(side, text, make("div", "more soft", brief(more.join(" · "), 400)));
    return item;
  }

  calls(base, key) {
    return searching(base, this.value(), key);
  }
}
