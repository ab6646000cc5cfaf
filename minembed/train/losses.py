"""Losses on vectors: each returns its value and its slope by every vector, together.

`columns` are the vectors of the columns of a batch, (B, D) each: an anchor, what it belongs to, and sometimes what it
does not.  Names, definitions and defaults are those of sentence-transformers' losses.  Since a loss needs vectors
alone, a batch may be embedded in parts, one after the other, and its loss is still that of the whole (Gao et al.,
2021).
"""

from collections.abc import Callable, Sequence

import numpy as np

from minembed.errors import InputError
from minembed.ops import softmax
from minembed.params import Array
from minembed.pooling import l2_normalize
from minembed.similarity import SIMILARITY, pairwise
from minembed.train.vjp_vectors import cosine_vjp, dot_vjp, l2_normalize_vjp, pairwise_vjp

Columns = Sequence[Array]
Loss = Callable[[Columns, Array | None], tuple[float, tuple[Array, ...]]]
ALL_PAIRS_VJP = {"cosine": cosine_vjp, "dot": dot_vjp}


def multiple_negatives_ranking(
    columns: Columns,
    labels: Array | None = None,
    *,
    scale: float = 20.0,
    similarity: str = "cosine",
    symmetric: bool = False,
) -> tuple[float, tuple[Array, ...]]:
    """Row i of the first column should pick row i of the second out of all rows of all other columns: InfoNCE.

    That is cross-entropy over similarities times `scale`, one over the temperature (van den Oord et al., 2018;
    Henderson et al., 2017).  The other texts of the batch serve as negatives, and a third column on, if there is one.
    `symmetric` asks the same of the second column about the first, and takes the mean.  Raises InputError for a batch
    of one, which has nothing to tell from, for a scale that is not above 0, and for a similarity but cosine and dot.

    >>> loss, (da, db) = multiple_negatives_ranking([np.eye(4), np.eye(4)])
    >>> loss < 1e-7, da.shape
    (True, (4, 4))
    """
    a, *others = _check(columns, 2)
    _check_positive("scale", scale)
    if similarity not in ALL_PAIRS_VJP:
        raise InputError(f"similarity must be one of {', '.join(ALL_PAIRS_VJP)}; not {similarity!r}")
    b, B = np.concatenate(others), len(a)
    if len(b) < 2:
        raise InputError("a batch of one pair has no negatives to tell it from: take a larger batch")
    scores = SIMILARITY[similarity](a, b) * a.dtype.type(scale)  # (B, candidates)
    value, dscores = _cross_entropy(scores)
    if symmetric:
        back, dback = _cross_entropy(scores[:, :B].T)
        value, dscores = (value + back) / 2, dscores / 2
        dscores[:, :B] += dback.T / 2
    da, db = ALL_PAIRS_VJP[similarity](a, b, dscores * a.dtype.type(scale))
    return value, (da, *np.split(db, len(others)))


def _cross_entropy(scores: Array) -> tuple[float, Array]:  # (B, C): row i should pick column i
    p, own = softmax(scores), np.arange(len(scores))
    top = scores.max(axis=1)
    logs = scores[own, own] - top - np.log(np.exp(scores - top[:, None]).sum(axis=1))
    p[own, own] -= 1
    return float(-logs.mean(dtype=np.float64)), p / len(scores)


def multiple_negatives_symmetric_ranking(
    columns: Columns, labels: Array | None = None, *, scale: float = 20.0, similarity: str = "cosine"
) -> tuple[float, tuple[Array, ...]]:
    """Each of a pair should pick the other out of the batch: `multiple_negatives_ranking`, both ways.

    >>> multiple_negatives_symmetric_ranking([np.eye(4), np.eye(4)])[0] < 1e-7
    True
    """
    return multiple_negatives_ranking(columns, labels, scale=scale, similarity=similarity, symmetric=True)


