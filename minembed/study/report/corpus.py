"""Other texts on the page: their places on a map, and the states of their tokens, which explain any two of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.maps.codes import Codes, encode
from minembed.maps.marks import visible
from minembed.maps.page import extent
from minembed.maps.projection import project
from minembed.maps.trust import measure
from minembed.models.embedder import Embedder
from minembed.study.pieces import pieces_of
from minembed.study.report.packing import block
from minembed.transformer.modules import Normalize
from minembed.types import Array

CODES = 1_100_000  # bytes of all token states
SMALLEST = 16  # bytes of a token's state, at least
PAIRS = 2_000  # for which the error is measured
GRID = 65_535
LONGEST = 300  # characters of a text that are shown


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """The data of the texts, the two of the page first."""

    facts: dict[str, Any]
    blocks: dict[str, str]


def corpus_of(model: Embedder, texts: Sequence[str]) -> Corpus:
    """Embed texts, place them on a map by PCA, and store the states of their tokens.

    Raises InputError if the states do not fit into the page, and for a model that does not pool by the mean.
    """
    tokens = model.tokenize(list(texts))
    check(model, len(tokens.ids))
    states = model.encode(list(texts), output_value="token_embeddings", truncation="silent")
    rows = np.concatenate(states).astype(np.float64)
    bounds = np.cumsum([0, *(len(x) for x in states)])
    lengths = np.array([np.linalg.norm(x.mean(axis=0, dtype=np.float64)) for x in states])
    vectors = np.stack([x.mean(axis=0, dtype=np.float64) for x in states]) / lengths[:, None]
    projection = project(vectors, "pca")
    codes = encode(rows, max(SMALLEST, min(rows.shape[1], CODES // len(rows))))
    sizes = np.linalg.norm(rows, axis=1)
    pieces = [list(pieces_of(model.engine.tokenizer.reference, tokens.select([i]).ids)[0]) for i in range(len(texts))]
    trust = measure(vectors, projection.points)
    facts = {
        "texts": [visible(text[:LONGEST]) + ("…" if len(text) > LONGEST else "") for text in texts],
        "pieces": pieces,
        "offsets": bounds.tolist(),
        "lengths": [round(float(x), 6) for x in lengths],
        "axes": codes.axes,
        "bytes": codes.rows.shape[1],
        "error": error_of(codes, sizes, bounds, lengths, vectors),
        "trust": f"{len(texts):,} texts by PCA, which shows {sum(projection.shares):.0%} of the variance"
        + (f" · {trust}" if trust else ""),
    }
    low, span = extent(projection.points)
    grid = np.rint((projection.points - low) / span * GRID)
    blocks = {
        "codes": block(codes.rows.tobytes()),
        "steps": block(codes.steps.astype("<f4").tobytes()),
        "sizes": block(sizes.astype("<f4").tobytes()),
        "points": block(grid.astype("<u2").tobytes()),
    }
    return Corpus(facts, blocks)


def check(model: Embedder, tokens: int) -> None:
    """Refuse a model that does not pool by the mean, and more tokens than a page can hold.

    >>> check(Embedder.load("all-MiniLM-L6-v2"), 1000)  # doctest: +SKIP
    """
    modules = model.checkpoint.modules
    if tuple(model.checkpoint.pooling) != ("mean",) or any(not isinstance(module, Normalize) for module in modules):
        raise InputError(
            "a corpus needs a model that pools by the mean: only then is a cosine the sum over pairs of output tokens"
        )
    if SMALLEST * tokens > CODES:
        raise InputError(
            f"the corpus has {tokens:,} tokens, and a page holds the states of {CODES // SMALLEST:,}: "
            "take fewer texts, or shorter ones"
        )


def error_of(codes: Codes, sizes: Array, bounds: Array, lengths: Array, vectors: Array) -> float:
    """The 95th percentile of the errors of cosines that are computed from the stored states."""
    stored = codes.decode() * sizes[:, None]
    means = np.add.reduceat(stored, bounds[:-1], axis=0) / np.diff(bounds)[:, None] / lengths[:, None]
    rng = np.random.default_rng(0)
    one, two = rng.integers(0, len(vectors), (2, PAIRS))
    off = np.abs((means[one] * means[two]).sum(axis=1) - (vectors[one] * vectors[two]).sum(axis=1))
    return float(np.percentile(off, 95))
