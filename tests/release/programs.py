"""What is run in the environment of each artefact: programs for all, and one for what an extra adds.

Every program runs from an empty folder with `-I -W error`, and every command with PYTHONWARNINGS=error, those that the
programs start as well, so that neither a checkout nor a warning can hide.  What packages of an extra warn of by
themselves is in IGNORED, each warning by name.
"""

HEAVY = {"mteb": "brings torch, 1.9 GB", "txtai": "brings torch, 1.2 GB", "ray": "600 MB"}  # with HEAVY=1 alone

BASE = """
import json, sys
from importlib.util import find_spec
import minembed
from minembed import Embedder, Index
assert "site-packages" in minembed.__file__, minembed.__file__
texts = ["How do I bake bread?", "Knead the dough, then let it rise.", "Compile it with -O2."]
model = Embedder.load("all-MiniLM-L6-v2", local_files_only=True)
vectors = model.encode(texts)
assert vectors.shape == (3, 384) and all((model.encode(t) == v).all() for t, v in zip(texts, vectors))
index = Index.build(model, texts[1:])
assert index.search(texts[0], k=1)[0].text == texts[1]
index.save("notes.index")
assert Index.load("notes.index", model).search(texts[0], k=1)[0].text == texts[1]
cosine = float(model.similarity(vectors[0], vectors[1])[0, 0])
found = {"version": minembed.__version__, "backend": model.backend, "cosine": cosine}
print(json.dumps(found | {"numba": find_spec("numba") is not None, "torch": find_spec("torch") is not None}))
"""
COSINE, WITHIN = 0.521131, 1e-5  # of the first two texts, by all-MiniLM-L6-v2 in float32

COMMANDS = [  # words of `minembed`, and what is looked for in what it prints
    (["--version"], "{version}"),
    (["similarity", "a cat", "a kitten"], "0.7"),
    (["search", "notes.txt", "what to do with dough", "-k", "1", "--no-cache"], "Knead the dough"),
    (["embed", "-i", "notes.txt", "-o", "vectors.npy"], "vectors.npy: 3 vectors of 384 float32 numbers"),
    (["doctor"], "Yes: identical to the last bit"),
]

VECTORS = f"""
from pathlib import Path
import numpy as np
from minembed import Embedder
vectors = np.load("vectors.npy", allow_pickle=False)
assert vectors.shape == (3, 384) and vectors.dtype == np.float32, (vectors.shape, vectors.dtype)
lines = Path("notes.txt").read_text(encoding="utf-8").splitlines()
model = Embedder.load("all-MiniLM-L6-v2", local_files_only=True)
assert (vectors == model.encode(lines)).all(), "the command and the library have different vectors"
cosine = float(vectors[0] @ vectors[1])
assert abs(cosine - {COSINE}) < {WITHIN}, cosine
"""  # after the commands: what `minembed embed` wrote

IGNORED = {  # extras, and what their packages warn of by themselves: "ignore:MESSAGE:CATEGORY"
    "bertopic": ["ignore:Tensorflow not installed; ParametricUMAP will be unavailable:ImportWarning"],  # of umap
}

_INTEGRATION = "from minembed.integrations.{} import *\n"
SERVE = """
import re, subprocess, sys, urllib.request
from pathlib import Path
from minembed import Embedder
command = Path(sys.executable).with_name("minembed")
lines = []
words = [command, "serve", "all-MiniLM-L6-v2", "--port", "0", "--offline"]
with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:
    try:
        for line in server.stdout:
            lines.append(line)
            if found := re.search(r"ready on (\\S+)", line):
                break
        assert found, lines
        there, here = Embedder.connect(found[1]), Embedder.load(local_files_only=True)
        assert (there.encode(["a cat"]) == here.encode(["a cat"])).all()
    finally:
        server.terminate()
        server.stdout.read()
"""
MAP = """
import subprocess, sys
from pathlib import Path
command = Path(sys.executable).with_name("minembed")
Path("many.txt").write_text("".join(f"{who} {what}\\n" for who in ("a cat", "a dog", "a horse", "bread", "soup", "rice")
                            for what in ("today", "again", "at home", "in town", "for two", "in spring")))
for method, file in (("pca", "map.html"), ("tsne", "map.png"), ("umap", "map.svg")):
    subprocess.run([command, "map", "many.txt", "--method", method, "-o", file, "--no-cache", "--offline"], check=True)
    assert Path(file).stat().st_size > 10_000, file
"""
JOBS = """
import os
os.environ.pop("PYTHONWARNINGS")  # Ray's own processes, which it starts with this environment, are not ours to judge
import ray
from minembed import Embedder, jobs
from pathlib import Path
Path("many.txt").write_text("".join(f"text {i}\\n" for i in range(50)))
ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)
model = Embedder.load(local_files_only=True, backend="numpy")
jobs.embed("many.txt", "vectors", model, engine="ray", form="safetensors")
assert list(Path("vectors").rglob("*.safetensors"))
ray.shutdown()
"""
S3 = """
import os, urllib.request
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
server.start()
url = "http://{}:{}".format(*server.get_host_and_port())
own = {"AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "made-up", "AWS_SECRET_ACCESS_KEY": "made-up"}
os.environ.update(own, AWS_EC2_METADATA_DISABLED="true")
urllib.request.urlopen(urllib.request.Request(url + "/shop", method="PUT")).close()
from minembed import Embedder, jobs
model = Embedder.load(local_files_only=True, backend="numpy")
jobs.embed("notes.txt", "s3://shop/vectors", model)
found = urllib.request.urlopen(url + "/shop?list-type=2").read().decode()
assert found.count(".parquet</Key>") == 1 and "manifest.json</Key>" in found, found
server.stop()
"""