def triplet(
    columns: Columns, labels: Array | None = None, *, margin: float = 5.0, metric: str = "euclidean"
) -> tuple[float, tuple[Array, ...]]:
    """The anchor should be nearer to its positive than to its negative, by at least a margin (Schroff et al., 2015).

    `metric` is "euclidean", "manhattan" or "cosine", whose distance is 1 - cosine.

    >>> triplet([np.float64([[0, 0]]), np.float64([[0, 1]]), np.float64([[0, 9]])])[0]
    0.0
    """
    a, p, n = _check(columns, 3, exactly=True)
    if metric not in ("euclidean", "manhattan", "cosine"):
        raise InputError(f"metric must be one of euclidean, manhattan, cosine; not {metric!r}")
    short = pairwise(a, n, metric) - pairwise(a, p, metric) + margin  # similarities: minus distances
    dp = -(short > 0).astype(a.dtype) / a.dtype.type(len(a))
    da, dpositive = pairwise_vjp(a, p, metric, dp)
    dother, dnegative = pairwise_vjp(a, n, metric, -dp)
    return float(np.maximum(short, 0).mean(dtype=np.float64)), (da + dother, dpositive, dnegative)


def contrastive(
    columns: Columns, labels: Array | None = None, *, margin: float = 0.5, metric: str = "cosine"
) -> tuple[float, tuple[Array, ...]]:
    """Pairs with label 1 should be near, pairs with label 0 at least a margin apart (Hadsell et al., 2006).

    `metric` as in `triplet`.  Raises InputError for labels outside 0 to 1.

    >>> contrastive([np.eye(2), np.eye(2)], np.float64([1, 1]))[0]
    0.0
    """
    a, b = _check(columns, 2, exactly=True)
    y = _labels(labels, a, 0.0, 1.0)
    if metric not in ("euclidean", "manhattan", "cosine"):
        raise InputError(f"metric must be one of euclidean, manhattan, cosine; not {metric!r}")
    distance = (metric == "cosine") - pairwise(a, b, metric)
    short = np.maximum(margin - distance, 0)
    value = 0.5 * (y * distance**2 + (1 - y) * short**2)
    dscores = -(y * distance - (1 - y) * short) / a.dtype.type(len(a))
    return float(value.mean(dtype=np.float64)), pairwise_vjp(a, b, metric, dscores)


def cosine_similarity(columns: Columns, labels: Array | None = None) -> tuple[float, tuple[Array, ...]]:
    """The cosine of a pair should be its label: mean squared error.  Raises InputError for labels outside -1 to 1.

    >>> cosine_similarity([np.eye(2), np.eye(2)], np.float64([1, 0]))[0]
    0.5
    """
    a, b = _check(columns, 2, exactly=True)
    wrong = pairwise(a, b, "cosine") - _labels(labels, a, -1.0, 1.0)
    dscores = 2 * wrong / a.dtype.type(len(a))
    return float((wrong * wrong).mean(dtype=np.float64)), pairwise_vjp(a, b, "cosine", dscores)


def cosent(columns: Columns, labels: Array | None = None, *, scale: float = 20.0) -> tuple[float, tuple[Array, ...]]:
    """Of two pairs, the one with the higher label should have the higher cosine (Su, 2022).

    log(1 + the sum of exp(scale (cosine of i - cosine of j)) over all i, j with label i < label j): only the order of
    the labels counts, so they may be on any scale.

    >>> low, _ = cosent([np.eye(2), np.float64([[1, 0], [1, 0]])], np.float64([1, 0]))
    >>> high, _ = cosent([np.eye(2), np.float64([[1, 0], [1, 0]])], np.float64([0, 1]))
    >>> low < 1e-6, high > 10
    (True, True)
    """
    a, b = _check(columns, 2, exactly=True)
    y = _labels(labels, a, -np.inf, np.inf)
    _check_positive("scale", scale)
    scores = pairwise(a, b, "cosine") * a.dtype.type(scale)
    differences = np.where(y[:, None] < y[None], scores[:, None] - scores[None], -np.inf)  # (B, B)
    top = max(float(differences.max()), 0.0)
    terms = np.exp(differences - a.dtype.type(top))
    total = terms.sum(dtype=np.float64) + np.exp(-top)
    share = (terms / total).astype(a.dtype)
    dscores = (share.sum(axis=1) - share.sum(axis=0)) * a.dtype.type(scale)
    return float(np.log(total) + top), pairwise_vjp(a, b, "cosine", dscores)


