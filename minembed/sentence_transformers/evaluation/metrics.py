"""The metrics of evaluators, as the reference's libraries compute them: thresholds, rankings, classes."""

import numpy as np

from minembed.evaluation.pairs import classify, pearson
from minembed.types import Array


def best_accuracy(scores: Array, labels: Array, higher: bool) -> tuple[float, float]:  # (N,), (N,) of 0 and 1
    """The best accuracy of a threshold on scores, and the threshold, in the scores' type.

    `higher` means that high scores predict label 1.

    >>> accuracy, threshold = best_accuracy(np.float32([0.9, 0.2]), np.array([1, 0]), True)
    >>> accuracy, round(float(threshold), 6)
    (1.0, 0.55)
    """
    s, y, last = _by_threshold(scores, labels, higher)
    if not len(s):
        return 0, -1
    found, hits = last + 1, np.cumsum(y)[last]
    right = (hits + (len(y) - y.sum()) - (found - hits)) / len(y)
    none, best = (len(y) - y.sum()) / len(y), int(right.argmax())
    if not right[best] > none:
        return float(none), np.nextafter(s[0], s.dtype.type(np.inf if higher else -np.inf))
    return float(right[best]), _between(s, last[best])


def best_f1(scores: Array, labels: Array, higher: bool) -> tuple[float, float, float, float]:  # (N,), (N,) of 0 and 1
    """The best F1 of a threshold on scores, with its precision and recall, and the threshold.

    >>> found = best_f1(np.float32([0.9, 0.2]), np.array([1, 0]), True)
    >>> found[:3], round(float(found[3]), 6)
    ((1.0, 1.0, 1.0), 0.55)
    """
    s, y, last = _by_threshold(scores, labels, higher)
    hits = np.cumsum(y)[last]
    if not y.any():
        return 0, 0, 0, 0
    precision, recall = hits / (last + 1), hits / y.sum()
    f1 = 2 * precision * recall / np.where(hits > 0, precision + recall, 1)
    best = int(f1.argmax())
    return float(f1[best]), float(precision[best]), float(recall[best]), _between(s, last[best])


def _by_threshold(scores: Array, labels: Array, higher: bool) -> tuple[Array, Array, Array]:
    """Scores and labels, the most likely first, and where groups of equal scores end."""
    scores, labels = np.asarray(scores), np.asarray(labels)
    order = np.argsort(-scores if higher else scores, kind="stable")
    s, y = scores[order], labels[order] == 1
    return s, y, np.flatnonzero(np.append(s[1:] != s[:-1], True)[: len(s)])


def _between(s: Array, at: int) -> float:
    if at == len(s) - 1:
        return s[at]
    middle = (s[at] + s[at + 1]) / 2
    return s[at] if middle == s[at + 1] else middle


def average_precision(relevant: Array, scores: Array) -> float:  # (N,), (N,)
    """Precision over all thresholds, weighted by the gain in recall; 0 if nothing is relevant.

    >>> average_precision(np.array([0, 1, 1]), np.array([0.9, 0.8, 0.1]))
    0.5833333333333333
    """
    return classify(scores, np.asarray(relevant) > 0).ap


def ndcg(relevant: Array, scores: Array, k: int) -> float:  # (N,), (N,)
    """The discounted cumulative gain of the first k, divided by the largest possible; equal scores share their ranks.

    >>> round(ndcg(np.array([0, 1]), np.array([0.5, 0.5]), 10), 6)
    0.815465
    """
    gains = np.asarray(relevant, np.float64)
    discounts = 1 / np.log2(np.arange(len(gains)) + 2)
    discounts[k:] = 0
    _, group, counts = np.unique(-np.asarray(scores), return_inverse=True, return_counts=True)
    shared = (np.bincount(group, gains) / counts)[np.sort(group)]
    ideal = np.sort(gains)[::-1] @ discounts
    return float(shared @ discounts / ideal) if ideal else 0.0


def reciprocal_rank(relevant: Array, ranking: Array, k: int) -> float:  # (N,), (N,) places
    """1 / the rank of the first relevant document among the first k of a ranking, or 0.

    >>> reciprocal_rank(np.array([0, 1]), np.array([0, 1]), 10)
    0.5
    """
    found = np.flatnonzero(np.asarray(relevant)[ranking[:k]])
    return float(1 / (found[0] + 1)) if len(found) else 0.0


def matthews(truth: Array, guess: Array) -> float:  # (N,), (N,)
    """Matthews' correlation of true and predicted labels; 0 if one of the two is constant.

    >>> round(matthews(np.array([1, 0, 1]), np.array([True, False, True])), 9)
    1.0
    """
    truth, guess = np.asarray(truth) > 0, np.asarray(guess) > 0
    if truth.all() or not truth.any() or guess.all() or not guess.any():
        return 0.0
    return pearson(truth, guess)


def class_f1(truth: Array, guess: Array) -> dict[str, float]:  # (N,), (N,) classes
    """The F1 of classes: "macro" is their mean, "micro" that of all predictions, "weighted" the mean by class size.

    >>> class_f1(np.array([0, 1, 1]), np.array([0, 1, 0]))["micro"]
    0.6666666666666666
    """
    names = np.union1d(truth, guess)
    hits = np.array([((truth == name) & (guess == name)).sum() for name in names])
    true, guessed = (np.array([(x == name).sum() for name in names]) for x in (truth, guess))
    f1 = 2 * hits / (true + guessed)
    return {
        "macro": float(f1.mean()),
        "micro": float((truth == guess).mean()),
        "weighted": float(np.average(f1, weights=true)),
    }
