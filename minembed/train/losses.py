"""Losses on vectors: each returns its value and its gradient with respect to every vector.

`columns` are the vectors of the columns of a batch, (B, D) each: anchors, positives, and sometimes negatives.
Definitions and defaults are those of sentence-transformers' losses.  Since a loss only takes vectors and returns their
gradients, a batch can be embedded in parts, one after the other, with the loss of the whole batch (Gao et al., 2021):
so there are no separate "cached" losses.

Every loss raises InputError for columns that are too few, too many or of different shapes, for labels that are missing,
too few, or outside their range, and for invalid options; NumericalError if a vector contains NaN or infinity.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import get_args

import numpy as np

from minembed.errors import InputError, NumericalError
from minembed.runtime.checks import whole_number
from minembed.search.similarity import SIMILARITY, pairwise
from minembed.train.backward.vjp_vectors import SIMILARITY_VJP, l2_normalize_vjp, pairwise_vjp, truncate_embeddings_vjp
from minembed.transformer.ops import softmax
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array, LabelledLoss, Metric

Columns = Sequence[Array]
Loss = Callable[[Columns, Array | None], tuple[float, tuple[Array, ...]]]
DISTANCES = ("cosine", "euclidean", "manhattan")


def multiple_negatives_ranking(
    columns: Columns,
    labels: Array | None = None,
    *,
    scale: float = 20.0,
    similarity_fct: Metric = "cosine",
    symmetric: bool = False,
) -> tuple[float, tuple[Array, ...]]:
    """Row i of the first column should pick row i of the second out of all rows of all other columns: InfoNCE.

    That is cross-entropy over similarities times `scale`, the inverse temperature (van den Oord et al., 2018;
    Henderson et al., 2017).  The other texts of the batch serve as negatives, and so do a third and further columns.
    A text that occurs twice in the batch is its own negative, as in sentence-transformers: avoiding duplicates is the
    task of the sampler.  `symmetric` adds the same loss from the second column to the first, and takes the mean.
    `similarity_fct` is a row of similarity.SIMILARITY.  Raises InputError for a batch of one, which has no negatives,
    and for a scale that is not above 0.

    >>> loss, (da, db) = multiple_negatives_ranking([np.eye(4), np.eye(4)])
    >>> loss < 1e-7, da.shape
    (True, (4, 4))
    """
    a, *others = _check(columns, 2)
    _check_above_0("scale", scale)
    _check_name("similarity_fct", similarity_fct, SIMILARITY)
    b, B = np.concatenate(others), len(a)
    if len(b) < 2:
        raise InputError("a batch of one pair has no negatives to tell it from: take a larger batch")
    scores = SIMILARITY[similarity_fct](a, b) * a.dtype.type(scale)  # (B, candidates)
    value, dscores = _cross_entropy(scores)
    if symmetric:
        back, dback = _cross_entropy(scores[:, :B].T)
        value, dscores = (value + back) / 2, dscores / 2
        dscores[:, :B] += dback.T / 2
    da, db = SIMILARITY_VJP[similarity_fct](a, b, dscores * a.dtype.type(scale))
    return value, (da, *np.split(db, len(others)))


def _cross_entropy(scores: Array) -> tuple[float, Array]:  # (B, C): row i should pick column i
    p, own = softmax(scores), np.arange(len(scores))
    top = scores.max(axis=1)
    logs = scores[own, own] - top - np.log(np.exp(scores - top[:, None]).sum(axis=1))
    p[own, own] -= 1
    return float(-logs.mean(dtype=np.float64)), p / len(scores)


def multiple_negatives_symmetric_ranking(
    columns: Columns, labels: Array | None = None, *, scale: float = 20.0, similarity_fct: Metric = "cosine"
) -> tuple[float, tuple[Array, ...]]:
    """Each text of a pair should pick the other out of the batch: `multiple_negatives_ranking` in both directions.

    >>> multiple_negatives_symmetric_ranking([np.eye(4), np.eye(4)])[0] < 1e-7
    True
    """
    return multiple_negatives_ranking(columns, scale=scale, similarity_fct=similarity_fct, symmetric=True)


def triplet(
    columns: Columns, labels: Array | None = None, *, margin: float = 5.0, distance_metric: Metric = "euclidean"
) -> tuple[float, tuple[Array, ...]]:
    """The anchor should be nearer to its positive than to its negative, by at least a margin (Schroff et al., 2015).

    `distance_metric` is "euclidean", "manhattan" or "cosine", whose distance is 1 - cosine.  Euclidean distances of
    vectors of length 1 are at most 2, and need a smaller margin.

    >>> triplet([np.float64([[0, 0]]), np.float64([[0, 1]]), np.float64([[0, 9]])])[0]
    0.0
    """
    a, p, n = _check(columns, 3, exactly=True)
    _check_above_0("margin", margin)
    _check_name("distance_metric", distance_metric, DISTANCES)
    short = pairwise(a, n, distance_metric) - pairwise(a, p, distance_metric) + margin  # similarities: minus distances
    dp = -(short > 0).astype(a.dtype) / a.dtype.type(len(a))
    da, dpositive = pairwise_vjp(a, p, distance_metric, dp)
    dother, dnegative = pairwise_vjp(a, n, distance_metric, -dp)
    return float(np.maximum(short, 0).mean(dtype=np.float64)), (da + dother, dpositive, dnegative)


def contrastive(
    columns: Columns,
    labels: Array | None = None,
    *,
    margin: float = 0.5,
    distance_metric: Metric = "cosine",
    size_average: bool = True,
) -> tuple[float, tuple[Array, ...]]:
    """Pairs with label 1 should be near, pairs with label 0 at least a margin apart (Hadsell et al., 2006).

    Half the squared error, averaged, or summed without `size_average`; a label between 0 and 1 weights both terms.
    `distance_metric` as in `triplet`.

    >>> contrastive([np.eye(2), np.eye(2)], np.float64([1, 0]))[0]
    0.0625
    """
    a, b = _check(columns, 2, exactly=True)
    y = _labels(labels, a, 0.0, 1.0)
    _check_above_0("margin", margin)
    _check_name("distance_metric", distance_metric, DISTANCES)
    distance = _distance(a, b, distance_metric)
    short = np.maximum(margin - distance, 0)
    value = 0.5 * (y * distance**2 + (1 - y) * short**2)
    count = len(a) if size_average else 1
    dscores = -(y * distance - (1 - y) * short) / a.dtype.type(count)
    return float(value.sum(dtype=np.float64) / count), pairwise_vjp(a, b, distance_metric, dscores)


def online_contrastive(
    columns: Columns, labels: Array | None = None, *, margin: float = 0.5, distance_metric: Metric = "cosine"
) -> tuple[float, tuple[Array, ...]]:
    """As `contrastive`, but only of the hard pairs: those on the wrong side of some pair with the other label.

    Squares are summed.  In a batch with only one label, the pairs worse than the mean are hard.  Labels are 0 or 1.

    >>> online_contrastive([np.eye(2), np.float64([[0, 1], [0, 1]])], np.float64([1, 0]))[0]
    1.25
    """
    a, b = _check(columns, 2, exactly=True)
    y = _labels(labels, a, 0.0, 1.0)
    if ((y != 0) & (y != 1)).any():
        i = int(((y != 0) & (y != 1)).argmax())
        raise InputError(f"labels[{i}] is {y[i]}, but this loss takes 0 or 1")
    _check_above_0("margin", margin)
    _check_name("distance_metric", distance_metric, DISTANCES)
    distance = _distance(a, b, distance_metric)
    far, near = distance[y == 0], distance[y == 1]
    hard_near = (y == 1) & (distance > (far.min() if len(far) else near.mean()))
    hard_far = (y == 0) & (distance < (near.max() if len(near) else far.mean()))
    short = np.maximum(margin - distance, 0)
    value = np.where(hard_near, distance**2, 0) + np.where(hard_far, short**2, 0)
    dscores = np.where(hard_far, 2 * short, 0) - np.where(hard_near, 2 * distance, 0)
    return float(value.sum(dtype=np.float64)), pairwise_vjp(a, b, distance_metric, dscores)


def _distance(a: Array, b: Array, metric: Metric) -> Array:  # (B, D), (B, D) -> (B,)
    return (metric == "cosine") - pairwise(a, b, metric)


def cosine_similarity(columns: Columns, labels: Array | None = None) -> tuple[float, tuple[Array, ...]]:
    """The cosine of a pair should be its label, from -1 to 1: mean squared error.

    >>> cosine_similarity([np.eye(2), np.eye(2)], np.float64([1, 0]))[0]
    0.5
    """
    a, b = _check(columns, 2, exactly=True)
    wrong = pairwise(a, b, "cosine") - _labels(labels, a, -1.0, 1.0)
    dscores = 2 * wrong / a.dtype.type(len(a))
    return float((wrong * wrong).mean(dtype=np.float64)), pairwise_vjp(a, b, "cosine", dscores)


def cosent(
    columns: Columns, labels: Array | None = None, *, scale: float = 20.0, similarity_fct: Metric = "cosine"
) -> tuple[float, tuple[Array, ...]]:
    """Of two pairs, the one with the higher label should have the higher cosine (Su, 2022).

    log(1 + the sum of exp(scale (score of i - score of j)) over all i, j with label i < label j): only the order of the
    labels counts, so they may be on any scale.  Scores are cosines, or another similarity that `similarity_fct` names.

    >>> low, _ = cosent([np.eye(2), np.float64([[1, 0], [1, 0]])], np.float64([1, 0]))
    >>> high, _ = cosent([np.eye(2), np.float64([[1, 0], [1, 0]])], np.float64([0, 1]))
    >>> low < 1e-6, high > 10
    (True, True)
    """
    a, b = _check(columns, 2, exactly=True)
    y = _labels(labels, a, -np.inf, np.inf)
    _check_above_0("scale", scale)
    _check_name("similarity_fct", similarity_fct, SIMILARITY)
    scores = pairwise(a, b, similarity_fct) * a.dtype.type(scale)
    differences = np.where(y[:, None] < y[None], scores[:, None] - scores[None], -np.inf)  # (B, B)
    top = max(float(differences.max()), 0.0)  # of all exponents, including the 0 of the 1: none can overflow
    terms = np.exp(differences - a.dtype.type(top))
    total = terms.sum(dtype=np.float64) + np.exp(-top)
    share = (terms / total).astype(a.dtype)
    dscores = (share.sum(axis=1) - share.sum(axis=0)) * a.dtype.type(scale)
    return float(np.log(total) + top), pairwise_vjp(a, b, similarity_fct, dscores)


LOSSES: dict[str, Callable[..., tuple[float, tuple[Array, ...]]]] = {
    "multiple_negatives_ranking": multiple_negatives_ranking,
    "info_nce": multiple_negatives_ranking,
    "multiple_negatives_symmetric_ranking": multiple_negatives_symmetric_ranking,
    "triplet": triplet,
    "contrastive": contrastive,
    "online_contrastive": online_contrastive,
    "cosine_similarity": cosine_similarity,
    "cosent": cosent,
}
NEED_LABELS = get_args(LabelledLoss)


def matryoshka(loss: Loss, dims: Sequence[int], weights: Sequence[float] | None = None) -> Loss:
    """Apply a loss to the first numbers of each vector, scaled to length 1, for several widths (Kusupati et al., 2022).

    The losses for all `dims` are summed, each times its weight (1 by default); the full width is trained only if it is
    among them.  Raises InputError for no dims, for dims that are not whole numbers from 1 to the width, and for weights
    that are not finite or not one per width.

    >>> loss = matryoshka(cosine_similarity, [2, 1])
    >>> loss([np.eye(2), np.eye(2)], np.float64([1, 1]))[0]
    0.5
    """
    factors = [1.0] * len(dims) if weights is None else list(weights)
    if not dims or len(factors) != len(dims):
        raise InputError(f"matryoshka needs dims, and a weight for each: {len(dims)} dims, {len(factors)} weights")
    if any((whole_number(dim) or 0) < 1 for dim in dims):
        raise InputError(f"matryoshka dims must be whole numbers of at least 1, not {list(dims)}")

    if not np.isfinite(factors).all():
        raise InputError(f"matryoshka weights must be numbers, not {factors}")

    def wrapped(columns: Columns, labels: Array | None = None) -> tuple[float, tuple[Array, ...]]:
        whole = _check(columns, 1)
        width = whole[0].shape[1]
        if max(dims) > width:
            raise InputError(f"matryoshka dim {max(dims)} is more than the vectors' {width} numbers")
        value, slopes = 0.0, tuple(np.zeros_like(x) for x in whole)
        for dim, factor in zip(dims, factors, strict=True):
            short = [x[:, :dim] for x in whole]
            one, dshort = loss([l2_normalize(x) for x in short], labels)
            value += factor * one
            for slope, x, dy in zip(slopes, short, dshort, strict=True):
                slope += slope.dtype.type(factor) * truncate_embeddings_vjp(slope, dim, l2_normalize_vjp(x, dy))
        return value, slopes

    return wrapped


def _check(columns: Columns, count: int, exactly: bool = False) -> list[Array]:
    if len(columns) < count or (exactly and len(columns) > count):
        raise InputError(
            f"this loss takes {'' if exactly else 'at least '}{count} columns of vectors, not {len(columns)}"
        )
    found: list[Array] = [np.asarray(column) for column in columns]
    if len({x.shape for x in found}) > 1 or found[0].ndim != 2 or not found[0].size:
        shapes = ", ".join(str(x.shape) for x in found)
        raise InputError(f"the columns of a batch must have the same shape, with at least one row; got {shapes}")
    kinds = {str(x.dtype) for x in found}
    if len(kinds) > 1 or not kinds <= {"float32", "float64"}:
        raise InputError(f"the columns of a batch must all be float32, or all float64; got {', '.join(sorted(kinds))}")
    for i, x in enumerate(found):
        rows = np.isfinite(x).all(axis=1)
        if not rows.all():
            raise NumericalError(f"row {rows.argmin()} of column {i} of the batch: its vector holds NaN or infinity")
    return found


def _check_above_0(name: str, value: float) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 < value < np.inf:
        why = ": it is one over the temperature" if name == "scale" else ""
        raise InputError(f"{name} must be a number above 0, not {value!r}{why}")


def _check_name(option: str, name: str, known: Iterable[str]) -> None:
    if name not in known:
        raise InputError(f"{option} must be one of {', '.join(known)}; not {name!r}")


def _labels(labels: Array | None, like: Array, low: float, high: float) -> Array:
    if labels is None:
        raise InputError("this loss needs a label for every pair")
    y = np.asarray(labels)
    if not (np.issubdtype(y.dtype, np.number) or y.dtype == np.bool_) or np.iscomplexobj(y):
        raise InputError(f"labels must be numbers, not {y.dtype}")
    y = y.astype(like.dtype).reshape(-1)
    if len(y) != len(like):
        raise InputError(f"each pair needs its label: {len(like)} pairs, {len(y)} labels")
    wrong = ~(np.isfinite(y) & (y >= low) & (y <= high))
    if wrong.any():
        i = int(wrong.argmax())
        raise InputError(f"labels[{i}] is {y[i]}, which is not a number from {low:g} to {high:g}")
    return y
