// The data of the page: arrays in base64, and compressed facts and texts.

async function readData() {
  const bytes = (name) => {
    const element = document.getElementById("data-" + name);
    const text = atob(element.textContent);
    element.remove();
    const array = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) array[i] = text.charCodeAt(i);
    return array;
  };
  const stream = new Blob([bytes("facts")]).stream().pipeThrough(new DecompressionStream("deflate"));
  const facts = JSON.parse(await new Response(stream).text());
  const grid = new Uint16Array(bytes("points").buffer);
  const n = facts.texts.length, dims = facts.dimensions;
  const place = new Float32Array(3 * n); // from -1 to 1 on the longer side; y grows upwards
  for (let i = 0; i < n; i++)
    for (let d = 0; d < dims; d++) place[3 * i + d] = grid[dims * i + d] / 32767.5 - 1;
  return {
    ...facts, n, place,
    groups: bytes("groups"),
    near: new Uint16Array(bytes("near").buffer),
    nearest: facts.near,
    cosines: new Int16Array(bytes("cosines").buffer),
    codes: bytes("codes"),
    steps: new Float32Array(bytes("steps").buffer),
  };
}

// The approximate vector of a point: signed bytes, then two numbers per byte, then four.
function vectorOf(data, i) {
  const [a, b, c] = data.axes, at = i * data.bytes, v = new Float32Array(a + b + c);
  for (let j = 0; j < a; j++) v[j] = (data.codes[at + j] << 24) >> 24;
  const half = at + a, quarter = half + Math.ceil(b / 2);
  for (let j = 0; j < b; j++) v[a + j] = ((data.codes[half + (j >> 1)] >> (4 * (j & 1))) & 15) - 7.5;
  for (let j = 0; j < c; j++) v[a + b + j] = ((data.codes[quarter + (j >> 2)] >> (2 * (j & 3))) & 3) - 1.5;
  for (let j = 0; j < v.length; j++) v[j] *= data.steps[j];
  return v;
}

// The cosine of two points: exact (to the digits shown) for nearest neighbours, otherwise from the stored vectors.
function cosineOf(data, i, j) {
  for (const [from, to] of [[i, j], [j, i]])
    for (let r = 0; r < data.nearest; r++)
      if (data.near[from * data.nearest + r] === to) return { value: data.cosines[from * data.nearest + r] / 32767, off: 0 };
  const a = vectorOf(data, i), b = vectorOf(data, j);
  let dot = 0, aa = 0, bb = 0;
  for (let c = 0; c < a.length; c++) { dot += a[c] * b[c]; aa += a[c] * a[c]; bb += b[c] * b[c]; }
  const value = aa && bb ? Math.max(-1, Math.min(1, dot / Math.sqrt(aa * bb))) : 0;
  return { value, off: data.error };
}

// The distance on the map, as a share of its longer side.
function mapDistance(data, i, j) {
  const p = data.place;
  return Math.hypot(p[3 * i] - p[3 * j], p[3 * i + 1] - p[3 * j + 1], p[3 * i + 2] - p[3 * j + 2]) / 2;
}

// The rank of point j among the points nearest to i on the map: 1 is the nearest.
function mapRank(data, i, j) {
  const p = data.place, [x, y, z] = [p[3 * i], p[3 * i + 1], p[3 * i + 2]];
  const square = (m) => (p[3 * m] - x) ** 2 + (p[3 * m + 1] - y) ** 2 + (p[3 * m + 2] - z) ** 2;
  const own = square(j);
  let rank = 1;
  for (let m = 0; m < data.n; m++) if (m !== i && m !== j && square(m) < own) rank++;
  return rank;
}
