"""Compare real checkpoints with sentence-transformers: token ids and vectors of 100 texts, on each tier.

    make verify-models NAMES="BAAI/bge-small-en-v1.5 intfloat/e5-base-v2" PYTHON=path/to/python

That Python has sentence-transformers, and minembed with Numba:  pip install sentence-transformers '.[numba]'
A name may also be a folder.  Prints a table, and exits with 1 where a checkpoint differs or does not load.
Checkpoints whose own code sentence-transformers wants to run are compared only with --trust-remote-code; minembed
never runs it.
"""

import argparse
import sys
import time
from dataclasses import dataclass
from importlib.util import find_spec

import corpus
import numpy as np

from minembed import Embedder
from minembed.cli.console import table
from minembed.weights.sources import locate

TEXTS = corpus.texts()[::11]
TIERS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
DIFFERENCE = 5e-6  # of vectors of length 1; all-MiniLM-L6-v2 is 3e-7 apart, and deeper models add roundings
COSINE = 0.999999
HEADER = ["name", "family", *(f"difference, {tier}" for tier in TIERS), "smallest cosine", "same ids"]
HEADER += ["s, reference", *(f"s, {tier}" for tier in TIERS), ""]


@dataclass(frozen=True)
class Encoded:
    """What one implementation makes of the texts."""

    vectors: np.ndarray  # (N, D)
    ids: list[list[int]]
    seconds: float


def by_reference(place, trusted):
    """Encode with sentence-transformers, one text at a time, so that no padding comes in."""
    from sentence_transformers import SentenceTransformer

    arguments = {"device": "cpu", "model_kwargs": {"dtype": "float32"}, "trust_remote_code": trusted}
    model = SentenceTransformer(place, **arguments)
    tokenize = getattr(model, "preprocess", None) or model.tokenize  # its name until release 5.4
    ids = [tokenize([text])["input_ids"].flatten().tolist() for text in TEXTS]
    start = time.perf_counter()
    vectors = model.encode(TEXTS, batch_size=1, show_progress_bar=False)
    return Encoded(vectors, ids, time.perf_counter() - start)


def by_minembed(folder, tier):
    """Encode with minembed."""
    model = Embedder.load(folder, backend=tier)
    ids = [model.tokenize([text]).ids.tolist() for text in TEXTS]
    model.encode(TEXTS[:8], truncation="silent")  # compiled kernels are loaded once
    start = time.perf_counter()
    vectors = model.encode(TEXTS, truncation="silent")
    return Encoded(vectors, ids, time.perf_counter() - start)


def distance(got, expected):
    """The largest difference of vectors brought to length 1, and the smallest cosine."""
    exact = (x.astype(np.float64) for x in (got, expected))
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in exact)
    cosines = np.where((a == b).all(axis=1), 1.0, (a * b).sum(axis=1))  # of nothing with nothing too
    return np.abs(a - b).max(), cosines.min()


def judge(name, family, reference, tiers):
    """One row of the table, and whether all is well."""
    distances = [distance(encoded.vectors, reference.vectors) for encoded in tiers]
    cosine = min(cosine for _, cosine in distances)
    same = sum(all(encoded.ids[i] == ids for encoded in tiers) for i, ids in enumerate(reference.ids))
    well = same == len(reference.ids) and cosine >= COSINE and all(d <= DIFFERENCE for d, _ in distances)
    row = [name, family, *(f"{d:.1e}" for d, _ in distances), f"{cosine:.9f}", f"{same}/{len(reference.ids)}"]
    return [*row, *(f"{encoded.seconds:.1f}" for encoded in (reference, *tiers)), "ok" if well else "DIFFERS"], well


def verify(name, trusted):
    """One row of the table, and whether all is well; what fails to load is said in its row."""
    try:
        folder = locate(name).folder
        tiers = [by_minembed(folder, tier) for tier in TIERS]
        reference = by_reference(name if trusted else str(folder), trusted)
        return judge(name, Embedder.load(folder, backend="numpy").info()["family"], reference, tiers)
    except Exception as error:  # of any library: the other names are still to be compared
        print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        return [name, *["-"] * (len(HEADER) - 2), "FAILED"], False


def main(arguments=None):
    """Print the table; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help='"org/name", a bare name, or a folder')
    parser.add_argument("--trust-remote-code", action="store_true", help="let sentence-transformers run it")
    options = parser.parse_args(arguments)
    rows, well = zip(*(verify(name, options.trust_remote_code) for name in options.names), strict=True)
    print("\n".join(table([HEADER, *rows], right=frozenset(range(2, len(HEADER) - 1)))))
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
