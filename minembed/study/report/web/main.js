// Sets up the page.

async function start() {
  const data = await readData();
  byId("model").textContent = data.model;
  const score = byId("score");
  score.append(make("b", "", data.score.toFixed(4)), document.createTextNode(data.similarity + (data.reading ? ": " + data.reading : "")));
  byId("notes").textContent = data.notes.join("\n");
  byId("main").hidden = false;
  const page = { data, pairs: new Pairs(data), heads: new Heads(data) };
  if (data.attention) page.attention = new Attention(data);
  else document.querySelector('[aria-labelledby="h-attention"]').hidden = true;
  drawLayers(data);
  if (data.corpus) page.corpus = new Corpus(data);
  const redraw = () => {
    for (const part of [page.pairs, page.heads, page.attention, page.corpus]) if (part) part.draw();
  };
  window.addEventListener("resize", later(80, redraw));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  window.minembedReport = page;
}

start().catch((error) => {
  byId("failed").hidden = false;
  byId("failed").textContent = "This page could not be drawn: " + error.message;
  throw error;
});
