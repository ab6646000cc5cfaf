"""One revision in a race (history.py): it runs the cases that it is given, and returns their CPU seconds.

It calls only public functions, so that older revisions can run it; missing ones are not in a revision's list.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

WORDS = "the cat and a dog in the house by the river where the rain falls on old bread and new books".split()


def texts(count: int, words: int) -> list[str]:
    """Texts with a number of words."""
    return [" ".join(WORDS[(i * 7 + j * (3 + i % 5)) % len(WORDS)] for j in range(words)) for i in range(count)]


def cases(name: str) -> dict[str, Callable[[], object]]:
    """The cases, by name."""
    import minembed
    from minembed import Embedder, Index, top_k

    assert Path(minembed.__file__).is_relative_to(os.environ["PYTHONPATH"]), "another revision would be measured"

    def model(backend: str, dtype: str) -> Embedder:
        return Embedder.load(name, backend=backend, dtype=dtype, threads=1)

    rng, short, long = np.random.default_rng(1), texts(64, 12), texts(8, 150)
    corpus, queries = rng.standard_normal((20_000, 384), dtype=np.float32), rng.standard_normal((8, 384))
    index, fast, plain = Index.build(corpus, precision="int8"), model("numba", "float32"), model("numpy", "float32")
    lowered = {dtype: model("numba", dtype) for dtype in ("bfloat16", "int8")}
    return {
        "short texts": lambda: fast.encode(short),
        "long texts": lambda: fast.encode(long),
        "a text": lambda: [fast.encode(text) for text in short[:12]],
        "short texts, bfloat16": lambda: lowered["bfloat16"].encode(short),
        "short texts, int8": lambda: lowered["int8"].encode(short),
        "short texts, NumPy": lambda: plain.encode(short[:16]),
        "tokens": lambda: fast.tokenize(short * 20),
        "top_k": lambda: top_k(queries, corpus, 10, "cosine", backend="numba", threads=1),
        "search, int8": lambda: index.search(queries, k=10),
    }


def main() -> None:
    """Answer each line, the name of a case, with its seconds."""
    found = cases(sys.argv[1])
    for work in found.values():
        work()
    print(json.dumps(list(found)), flush=True)
    slow = json.loads(os.environ.get("MINEMBED_SPEED_SLOW", "{}"))  # for the test: seconds that a case takes more
    for line in sys.stdin:
        name = line.strip()
        begin = time.process_time()
        found[name]()
        while time.process_time() - begin < slow.get(name, 0):
            pass
        print(time.process_time() - begin, flush=True)


if __name__ == "__main__":
    main()
