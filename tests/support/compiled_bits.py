"""Hashes of all that compiled kernels compute, in a process of its own.

    python compiled_bits.py BACKEND VARIANT CHECKPOINT ...      VARIANT: the library to take, whatever suits this CPU

Backend "numba" takes what NUMBA_CPU_NAME says; VARIANT is then "".  The first checkpoint is trained too.
"""

import hashlib
import json
import sys
import tempfile
from itertools import product
from pathlib import Path

import numpy as np

PARTS = ["the cat", "un believ able", "rain and sun", "a book on the river", "tree"]
TEXTS = [" ".join(PARTS[i % 5 :] * (i // 5 % 9) + PARTS[: i % 4]) for i in range(2000)]  # of up to 64 tokens


def choose(variant):
    """Let this process take a variant; before any kernel is imported."""
    from minembed.kernels.compiled.variants import VARIANTS
    from minembed.kernels.tiles import permission
    from minembed.kernels.vectors import target

    target.TARGET = permission.TARGET = VARIANTS[variant].target
    if target.TARGET.amx and not target.target_of_numba().amx:
        permission.permitted = lambda: False


def digest(*arrays):
    """One hash of dtypes, shapes and bytes."""
    total = hashlib.sha256()
    for array in map(np.asarray, arrays):
        total.update(f"{array.dtype.str} {array.shape}".encode() + np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:16]


def encoding(backend, folders):
    """Vectors of a batch, and of single texts, which two cores may share."""
    from minembed import Embedder

    for folder, dtype, threads in product(folders, ("float32", "bfloat16", "int8"), (1, 2)):
        model = Embedder.load(folder, backend=backend, dtype=dtype, threads=threads)
        assert model.backend == backend
        singles = [model.encode(text, truncation="silent") for text in TEXTS[:50]]
        name = f"{Path(folder).name} {dtype} {threads}"
        yield name, digest(model.encode(TEXTS, truncation="silent"), *singles)


def searching(backend):
    """500 exact searches on rows and as many on bytes, of one query and of several."""
    from minembed import top_k
    from minembed.search.quantized import quantize_corpus

    rng = np.random.default_rng(1)
    corpus = rng.standard_normal((3000, 96), dtype=np.float32)
    quantized = quantize_corpus(corpus)
    for metric in ("dot", "cosine", "euclidean", "manhattan"):
        for count, times in ((1, 25), (10, 10)):
            queries = rng.standard_normal((times, count, 96), dtype=np.float32)
            for kind, of in (("floats", None), ("bytes", quantized)):
                found = (top_k(q, corpus, 7, metric, backend=backend, threads=2, quantized=of) for q in queries)
                yield f"{metric} {count} {kind}", digest(*(array for pair in found for array in pair))


def training(backend, folder):
    """Twenty steps, and the optimiser's own two functions in both precisions."""
    from training_cases import PAIRS

    from minembed.runtime.backend import resolve
    from minembed.train.backward.trees import flat
    from minembed.train.contrastive import train_contrastive
    from minembed.train.model import Trainee
    from minembed.train.settings import Settings

    trainee = Trainee.load(folder)
    settings = Settings(max_steps=20, batch_size=4, learning_rate=1e-3, dropout=0.1, backend=backend, threads=1)
    with tempfile.TemporaryDirectory() as place:
        train_contrastive(trainee, PAIRS, settings, Path(place) / "run", show_progress_bar=False)
    yield "weights", digest(*(array for _, array in sorted(flat(trainee.weights).items())))
    update, replay = resolve("adamw", backend), resolve("adamw_replay", backend)
    rng = np.random.default_rng(2)
    for dtype in (np.float32, np.float64):
        p, m, v, g = (np.abs(rng.standard_normal((9, 5))).astype(dtype) for _ in range(4))
        constants = np.array([0.99, 0.1, 0.999, 0.001, 0.01, 1.5, 1e-8]).astype(dtype)
        update(*(x.reshape(-1) for x in (p, m, v, g)), constants)
        rows, last = np.array([1, 4, 8]), np.array([0, 2, 0, 0, 5, 0, 0, 0, 6])
        replay(p, m, v, rows, last, 3, np.stack([constants] * 4))
        yield f"optimiser {np.dtype(dtype)}", digest(p, m, v)


def main(backend, variant, *folders):
    """Print the hashes as JSON."""
    if variant:
        choose(variant)
    found = {f"encode {name}": value for name, value in encoding(backend, folders)}
    found |= {f"search {name}": value for name, value in searching(backend)}
    found |= {f"train {name}": value for name, value in training(backend, folders[0])}
    if backend == "native":
        from minembed.kernels.compiled.ahead_of_time import open_native

        assert not {"numba", "llvmlite"} & set(sys.modules) or variant
        from minembed.kernels.tiles.permission import tiles_usable

        found["variant"] = open_native().variant + " with tiles" * tiles_usable()
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
