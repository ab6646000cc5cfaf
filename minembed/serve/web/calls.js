// The current inputs as the code of a call: for a shell, for Python, for JavaScript.

// JSON with escapes for invisible characters, so that the code shows what it does; also a literal of Python and JavaScript.
function literal(value, indent) {
  const code = (sign) => "\\u" + sign.charCodeAt(0).toString(16).padStart(4, "0");
  return JSON.stringify(value, null, indent).replace(/[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/g, code);
}

const quoted = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

function curl(base, path, value, key) {
  const header = key ? " \\\n  -H \"Authorization: Bearer $MINEMBED_KEY\"" : "";
  return `curl ${quoted(base + path)} \\\n  -H 'Content-Type: application/json'${header} \\\n  -d ${quoted(literal(value, 1))}`;
}

function javascript(base, path, value, key, end) {
  const header = key ? ', Authorization: "Bearer " + process.env.MINEMBED_KEY' : "";
  return `const reply = await fetch(${literal(base + path)}, {
  method: "POST",
  headers: { "Content-Type": "application/json"${header} },
  body: JSON.stringify(${literal(value, 2).replaceAll("\n", "\n  ")}),
});
${end}`;
}

const given = (side) => literal(side.texts) + (side.prompt ? `, prompt_name=${literal(side.prompt)}` : "");

// Calls for two boxes of texts: vectors of both, compared.
function comparing(base, model, left, right, key) {
  const value = (side) => ({ model, input: side.texts, ...(side.prompt && { prompt_name: side.prompt }) });
  const own = key ? ', api_key=os.environ["MINEMBED_KEY"]' : "";
  const one = left.prompt === right.prompt;
  const both = { texts: [...left.texts, ...right.texts], prompt: left.prompt };
  const shell = one ? curl(base, "v1/embeddings", value(both), key)
    : [left, right].map((side) => curl(base, "v1/embeddings", value(side), key)).join("\n\n");
  const url = base.replace(/\/$/, "");
  return {
    curl: shell,
    python: `${key ? "import os\n\n" : ""}from minembed import Embedder

model = Embedder.connect(${literal(url)}, model=${literal(model)}${own})
rows = model.encode(${given(left)})
columns = model.encode(${given(right)})
print(model.similarity(rows, columns))`,
    javascript: javascript(base, "v1/embeddings", value(one ? both : left), key,
      one ? `const { data } = await reply.json(); // the first ${left.texts.length} are the rows`
        : "const { data } = await reply.json(); // the rows; request the columns in the same way"),
  };
}

// Calls for a search.
function searching(base, value, key) {
  const header = key ? ', "Authorization": "Bearer " + os.environ["MINEMBED_KEY"]' : "";
  return {
    curl: curl(base, "v1/search", value, key),
    python: `import json
${key ? "import os\n" : ""}from urllib.request import Request, urlopen

body = json.dumps(${literal(value)}).encode()
headers = {"Content-Type": "application/json"${header}}
with urlopen(Request(${literal(base + "v1/search")}, body, headers)) as reply:
    for hit in json.load(reply)["data"]:
        print(hit["score"], hit["text"])`,
    javascript: javascript(base, "v1/search", value, key,
      "for (const { score, text } of (await reply.json()).data) console.log(score, text);"),
  };
}
