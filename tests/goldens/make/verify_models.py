"""Compare real checkpoints with sentence-transformers: token ids and vectors (or scores) of 100 texts, on each tier.

    make verify-models NAMES="BAAI/bge-small-en-v1.5 intfloat/e5-base-v2" PYTHON=path/to/python

That Python has sentence-transformers, and minembed with Numba:  pip install sentence-transformers '.[numba]'
A name may also be a folder.  Prints a table, and exits with 1 where a checkpoint differs or does not load.
Checkpoints whose own code sentence-transformers wants to run are compared only with --trust-remote-code; minembed
never runs it.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import corpus
import numpy as np

from minembed import Embedder, Reranker
from minembed.cli.console import table
from minembed.weights.sources.locate import locate

TEXTS = corpus.texts()[::11]
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))  # for cross-encoders
TIERS = ["numpy", "numba"] if find_spec("numba") else ["numpy"]
DIFFERENCE = 5e-6  # of vectors of length 1, or of scores over the largest; all-MiniLM-L6-v2 is 3e-7 apart
COSINE = 0.999999
HEADER = ["name", "family", *(f"difference, {tier}" for tier in TIERS), "smallest cosine", "same ids"]
HEADER += ["s, reference", *(f"s, {tier}" for tier in TIERS), ""]


@dataclass(frozen=True)
class Encoded:
    """What one implementation makes of the texts."""

    vectors: np.ndarray  # (N, D); of a cross-encoder the scores, (N,) or (N, L)
    ids: list[list[int]]
    seconds: float


def is_cross_encoder(folder):
    """Whether a folder holds a model for pairs, by the class that its config.json names."""
    path = folder / "config.json"
    named = json.loads(path.read_text(encoding="utf-8")).get("architectures") if path.exists() else None
    return any(name.endswith("ForSequenceClassification") for name in named or ())


def by_reference(place, pairs, trusted):
    """Encode with sentence-transformers, one text at a time, so that no padding comes in."""
    from sentence_transformers import CrossEncoder, SentenceTransformer

    arguments = {"device": "cpu", "model_kwargs": {"dtype": "float32"}, "trust_remote_code": trusted}
    model = (CrossEncoder if pairs else SentenceTransformer)(place, **arguments)
    tokenize = getattr(model, "preprocess", None) or model.tokenize  # its name until release 5.4
    ids = [tokenize([text])["input_ids"].flatten().tolist() for text in (PAIRS if pairs else TEXTS)]
    encode = partial(model.predict, PAIRS) if pairs else partial(model.encode, TEXTS)
    start = time.perf_counter()
    vectors = encode(batch_size=1, show_progress_bar=False)
    return Encoded(vectors, ids, time.perf_counter() - start)


def by_minembed(folder, pairs, tier):
    """Encode with minembed."""
    if pairs:
        model = Reranker.load(folder, backend=tier)
        encode, texts = model.predict, PAIRS
        ids = [model.tokenizer.pairs([query], [document]).ids.tolist() for query, document in PAIRS]
    else:
        model = Embedder.load(folder, backend=tier)
        encode, texts = model.encode, TEXTS
        ids = [model.tokenize([text]).ids.tolist() for text in TEXTS]
    encode(texts[:8], truncation="silent")  # compiled kernels are loaded once
    start = time.perf_counter()
    vectors = encode(texts, truncation="silent")
    return Encoded(vectors, ids, time.perf_counter() - start)


def distance(got, expected, pairs=False):
    """The largest difference of vectors brought to length 1, and the smallest cosine.

    Scores of pairs are compared as they are, over the largest if that is above 1; all of them are one vector.
    """
    a, b = (np.asarray(x, np.float64) for x in (got, expected))
    if pairs:
        a, b = (x.reshape(1, -1) / max(1, np.abs(b).max()) for x in (a, b))
        difference = np.abs(a - b).max()
    a, b = (x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12) for x in (a, b))
    cosines = np.where((a == b).all(axis=1), 1.0, (a * b).sum(axis=1))  # of nothing with nothing too
    return difference if pairs else np.abs(a - b).max(), cosines.min()


def judge(name, family, reference, tiers, pairs):
    """One row of the table, and whether all is well."""
    distances = [distance(encoded.vectors, reference.vectors, pairs) for encoded in tiers]
    cosine = min(cosine for _, cosine in distances)
    same = sum(all(encoded.ids[i] == ids for encoded in tiers) for i, ids in enumerate(reference.ids))
    well = same == len(reference.ids) and cosine >= COSINE and all(d <= DIFFERENCE for d, _ in distances)
    row = [name, family, *(f"{d:.1e}" for d, _ in distances), f"{cosine:.9f}", f"{same}/{len(reference.ids)}"]
    return [*row, *(f"{encoded.seconds:.1f}" for encoded in (reference, *tiers)), "ok" if well else "DIFFERS"], well


def verify(name, trusted):
    """One row of the table, and whether all is well; what fails to load is said in its row."""
    try:
        folder = locate(name).folder
        pairs = is_cross_encoder(folder)
        tiers = [by_minembed(folder, pairs, tier) for tier in TIERS]
        reference = by_reference(name if trusted else str(folder), pairs, trusted)
        family = (Reranker if pairs else Embedder).load(folder, backend="numpy").info()["family"]
        return judge(name, family, reference, tiers, pairs)
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
