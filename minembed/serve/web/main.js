// What the server offers, and which part of the page is in use.

const LONGEST = 20000; // characters of a call that are shown

class App {
  constructor() {
    this.server = new Server();
    this.models = new Map();
    this.tool = "compare";
    this.language = "curl";
    byId("gate").addEventListener("submit", (event) => {
      event.preventDefault();
      this.server.key = byId("key").value.trim();
      this.start();
    });
    byId("copy").addEventListener("click", () => this.copy());
    byId("model").addEventListener("change", () => this.useModel());
    tabs(["curl", "python", "javascript"].map((name) => byId("tab-" + name)), (name) => {
      this.language = name;
      byId("code").setAttribute("aria-labelledby", "tab-" + name);
      this.offerCalls();
    });
  }

  get model() {
    return byId("model").value;
  }

  facts() {
    return this.models.get(this.model);
  }

  async start() {
    try {
      const listed = await this.server.ask("v1/models"), routes = (await this.server.ask("openapi.json")).paths;
      this.models = new Map(listed.data.filter((one) => one.minembed).map((one) => [one.id, one.minembed]));
      byId("gate").hidden = true;
      this.open(indexesOf(routes));
    } catch (error) {
      if (error.status !== 401) return this.failed(error);
      byId("refused").textContent = this.server.key ? "The server refuses this key." : "";
      byId("gate").hidden = false;
      byId("key").select();
    }
  }

  open(indexes) {
    byId("tools").hidden = false;
    byId("model").replaceChildren(...[...this.models.keys()].map((name) => {
      const option = make("option", "", brief(name.split("/").pop() || name, 60));
      option.value = name;
      option.title = brief(name, 300);
      return option;
    }));
    byId("which").hidden = !this.models.size;
    this.compare = this.models.size ? new Compare(this) : null;
    this.search = indexes.length ? new Search(this, indexes) : null;
    byId("tabs").hidden = !(this.compare && this.search);
    if (this.compare) this.useModel();
    if (this.compare && this.search) tabs([byId("tab-compare"), byId("tab-search")], (name) => this.use(name));
    else this.use(this.search ? "search" : "compare");
    this.isReady = true;
  }

  use(tool) {
    this.tool = tool;
    byId("compare").hidden = tool !== "compare" || !this.compare;
    byId("search").hidden = tool !== "search";
    this.failed(null);
    this.offerCalls();
  }

  useModel() {
    const facts = this.facts();
    byId("facts").textContent = `${count(facts.dimension, "number")} per vector · reads ${count(facts.max_seq_length, "token")} · ${facts.dtype} · ${facts.backend}`;
    this.compare.offerPrompts(facts.prompts);
    this.compare.run();
  }

  offerCalls() {
    const tool = this[this.tool];
    this.code = tool ? tool.calls(this.server.base, this.server.key)[this.language] : "";
    const long = this.code.length > LONGEST;
    byId("code").textContent = long ? this.code.slice(0, LONGEST) + "\n… (Copy copies all of it)" : this.code;
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.code);
      byId("copy").textContent = "Copied";
    } catch (error) {
      getSelection().selectAllChildren(byId("code"));
      byId("copy").textContent = "Selected";
    }
    setTimeout(() => { byId("copy").textContent = "Copy"; }, 1500);
  }

  failed(error) {
    byId("failed").hidden = !error;
    byId("failed").textContent = error ? brief(error.message, 600) : "";
  }
}

// The names of the indexes, from the server's OpenAPI document.
function indexesOf(routes) {
  const found = JSON.stringify(routes["/v1/search"] || null), names = [];
  JSON.parse(found, (name, value) => {
    if (name === "index" && value && value.anyOf) names.push(...value.anyOf.flatMap((one) => one.enum || []));
    return value;
  });
  return names;
}

const app = window.minembedPage = new App();
app.start();
