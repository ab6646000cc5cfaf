"""Tests of an explanation: does leaving tokens out have the predicted effect?"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minembed.errors import InputError
from minembed.evaluation.pairs import spearman
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.deleting import Cut, Places, Scored

FEWEST = 3  # values: with fewer, a rank order means nothing


@dataclass(frozen=True, slots=True)
class Test:
    """The agreement of an explanation with the effects of leaving tokens out; NaN if there are too few tokens."""

    __test__ = False  # not one of pytest's

    tokens: float  # Spearman's rank correlation of each token's part with the loss of score without it
    pairs: float  # the same for pairs: their part, and the loss that only both together cause
    curve: float  # mean score as tokens go, the least important first, minus that with the most important first

    def __str__(self) -> str:
        return f"tested by leaving out: tokens {self.tokens:+.2f}, pairs {self.pairs:+.2f}, curve {self.curve:+.3f}"


def rank_correlation(x: Array, y: Array) -> float:
    """Spearman's rank correlation of arrays of equal shape; NaN for fewer than three values, or if all are equal.

    >>> rank_correlation(np.array([1, 2, 3]), np.array([1, 5, 6])), rank_correlation(np.ones(3), np.ones(3))
    (1.0, nan)
    """
    x, y = x.reshape(-1), y.reshape(-1)
    if len(x) < FEWEST or np.ptp(x) == 0 or np.ptp(y) == 0:
        return math.nan
    try:
        return spearman(x, y)
    except InputError:  # NaN or infinity among them
        return math.nan


def put_to_test(pair: "Scored", said: tuple[Array, Array, Array | None], lost: tuple[Array, Array, Array]) -> Test:
    """Compare what was said of tokens that may go, by their places in each text and in pairs, with what was lost.

    `said` and `lost` are (n,), (m,) and (n, m) of the n and m tokens that may go; None without numbers for pairs.

    >>> from minembed.study.deleting import Scored
    >>> sums = lambda cuts: np.array([6.0 - sum(i + 1 for i in a) for a, b in cuts])
    >>> three = np.array([1.0, 2.0, 3.0])
    >>> pair = Scored("dot", None, None, ([0, 1, 2], []), ([0, 1, 2], []), sums)
    >>> test = put_to_test(pair, (three, three[:0], None), (three, three[:0], three))
    >>> test.tokens, round(test.curve, 6)
    (1.0, 1.333333)
    """
    tokens = rank_correlation(np.concatenate(said[:2]), np.concatenate(lost[:2]))
    pairs = math.nan if said[2] is None else rank_correlation(said[2], lost[2])
    curves = [area(pair, which, own) for which, own in enumerate(said[:2]) if own is not None and len(own)]
    return Test(tokens, pairs, float(np.mean(curves)) if curves else math.nan)


def area(pair: "Scored", which: int, importance: Array) -> float:
    """The area between two deletion curves of one text, per token: the least important first, the most important first.

    For random orders its mean is 0; it is largest if the order is right.

    >>> from minembed.study.deleting import Scored
    >>> first = lambda cuts: np.array([0.0 if 0 in a else 1.0 for a, b in cuts])
    >>> area(Scored("dot", None, None, ([0, 1], []), ([0, 1], []), first), 0, np.array([1.0, 0.0]))
    0.5
    """
    places = pair.may_go[which]
    order = [places[i] for i in np.argsort(-importance, kind="stable")]
    means = []
    for first in (order[::-1], order):
        so_far: list[Places] = [frozenset(first[: k + 1]) for k in range(len(first))]
        none: Places = frozenset()
        cuts: list[Cut] = [(some, none) if which == 0 else (none, some) for some in so_far]
        means.append(float(pair.scores(cuts).mean()))
    return means[0] - means[1]
