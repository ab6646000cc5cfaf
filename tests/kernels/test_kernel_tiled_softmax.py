"""Softmax of the encoder on tiles, against float64: rows whose sums are ordinary, and rows that are done anew."""

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from kernel_tiled import softmax_of

ROUNDED = 2.0**-8 + 2.0**-23  # of a bfloat16, and of two units in the last place of float32
SHORT_EXP = 8e-5  # the error of the short exponential


def assert_weights(scores, weights, sums):
    """Rows of finite scores, and of some that are -infinity, against float64: as shares of the sum."""
    scores = scores.astype(np.float64)
    exact = np.exp2(scores - scores.max(axis=1, keepdims=True))
    exact /= exact.sum(axis=1, keepdims=True)
    found = weights / sums[:, None].astype(np.float64)
    assert found.shape == exact.shape
    assert (np.abs(found - exact) <= (ROUNDED + 2 * SHORT_EXP) * exact + 2.0**-50).all()
    assert not found[np.isneginf(scores)].any()


SHIFTS = (0, 30, 59, 61, 100, 126, 128, 1000, 1e4, -30, -59, -61, -100, -126, -128, -150, -1000, -1e4)


@examples(400, usual=60)
@given(
    rows=st.integers(1, 32),
    n=st.integers(1, 300),
    shifts=st.lists(st.sampled_from(SHIFTS), min_size=1, max_size=4),
    spread=st.sampled_from([0, 1, 8, 60]),
    unseen=st.sampled_from([0, 0.3, 0.95]),
    seed=st.integers(0, 999),
)
def test_softmax(rows, n, shifts, spread, unseen, seed):
    """Sums so large or small that the row has to be done anew, beside others that have not."""
    rng = np.random.default_rng(seed)
    scores = (spread * rng.standard_normal((rows, n)) + np.resize(shifts, rows)[:, None]).astype(np.float32)
    seen = rng.integers(0, n, rows)
    hidden = rng.random((rows, n)) < unseen
    hidden[np.arange(rows), seen] = False  # each sees one
    scores[hidden] = -np.inf
    weights, sums = softmax_of(scores)
    assert_weights(scores, weights, sums)
    for r in {0, rows // 2, rows - 1}:
        alone = softmax_of(scores[r : r + 1])
        assert alone[0].tobytes() == weights[r].tobytes() and alone[1][0] == sums[r]


@pytest.mark.parametrize("n", [1, 15, 16, 33, 64])
def test_softmax_of_the_largest_numbers(n):
    scores = np.float32([np.resize([3e38, -3e38], n), np.full(n, -3e38), np.full(n, 3e38), np.resize([-1e30, 2.5], n)])
    assert_weights(scores, *softmax_of(scores))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("n", [1, 16, 37])
def test_softmax_of_what_is_no_number(n, bad):
    """The row's sum is no number then, and so all of it; the rows beside are as ever."""
    scores = np.random.default_rng(n).standard_normal((9, n), dtype=np.float32)
    weights, sums = softmax_of(scores)
    for r in range(9):
        spoilt = scores.copy()
        spoilt[r, n // 2] = bad
        found, totals = softmax_of(spoilt)
        assert np.isnan(totals[r])
        others = np.arange(9) != r
        np.testing.assert_array_equal(found[others], weights[others])
        np.testing.assert_array_equal(totals[others], sums[others])