LOSSES: dict[str, Callable[..., tuple[float, tuple[Array, ...]]]] = {
    "multiple_negatives_ranking": multiple_negatives_ranking,
    "multiple_negatives_symmetric_ranking": multiple_negatives_symmetric_ranking,
    "triplet": triplet,
    "contrastive": contrastive,
    "cosine_similarity": cosine_similarity,
    "cosent": cosent,
}
NEED_LABELS = ("contrastive", "cosine_similarity", "cosent")


def matryoshka(loss: Loss, dims: Sequence[int], weights: Sequence[float] | None = None) -> Loss:
    """A loss that also asks it of the first numbers of each vector alone, scaled to length 1 (Kusupati et al., 2022).

    The losses of all `dims` are summed, each times its weight (1, where none are given).  Raises InputError for no
    dims, for other than whole numbers above 0 or more than vectors have, and for weights that do not go with them.

    >>> loss = matryoshka(cosine_similarity, [2, 1])
    >>> loss([np.eye(2), np.eye(2)], np.float64([1, 1]))[0]
    0.5
    """
    factors = [1.0] * len(dims) if weights is None else list(weights)
    if not dims or len(factors) != len(dims):
        raise InputError(f"matryoshka needs dims, and a weight for each: {len(dims)} dims, {len(factors)} weights")
    if any(isinstance(dim, bool) or not isinstance(dim, int) or dim < 1 for dim in dims):
        raise InputError(f"matryoshka dims must be whole numbers of at least 1, not {list(dims)}")

    def wrapped(columns: Columns, labels: Array | None = None) -> tuple[float, tuple[Array, ...]]:
        width = columns[0].shape[1]
        if max(dims) > width:
            raise InputError(f"matryoshka dim {max(dims)} is more than the vectors' {width} numbers")
        value, slopes = 0.0, tuple(np.zeros_like(column) for column in columns)
        for dim, factor in zip(dims, factors, strict=True):
            short = [column[:, :dim] for column in columns]
            one, dshort = loss([l2_normalize(x) for x in short], labels)
            value += factor * one
            for slope, x, dy in zip(slopes, short, dshort, strict=True):
                slope[:, :dim] += slope.dtype.type(factor) * l2_normalize_vjp(x, dy)
        return value, slopes

    return wrapped


def _check(columns: Columns, count: int, exactly: bool = False) -> list[Array]:
    if len(columns) < count or (exactly and len(columns) > count):
        raise InputError(
            f"this loss takes {'' if exactly else 'at least '}{count} columns of vectors, not {len(columns)}"
        )
    if len({column.shape for column in columns}) > 1 or columns[0].ndim != 2 or not len(columns[0]):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise InputError(f"the columns of a batch must have the same shape, with at least one row; got {shapes}")
    return list(columns)


def _check_positive(name: str, value: float) -> None:
    if not (value > 0 and np.isfinite(value)):
        raise InputError(f"{name} must be a number above 0, not {value!r}: it is one over the temperature")


def _labels(labels: Array | None, like: Array, low: float, high: float) -> Array:
    if labels is None:
        raise InputError("this loss needs a label for every pair")
    y = np.asarray(labels, like.dtype).reshape(-1)
    if len(y) != len(like):
        raise InputError(f"each pair needs its label: {len(like)} pairs, {len(y)} labels")
    wrong = ~(np.isfinite(y) & (y >= low) & (y <= high))
    if wrong.any():
        i = int(wrong.argmax())
        raise InputError(f"labels[{i}] is {y[i]}, which is not a number from {low:g} to {high:g}")
    return y
