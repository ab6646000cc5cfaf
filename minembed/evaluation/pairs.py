"""Agreement of scores with judgements, in NumPy: correlations, triplets, and the classification of pairs.

Rankings are in retrieval.py.  The metrics have the names and meanings of sentence-transformers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import as_matrix, check_finite
from minembed.search.metrics import METRICS
from minembed.search.similarity import pairwise
from minembed.types import Array, Metric


def pearson(x: ArrayLike, y: ArrayLike) -> float:  # (N,), (N,) -> -1 to 1
    """Pearson's correlation: how close y is to a linear function of x (Pearson, 1895).

    Computed in float64.  Raises InputError unless both have the same number of finite values, and at least 2 different
    ones.

    >>> pearson([1, 2, 3], [10, 20, 30])
    1.0
    >>> round(pearson([1, 2, 3, 4], [1, 3, 2, 4]), 6)
    0.8
    """
    a, b = _check(x, "x"), _check(y, "y")
    if len(a) != len(b):
        raise InputError(f"x and y must pair up: {len(a)} values and {len(b)}")
    return float(np.clip(_unit(a) @ _unit(b), -1, 1))


def spearman(x: ArrayLike, y: ArrayLike) -> float:  # (N,), (N,) -> -1 to 1
    """Spearman's correlation: how similar the order of x and y is (Spearman, 1904), as Pearson's of their ranks.

    Equal values share the average of their ranks.  Raises InputError as `pearson` does.

    >>> spearman([1, 2, 3], [1, 10, 1000])
    1.0
    >>> round(spearman([1, 2, 2, 3], [1, 2, 3, 4]), 6)
    0.948683
    """
    return pearson(average_ranks(_check(x, "x")), average_ranks(_check(y, "y")))


def average_ranks(x: ArrayLike) -> Array:  # (N,) -> (N,) float64
    """Rank values from 1 (smallest) to N; equal values share the average of their ranks.

    >>> average_ranks([30, 10, 20, 10]).tolist()
    [4.0, 1.5, 3.0, 1.5]
    """
    _, place, counts = np.unique(np.asarray(x), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)  # the highest rank in each group of equals
    ranks: Array = (last - (counts - 1) / 2)[place]
    return ranks


def evaluate_triplets(
    anchors: ArrayLike,
    positives: ArrayLike,
    negatives: ArrayLike,
    metrics: Sequence[Metric] = ("cosine",),
    margin: float | Mapping[str, float] = 0.0,
) -> dict[str, float]:  # three of (N, D)
    """The share of triplets whose anchor is more similar to its positive than to its negative, by more than `margin`.

    Returns {"cosine_accuracy": ...}, one entry per metric ("cosine", "dot", "euclidean", "manhattan"; distances are
    negated), and for several metrics "max_accuracy", the best; a margin may be given by metric.  As
    sentence-transformers' TripletEvaluator; computed in float64.  Raises InputError for an unknown metric, shapes that
    differ, no triplets, NaN or infinity.

    >>> evaluate_triplets([[1.0, 0.0], [0.0, 1.0]], [[2.0, 1.0], [1.0, 1.0]], [[0.0, 1.0], [0.0, 3.0]])
    {'cosine_accuracy': 0.5}
    """
    _check_metrics(metrics)
    margins = dict(margin) if isinstance(margin, Mapping) else dict.fromkeys(metrics, margin)
    _check_metrics([*margins, *metrics], "margin")
    a, p, n = (_vectors(x, s) for x, s in ((anchors, "anchors"), (positives, "positives"), (negatives, "negatives")))
    found = {}
    for metric in metrics:
        right = pairwise(a, p, metric) > pairwise(a, n, metric) + margins.get(metric, 0.0)
        found[f"{metric}_accuracy"] = float(right.mean())
    return found | ({"max_accuracy": max(found.values())} if len(metrics) > 1 else {})


def evaluate_pairs(
    a: ArrayLike, b: ArrayLike, labels: ArrayLike, metrics: Sequence[Metric] = ("cosine",)
) -> dict[str, float]:  # (N, D), (N, D), (N,)
    """How well a similarity distinguishes pairs that belong together (label 1) from pairs that do not (0).

    Returns the numbers of `Classification` for each metric ("cosine", "dot", "euclidean", "manhattan"), named as in
    {"cosine_accuracy": ...}, and for several metrics also the largest of each, "max_accuracy" and so on.  Thresholds of
    euclidean and manhattan are distances: a pair is predicted to belong together up to that distance.  As
    sentence-transformers' BinaryClassificationEvaluator; computed in float64.  Raises InputError for an unknown metric,
    shapes that differ, labels that are neither 0 nor 1, no pairs, NaN or infinity.

    >>> found = evaluate_pairs([[1.0, 0.0], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]], [1, 0])
    >>> found["cosine_accuracy"], found["cosine_accuracy_threshold"], found["cosine_ap"]
    (1.0, 0.5, 1.0)
    """
    _check_metrics(metrics)
    x, y = _vectors(a, "a"), _vectors(b, "b")
    found = {}
    for metric in metrics:
        values = asdict(classify(pairwise(x, y, metric), labels))
        if METRICS[metric].is_distance:  # thresholds are given as distances, which are positive
            values |= {name: 0 - value for name, value in values.items() if name.endswith("threshold")}
        found[metric] = values
    flat = {f"{metric}_{name}": value for metric, values in found.items() for name, value in values.items()}
    if len(metrics) > 1:
        flat |= {f"max_{name}": max(values[name] for values in found.values()) for name in found[metrics[0]]}
    return flat


@dataclass(frozen=True, slots=True)
class Classification:
    """The quality of the best thresholds: a pair is predicted to belong together if its score reaches the threshold."""

    accuracy: float  # the best, over all thresholds: the share of pairs that are classified correctly
    accuracy_threshold: float  # midway between two scores; above all scores if "no pair" is best
    f1: float  # the best, over all thresholds: the harmonic mean of precision and recall
    f1_threshold: float
    precision: float  # at f1_threshold: the share of the pairs found that belong together
    recall: float  # at f1_threshold: the share of the pairs that belong together that are found
    ap: float  # average precision: over all thresholds, precision weighted by the gain in recall
    mcc: float  # at f1_threshold: Matthews' correlation of labels and predictions (Matthews, 1975)


def classify(scores: ArrayLike, labels: ArrayLike) -> Classification:  # (N,), (N,)
    """Find the best thresholds that separate scores of label 1 (high) from scores of label 0.

    Of equally good thresholds, the highest is returned.  Raises InputError as `evaluate_pairs` does.

    >>> found = classify([0.9, 0.8, 0.3, 0.1], [1, 0, 1, 0])
    >>> found.accuracy, round(found.f1, 3), round(found.f1_threshold, 3), round(found.ap, 3)
    (0.75, 0.8, 0.2, 0.833)
    """
    x, truth = _numbers(scores, "scores"), _numbers(labels, "labels")
    if len(x) != len(truth):
        raise InputError(f"each pair needs its label: {len(x)} scores, {len(truth)} labels")
    if not np.isin(truth, (0, 1)).all():
        raise InputError(f"labels must be 0 or 1; labels[{int(np.argmin(np.isin(truth, (0, 1))))}] is not")
    order = np.argsort(-x, kind="stable")
    x, truth = x[order], truth[order]
    last = np.flatnonzero(np.append(x[1:] != x[:-1], True))  # equal scores are on one side of any threshold
    n_found, hits = last + 1.0, np.cumsum(truth)[last]  # by threshold, from the highest
    N, n_true = len(x), truth.sum()
    thresholds = np.where(last + 1 < N, _between(x[last], x[np.minimum(last + 1, N - 1)]), x[last])
    right = (hits + (N - n_true) - (n_found - hits)) / N
    best = int(right.argmax())
    none_found = (N - n_true) / N  # the accuracy of a threshold above all scores
    accuracy, at = (right[best], thresholds[best])
    if none_found >= accuracy:
        accuracy, at = none_found, np.nextafter(x[0], np.inf)
    precision, recall = hits / n_found, hits / max(n_true, 1)
    f1 = 2 * hits / (n_found + n_true)
    top = int(f1.argmax())
    ap = float(np.diff(recall, prepend=0.0) @ precision)
    if not n_true:
        return Classification(float(accuracy), float(at), 0.0, 0.0, 0.0, 0.0, 0.0, _matthews(x >= 0, truth))
    own = f1[top], thresholds[top], precision[top], recall[top], ap, _matthews(x >= thresholds[top], truth)
    return Classification(float(accuracy), float(at), *map(float, own))


def _between(high: Array, low: Array) -> Array:
    """The middle of two scores, always above the lower one."""
    middle = low / 2 + high / 2
    return np.where(middle <= low, high, middle)


def _matthews(guess: Array, truth: Array) -> float:
    """Matthews' correlation of two lists of bools; 0 if all values of one list are equal."""
    if guess.all() or not guess.any() or truth.all() or not truth.any():
        return 0.0
    return pearson(guess, truth)