EXTRAS = {
    "": "",
    "arrow": "import pyarrow as pa\nfrom minembed import Embedder\n"
    "model = Embedder.load(local_files_only=True)\nassert model.encode(pa.array(['a', 'b'])).shape == (2, 384)\n"
    "import subprocess, sys\nfrom pathlib import Path\nfrom pyarrow import parquet\n"
    "command = Path(sys.executable).with_name('minembed')\n"
    "subprocess.run([command, 'embed', '-i', 'notes.txt', '-o', 'v.parquet', '--offline'], check=True)\n"
    "assert parquet.read_table('v.parquet').num_rows == 3\n",
    "numba": "from minembed import Embedder, top_k\nimport numpy as np\n"
    "model = Embedder.load(local_files_only=True, dtype='int8', backend='numba')\n"
    "assert model.encode(['a', 'b']).shape == (2, 384)\n"
    "top_k(np.eye(9, dtype=np.float32)[:1], np.eye(9, dtype=np.float32), 3, backend='numba')\n",
    "viz": MAP,
    "serve": SERVE,
    "langchain": _INTEGRATION.format("langchain") + "assert len(MinembedEmbeddings().embed_query('a')) == 384",
    "llama-index": _INTEGRATION.format("llama_index")
    + "assert len(MinembedEmbedding().get_query_embedding('a')) == 384",
    "haystack": _INTEGRATION.format("haystack") + "assert len(MinembedTextEmbedder().run('a')['embedding']) == 384",
    "chroma": _INTEGRATION.format("chroma") + "assert len(MinembedEmbeddingFunction()(['a'])[0]) == 384",
    "sklearn": _INTEGRATION.format("sklearn") + "assert MinembedVectorizer().fit_transform(['a']).shape == (1, 384)",
    "bertopic": _INTEGRATION.format("bertopic") + "assert MinembedBackend().embed(['a']).shape == (1, 384)",
    "keybert": _INTEGRATION.format("keybert") + "assert MinembedBackend().embed(['a']).shape == (1, 384)",
    "mteb": _INTEGRATION.format("mteb") + "assert MinembedEncoder().model.encode('a').shape == (384,)",
    "txtai": "from txtai import Embeddings\n"
    "store = Embeddings(method='minembed.integrations.txtai.MinembedVectors', path='all-MiniLM-L6-v2')\n"
    "assert store.transform('a').shape == (384,)",
    "ray": JOBS,
    "s3": S3,
    "browser": "import selenium",
    "types": "import subprocess, sys\nfrom pathlib import Path\n"
    "Path('user.py').write_text('from minembed import Embedder\\n'\n"
    '                           \'Embedder.load().encode("a", precision="int9")\\n\')\n'
    "checker = Path(sys.executable).with_name('basedpyright')\n"
    "done = subprocess.run([checker, 'user.py'], capture_output=True, text=True)\n"
    "assert 'int9' in done.stdout, done.stdout + done.stderr",
    "dev": "import hypothesis, importlinter, mypy, numba, pytest",
}
BESIDE = {"s3": ("arrow", "moto[server]==5.2.5")}  # not an extra: one, and what plays the object store
ALONE = {"bertopic": "bertopic", "keybert": "keybert"}  # installed without what their metadata ask for, as the docs say
