// Two boxes of texts, and the similarity of each text of one to each of the other.

const MOST = 64; // texts per box
const EXAMPLES = [
  ["How do I bake bread at home?", "The train to the coast leaves at nine.", "My program does not compile."],
  ["A recipe for sourdough", "A railway timetable", "An error in the source code", "Rain is likely this afternoon"],
];

// The texts of a box: its lines, except empty ones.
function linesOf(box) {
  const all = byId(box).value.split("\n").filter((line) => line.trim());
  return { all: all.length, texts: all.slice(0, MOST), prompt: byId(box + "-prompt").value };
}

class Compare {
  constructor(app) {
    this.app = app;
    this.heat = new Heat((i, j) => this.describe(i, j));
    this.result = null;
    this.running = null;
    this.soon = later(250, () => this.run());
    ["left", "right"].forEach((box, i) => {
      byId(box).value = EXAMPLES[i].join("\n");
      byId(box).addEventListener("input", this.soon);
      byId(box).addEventListener("keydown", (event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.run();
      });
      byId(box + "-prompt").addEventListener("change", () => this.run());
    });
  }

  // The prompts to choose from: none, or one of the model's.
  offerPrompts(names) {
    for (const box of ["left", "right"]) {
      const select = byId(box + "-prompt");
      select.replaceChildren(...["", ...names].map((name) => {
        const option = make("option", "", name ? "prompt: " + shown(name) : "no prompt");
        option.value = name;
        return option;
      }));
      select.hidden = !names.length;
    }
  }

  async run() {
    if (this.running) this.running.abort();
    const mine = this.running = new AbortController();
    const left = linesOf("left"), right = linesOf("right"), begin = performance.now();
    for (const [box, side] of [["left", left], ["right", right]]) {
      byId(box + "-count").textContent = side.all > MOST ? `the first ${MOST} of ${count(side.all, "line")}` : count(side.all, "text");
    }
    this.app.offerCalls();
    if (!left.texts.length || !right.texts.length) {
      this.show(null, "");
      return;
    }
    try {
      const [a, b] = await Promise.all([left, right].map((side) => this.app.server.askTwice("v1/embeddings", this.body(side), mine.signal)));
      const ms = performance.now() - begin, vectors = (found) => found.data.map((one) => floats(one.embedding));
      const [rows, columns] = [vectors(a), vectors(b)], tokens = a.usage.total_tokens + b.usage.total_tokens;
      const matrix = rows.map((row) => columns.map((column) => cosine(row, column)));
      const told = `${count(rows.length + columns.length, "text")}, ${count(tokens, "token")}, ${ms.toFixed(ms < 10 ? 1 : 0)} ms round trip`;
      this.show({ left, right, matrix, tokens: new Map() }, told);
      this.app.failed(null);
    } catch (error) {
      if (error.name !== "AbortError") this.app.failed(error);
    }
  }

  body(side) {
    const own = side.prompt ? { prompt_name: side.prompt } : {};
    return { model: this.app.model, input: side.texts, encoding_format: "base64", truncate: true, ...own };
  }

  show(result, told) {
    this.result = result;
    byId("timing").textContent = told;
    byId("map").hidden = byId("pair").hidden = !result;
    if (result) this.heat.draw(result.matrix, result.left.texts, result.right.texts);
  }

  // The chosen pair: both texts, and the tokens of each that the model reads.
  async describe(i, j) {
    const result = this.result;
    byId("cosine").textContent = places(result.matrix[i][j], 4);
    const sides = [[result.left, i], [result.right, j]];
    byId("sides").replaceChildren(...sides.map(([side, k]) => this.side(side.texts[k], result.tokens.get(side.prompt + "\n" + side.texts[k]))));
    if (sides.every(([side, k]) => result.tokens.has(side.prompt + "\n" + side.texts[k]))) return;
    try {
      for (const [side, k] of sides) {
        const value = { model: this.app.model, inputs: side.texts[k], ...(side.prompt && { prompt_name: side.prompt }) };
        result.tokens.set(side.prompt + "\n" + side.texts[k], (await this.app.server.askTwice("tokenize", value))[0]);
      }
    } catch (error) {
      return;
    }
    const [row, column] = this.heat.at;
    if (this.result === result && row === i && column === j) this.describe(i, j);
  }

  side(text, tokens) {
    const side = make("div"), whole = make("p", "text", brief(text, 4000));
    whole.dir = "auto";
    side.append(whole);
    if (!tokens) return side;
    const limit = this.app.facts().max_seq_length, over = tokens.length - limit, list = make("div", "tokens");
    const end = over > 0 ? tokens.length - tokens.slice().reverse().findIndex((token) => !token.special) : tokens.length;
    const told = make("p", "soft", over > 0 ? "" : count(tokens.length, "token"));
    if (over > 0) told.append(make("span", "cut", `${count(tokens.length, "token")}, of which ${limit.toLocaleString("en")} are read`));
    tokens.slice(0, 600).forEach((token, i) => {
      const beyond = over > 0 && i >= end - over && i < end;
      list.append(make("span", token.special ? "special" : beyond ? "beyond" : "", brief(token.text, 80)));
    });
    if (tokens.length > 600) list.append(make("span", "beyond", `… ${tokens.length - 600} more`));
    side.append(told, list);
    return side;
  }

  calls(base, key) {
    const left = linesOf("left"), right = linesOf("right");
    return comparing(base, this.app.model, left, right, key);
  }
}
