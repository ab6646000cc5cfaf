"""Softmax of rows of scores, compiled, against float64; one row alone and among others."""

import numpy as np
import pytest
from kernel_drivers import GUARD
from numba import njit

from minembed.kernels.encoder import softmax
from minembed.kernels.vectors.simd import address
from minembed.kernels.vectors.target import TARGET

EPS = 6e-8  # half a unit in the last place of 1
EXP_SHORT = 8e-5  # what the exponential for bfloat16 may be off by, relative
ROUNDINGS = 6  # a difference, an exponential (3 of its own) and what the difference was rounded by
BFLOAT16 = 2.0**-8  # half a unit in the last place, relative
FUSED = bool({"fma", "neon"} & TARGET.features)  # else x log2(e) is rounded by itself, and exp is off by that much
LENGTHS = [*range(1, 41), 64, 257]
SHORT_GUARD = np.uint16(0x4711)


def normal(*shape, seed=11):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@njit
def in_place(scores, start, stride, rows, n, sums):
    softmax.softmax_rows(address(scores, start), stride, rows, n, address(sums, 0))


@njit
def to_bfloat16(scores, start, stride, rows, n, to, sums):
    softmax.softmax_rows_bfloat16(address(scores, start), stride, rows, n, address(to, start), stride, address(sums, 0))


def laid_out(values):
    """Rows with as much room as whole vectors of 16 and groups of four rows need, between guards; and their stride."""
    rows, n = values.shape
    stride = -(-n // 16) * 16 + 5
    filled = np.full((-(-rows // 4) * 4, stride), GUARD)
    filled[:rows, :n] = values
    flat = np.full(filled.size + 8, GUARD)
    flat[3:-5] = filled.ravel()
    return flat, stride


def softmax_of(values):
    """Exponentials and sums; what lies around is checked."""
    (rows, n), (flat, stride), sums = values.shape, laid_out(values), np.zeros(len(values) + 3, np.float32)
    in_place(flat, 3, stride, rows, n, sums)
    made, end = flat[3:-5].reshape(-1, stride), -(-n // 16) * 16
    assert not made[:rows, n:end].any()  # filled up with zeros: they are multiplied by what lies there
    assert (made[:, end:] == GUARD).all() and (flat[:3] == GUARD).all() and (flat[-5:] == GUARD).all()
    return made[:rows, :n].copy(), sums[:rows]


def softmax_bfloat16_of(values):
    """The same rounded to bfloat16, as float32."""
    (rows, n), (flat, stride), sums = values.shape, laid_out(values), np.zeros(len(values) + 3, np.float32)
    before, to = flat.copy(), np.full(len(flat), SHORT_GUARD)
    to_bfloat16(flat, 3, stride, rows, n, to, sums)
    np.testing.assert_array_equal(flat, before)  # the scores stay
    made, end = to[3:-5].reshape(-1, stride), -(-n // 16) * 16
    assert not made[:rows, n:end].any()
    assert (made[:, end:] == SHORT_GUARD).all() and (to[:3] == SHORT_GUARD).all() and (to[-5:] == SHORT_GUARD).all()
    return (made[:rows, :n].astype(np.uint32) << 16).view(np.float32), sums[:rows]


def examples(n):
    """Rows of ordinary scores, of equal ones, and of the largest that there are."""
    return np.stack([5 * normal(n, seed=n), np.full(n, -7.25, np.float32), np.float32(3e38) * normal(n).clip(-1, 1)])


def assert_softmax(values, got, total, bound):
    """Weights against math.exp; a weight that is nearly nothing may be e^-87 instead."""
    for row, weights, whole in zip(values.astype(np.float64), got.astype(np.float64), total, strict=True):
        exact = np.exp(row - row.max())
        np.testing.assert_allclose(weights, exact, rtol=bound(row), atol=2e-38)
        np.testing.assert_allclose(whole, exact.sum(), rtol=bound(row))


@pytest.mark.parametrize("n", LENGTHS)
def test_softmax(n):
    def bound(row):
        furthest = np.abs(np.clip(row - row.max(), -88, 0)).max()  # of which the difference is rounded
        return ROUNDINGS * EPS + EPS * furthest * (1 if FUSED else 2)

    assert_softmax(examples(n), *softmax_of(examples(n)), bound)


@pytest.mark.parametrize("n", LENGTHS)
def test_softmax_bfloat16(n):
    assert_softmax(examples(n), *softmax_bfloat16_of(examples(n)), lambda row: BFLOAT16 + EPS * 88 + EXP_SHORT)


@pytest.mark.parametrize("function", [softmax_of, softmax_bfloat16_of], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [1, 7, 15, 16, 17, 37, 64])
def test_a_row_has_the_same_bits_anywhere(n, function):
    values = 5 * normal(14, n)
    whole, sums = function(values)
    for rows in range(1, 15):
        for start in {0, (14 - rows) // 2, 14 - rows}:
            got, total = function(values[start : start + rows])
            np.testing.assert_array_equal(got, whole[start : start + rows])
            np.testing.assert_array_equal(total, sums[start : start + rows])


@pytest.mark.parametrize("function", [softmax_of, softmax_bfloat16_of], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("n", [1, 7, 16, 37])
def test_softmax_of_what_is_no_number(n, function):
    for place in {0, n // 2, n - 1}:
        for bad in (np.nan, np.inf):
            values = normal(5, n)
            clean = function(values)
            values[1, place] = bad
            got, total = function(values)
            assert np.isnan(total[1])
            others = [0, 2, 3, 4]
            np.testing.assert_array_equal(got[others], clean[0][others])
            np.testing.assert_array_equal(total[others], clean[1][others])
        if n > 1:
            values = normal(2, n)
            values[0, place] = -np.inf
            got, total = function(values)
            assert np.isfinite(total).all() and got[0, place] < 2e-38