def _check_metrics(metrics: Sequence[str], name: str = "metrics") -> None:
    if isinstance(metrics, str) or not metrics or not set(metrics) <= set(METRICS):
        raise InputError(f"{name} must be some of {', '.join(METRICS)}, as a list; got {metrics!r}")


def _vectors(x: ArrayLike, name: str) -> Array:
    array = as_matrix(name, x, "at least one vector, shape (N, D)", one=True, least=(1, 1), dtype=np.float64)
    check_finite(name, array)
    return array


def _numbers(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not len(array):
        raise InputError(f"{name} must be a list of at least one number; got shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}[{int(np.flatnonzero(~np.isfinite(array))[0])}] is not a finite number")
    return array


def _check(values: ArrayLike, name: str) -> Array:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise InputError(f"a correlation needs two lists of at least 2 numbers; {name} has shape {array.shape}")
    if not np.isfinite(array).all():
        raise InputError(f"{name}[{int(np.flatnonzero(~np.isfinite(array))[0])}] is not a finite number")
    if (array == array[0]).all():
        raise InputError(f"all {len(array)} values of {name} are {array[0]:g}: no correlation is defined")
    return array


def _unit(x: Array) -> Array:  # mean 0, length 1; scaled first, so that squares neither overflow nor underflow
    x = x / np.abs(x).max()
    x = x - x.mean()
    x = x / np.abs(x).max()
    return x / np.sqrt(x @ x)
