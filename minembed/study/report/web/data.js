// The data of the page: facts as JSON, and arrays; each compressed and in base64.

async function inflated(name) {
  const element = document.getElementById("data-" + name);
  if (!element) return null;
  const text = atob(element.textContent), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  element.remove();
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

async function readData() {
  const facts = JSON.parse(new TextDecoder().decode(await inflated("facts")));
  for (const [i, level] of facts.levels.entries()) {
    const steps = new Int16Array(await inflated(`level${i}`)), values = new Float64Array(steps.length);
    for (let j = 0; j < steps.length; j++) values[j] = steps[j] * level.step;
    level.values = values;
    level.columns = level.labels[1].length;
  }
  if (facts.attention) facts.attention.sides = [await readShares(facts, 0), await readShares(facts, 1)];
  if (facts.corpus) {
    facts.corpus.codes = new Uint8Array(await inflated("codes"));
    facts.corpus.points = new Uint16Array(await inflated("points"));
    facts.corpus.sizes = new Float32Array(await inflated("sizes"));
    facts.corpus.steps = new Float32Array(await inflated("steps"));
  }
  return facts;
}

// Attention of a text: for each layer, head and token the shares of all keys, or of the largest `most`.
async function readShares(facts, side) {
  const values = new Uint8Array(await inflated(`shares${side}`)), keys = await inflated(`keys${side}`);
  const n = facts.sides[side].pieces.length, most = facts.attention.most[side] || n;
  return { values, keys: keys && new Uint16Array(keys), n, most };
}

// The row of a token in a head, as shares of 1; their square roots are stored, which keeps small shares precise.
function rowOf(attention, side, layer, head, token) {
  const { values, keys, n, most } = attention.sides[side], row = new Float32Array(n);
  const at = ((layer * attention.heads + head) * n + token) * most;
  for (let j = 0; j < most; j++) row[keys ? keys[at + j] : j] = (values[at + j] / 255) ** 2;
  return row;
}
