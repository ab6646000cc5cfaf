"""Whether a change of the code changed any number that a user computes: hashes of results, in every tier and dtype.

    python tests/support/same_bits.py before.json                       write hashes, of the code that is installed
    python tests/support/same_bits.py after.json --against before.json  and compare; 1 where anything differs
    ... --only "search numba" "map"                                     only names that begin so (all: 4 minutes)

Only the public API and the commands are used, so the same file runs with any layout of the code.  Both runs must be on
one machine, with the same NumPy and Numba: bits are not promised across machines.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from pydoc_data.topics import topics

import numpy as np

from minembed import Embedder, Index, cosine_similarity, paraphrase_mining_embeddings, top_k

TIERS, DTYPES = ("numpy", "numba"), ("float32", "bfloat16", "int8")
TEXTS, QUERIES, STEPS = 2000, 200, 20


def texts() -> list[str]:
    """Paragraphs of Python's own reference, sentences and single words: short, long and beyond the limit."""
    paragraphs = [" ".join(part.split()) for name in sorted(topics) for part in topics[name].split("\n\n")]
    found = [part for part in paragraphs if part]
    sentences = [part.split(". ")[0] for part in found]
    words = [part.split()[0] for part in found]
    mixed = [text for group in zip(found, sentences, words, strict=True) for text in group]
    return [*mixed[: TEXTS - 2], " ".join(found[:40]), ""]


def digest(*arrays: np.ndarray) -> str:
    """One hash of arrays: dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str} {array.shape} ".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()


def encoding(backend: str, dtype: str, corpus: list[str]) -> Iterator[tuple[str, str]]:
    """Vectors of all texts, one by one for some; token embeddings, smaller vectors."""
    model = Embedder.load(backend=backend, dtype=dtype)
    yield "vectors", digest(model.encode(corpus, truncation="silent", show_progress_bar=False))
    yield "single", digest(*(model.encode(text, truncation="silent") for text in corpus[:60]))
    yield "tokens", digest(*model.token_embeddings(corpus[:40]))
    yield "truncated", digest(model.encode(corpus[:100], truncate_dim=128))


def searching(backend: str, corpus: list[str]) -> Iterator[tuple[str, str]]:
    """Exact top-k in every metric, through an index, and all pairs."""
    vectors = Embedder.load(backend="numpy").encode(corpus, truncation="silent", show_progress_bar=False)
    queries, rows = vectors[:QUERIES], vectors[QUERIES:]
    for metric in ("cosine", "dot", "euclidean", "manhattan"):
        found = top_k(queries, rows, 10, metric=metric, backend=backend)
        yield f"{metric}", digest(np.asarray(found[0]), np.asarray(found[1]))
    index = Index.build(rows)
    for query in (queries, queries[:1]):
        hits = index.search(query, 10)
        yield f"index of {len(query)}", hashlib.sha256(repr(hits).encode()).hexdigest()
    mined = paraphrase_mining_embeddings(vectors[:500])
    yield "mining", hashlib.sha256(repr(mined).encode()).hexdigest()
    yield "similarity", digest(cosine_similarity(queries, rows))


def command(*arguments: object) -> None:
    """Run a command of minembed."""
    subprocess.run([sys.executable, "-P", "-m", "minembed", *map(str, arguments)], check=True, capture_output=True)


def training(backend: str, corpus: list[str]) -> Iterator[tuple[str, str]]:
    """Twenty steps of each kind of training: the weights in the end."""
    with tempfile.TemporaryDirectory() as folder:
        yield from trained(backend, corpus, Path(folder))


def trained(backend: str, corpus: list[str], folder: Path) -> Iterator[tuple[str, str]]:
    """The same, in a folder."""
    long_enough = [text for text in corpus if len(text) > 40]
    pairs = folder / "pairs.jsonl"
    rows = zip(long_enough[0::2], long_enough[1::2], strict=False)
    lines = [json.dumps({"anchor": a, "positive": b}) for a, b in list(rows)[:320]]
    pairs.write_text("\n".join(lines), encoding="utf-8")
    lines_of_text = folder / "texts.txt"
    lines_of_text.write_text("\n".join(long_enough[:200]), encoding="utf-8")
    common = ("--max-steps", STEPS, "--batch-size", 8, "--max-seq-length", 64, "--backend", backend)
    command("train", "contrastive", pairs, folder / "pairs", *common)
    yield "contrastive", weights(folder / "pairs")
    command("train", "mlm", lines_of_text, folder / "words", "--init", "tiny", *common)
    yield "mlm", weights(folder / "words")


def weights(run: Path) -> str:
    """One hash of the weights that a training saved."""
    return hashlib.sha256((run / "model" / "model.safetensors").read_bytes()).hexdigest()


def mapping(corpus: list[str]) -> Iterator[tuple[str, str]]:
    """A page by PCA and one by t-SNE, as bytes."""
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "map.txt"
        lines.write_text("\n".join(text for text in corpus if text), encoding="utf-8")
        for method in ("pca", "tsne"):
            page = Path(folder) / f"{method}.html"
            command("map", lines, "-o", page, "--method", method, "--sample", 300)
            yield method, hashlib.sha256(page.read_bytes()).hexdigest()


def parts() -> dict[str, Callable[[list[str]], Iterator[tuple[str, str]]]]:
    """What can be computed, by the beginning of its results' names."""
    found: dict[str, Callable[[list[str]], Iterator[tuple[str, str]]]] = {}
    for backend in TIERS:
        for dtype in DTYPES:
            found[f"encode {backend} {dtype}"] = partial(encoding, backend, dtype)
        found[f"search {backend}"] = partial(searching, backend)
        found[f"train {backend}"] = partial(training, backend)
    return found | {"map": mapping}


def main() -> int:
    """Write the hashes, and compare them if there are older ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--only", nargs="+", default=[""], help="beginnings of names")
    options = parser.parse_args()
    corpus, found = texts(), {}
    for part, compute in parts().items():
        if not part.startswith(tuple(options.only)):
            continue
        for name, value in compute(corpus):
            found[f"{part} {name}"] = value
            print(f"{part} {name}", value[:12], flush=True)
    options.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    if options.against is None:
        return 0
    before = json.loads(options.against.read_text(encoding="utf-8"))
    before = {name: value for name, value in before.items() if name.startswith(tuple(options.only))}
    changed = [name for name in sorted(before.keys() | found.keys()) if before.get(name) != found.get(name)]
    print(f"{len(found)} results, {len(changed)} differ", *changed, sep="\n  ")
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
