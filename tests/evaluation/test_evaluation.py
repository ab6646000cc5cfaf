"""Correlations, against loops that share no code with them."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minembed import MinembedError
from minembed.evaluation.pairs import average_ranks, pearson, spearman

TOLERANCE = 1e-12  # float64 sums of at most some hundred terms between -1 and 1


def slow_ranks(x):
    return [sum(b < a for b in x) + (sum(b == a for b in x) + 1) / 2 for a in x]


def slow_pearson(x, y):
    a, b = math.fsum(x) / len(x), math.fsum(y) / len(y)
    top = math.fsum((p - a) * (q - b) for p, q in zip(x, y, strict=True))
    return top / math.sqrt(math.fsum((p - a) ** 2 for p in x) * math.fsum((q - b) ** 2 for q in y))


numbers = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9)), min_size=3, max_size=60)


@given(numbers)
def test_correlations_agree_with_the_loops(pairs):
    x, y = map(list, zip(*pairs, strict=True))
    if len(set(x)) < 2 or len(set(y)) < 2:
        return
    assert average_ranks(x).tolist() == slow_ranks(x)
    assert pearson(x, y) == pytest.approx(slow_pearson(x, y), abs=TOLERANCE)
    assert spearman(x, y) == pytest.approx(slow_pearson(slow_ranks(x), slow_ranks(y)), abs=TOLERANCE)


@given(numbers)
def test_order_is_all_that_spearman_sees(pairs):
    x, y = map(list, zip(*pairs, strict=True))
    if len(set(x)) < 2 or len(set(y)) < 2:
        return
    assert spearman([math.exp(v) for v in x], y) == spearman(x, y)
    assert spearman(y, x) == pytest.approx(spearman(x, y), abs=TOLERANCE)


def test_by_hand():
    # ranks 1, 2.5, 2.5, 4 and 1, 2, 3, 4: covariance 4.5, squares 4.5 and 5
    assert spearman([0, 1, 1, 2], [5, 6, 7, 8]) == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=TOLERANCE)
    assert pearson([0, 1, 2], [4, 2, 0]) == pytest.approx(-1, abs=TOLERANCE)
    assert spearman([1, 2, 3, 4], [1, -2, -30, -400]) == pytest.approx(-1, abs=TOLERANCE)


@pytest.mark.parametrize("scale", [1e-300, 1e-12, 1, 1e12, 1e300])
def test_scale_does_not_matter(scale):
    x, y = np.random.default_rng(3).standard_normal((2, 50))
    assert pearson(x * scale, y) == pytest.approx(pearson(x, y), abs=TOLERANCE)


def test_float32_is_summed_in_float64():
    x = np.float32(1) + np.arange(10, dtype=np.float32) * np.float32(2**-20)  # float32 sums would lose the steps
    assert pearson(x, range(10)) == pytest.approx(1, abs=TOLERANCE)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        ([1.0], [1.0], "at least 2"),
        ([[1, 2], [3, 4]], [1, 2], "shape"),
        ([1, 2, 3], [1, 2], "3 values and 2"),
        ([1, math.nan, 3], [1, 2, 3], r"x\[1\] is not"),
        ([1, 2, 3], [1, 2, math.inf], r"y\[2\] is not"),
        ([0.1, 0.1, 0.1], [1, 2, 3], "all 3 values of x are 0.1"),
    ],
)
def test_what_has_no_correlation(x, y, message):
    for correlation in (pearson, spearman):
        with pytest.raises(MinembedError, match=message):
            correlation(x, y)
