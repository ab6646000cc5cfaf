"""exp, GELU, LayerNorm and the vectors they are made of, compiled, against float64."""

import math

import fit_exp
import numpy as np
import oracle
import pytest
from kernel_drivers import GUARD, mapped
from numba import njit

from minembed.kernels.encoder import elementwise
from minembed.kernels.vectors.simd import address
from minembed.kernels.vectors.target import TARGET

# what the docstrings of kernels/encoder/elementwise.py promise
EXP = 2e-7  # relative: the polynomial's 0.8e-7, two roundings and the exponent's own
EXP_SHORT = 8e-5  # relative: the polynomial; far below the 2e-3 of bfloat16
GELU = 3e-7  # up to 4; beyond, relative to |x|:
GELU_BEYOND = 2e-7
GELU_COARSE = 8e-6  # up to 4: the polynomial of 7.1e-6 and roundings; beyond, relative to |x|:
GELU_COARSE_BEYOND = 4e-5
GELU_SHORT = 2.4e-4  # of |x|, and beyond the cut of as much as |x| is there
FITTED = 1.05  # of the fit's own error: the last digit of a coefficient
EPS = 6e-8  # half a unit in the last place of 1
NORM_ROUNDINGS = 16  # as minembed.transformer.ops.layer_norm: two means, a root, a division, a product and a sum
FUSED = bool({"fma", "neon"} & TARGET.features)  # else x log2(e) is rounded by itself, and exp is off by that much
FURTHEST = 1e31  # beyond, |x| e^-87 is no longer nothing; no activation is

exp, gelu, gelu_coarse, gelu_short, exp2_short = (
    mapped(getattr(elementwise, name)) for name in ("exp", "gelu", "gelu_coarse", "gelu_short", "exp2_short")
)
SPECIAL = np.float32([0.0, -0.0, 1e-45, -1e-45, 1e-38, -1e-38, 1.0, -1.0, 87.0, -87.0])


def normal(*shape, seed=11):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def every_size(seed=5, low=2.0**-149, high=FURTHEST):
    """Numbers of both signs, of every order of magnitude."""
    rng = np.random.default_rng(seed)
    size = np.exp(rng.uniform(math.log(low), math.log(high), 100_003))
    return (size * rng.choice([-1, 1], size.shape)).astype(np.float32)


def test_exp():
    small = every_size(high=87)
    x = np.concatenate([np.linspace(-87, 88, 1_000_003).astype(np.float32), small, SPECIAL])
    exact = np.exp(x.astype(np.float64))
    assert np.max(np.abs(exp(x) / exact - 1) - (0 if FUSED else EPS * np.abs(x))) <= EXP
    lowest = exp(np.float32([-87]))
    assert 0 < lowest < 2e-38
    np.testing.assert_array_equal(exp(np.float32([-88, -104, -1e10, -3e38, -np.inf])), np.repeat(lowest, 5))
    assert np.isnan(exp(np.float32([np.nan, -np.nan, 1.0]))).tolist() == [True, True, False]


def test_exp2_short():
    x = np.concatenate([np.linspace(-126, 128, 1_000_003).astype(np.float32)[:-1], every_size(high=126), SPECIAL])
    assert np.max(np.abs(exp2_short(x) / np.exp2(x.astype(np.float64)) - 1)) <= EXP_SHORT
    tiny = np.linspace(-148, -126, 1001).astype(np.float32)  # results that are subnormal
    np.testing.assert_allclose(exp2_short(tiny), np.exp2(tiny.astype(np.float64)), rtol=EXP_SHORT, atol=2.0**-149)
    wanted = {-np.inf: 0, -3e38: 0, -300: 0, -151: 0, 129: np.inf, 254.5: np.inf, 3e38: np.inf, np.inf: np.inf}
    np.testing.assert_array_equal(exp2_short(np.float32(list(wanted))), list(wanted.values()))
    assert np.isnan(exp2_short(np.float32([np.nan, -np.nan, 1.0]))).tolist() == [True, True, False]


def test_exp_of_zero_is_nearly_one():
    """The largest score of a row gets the weight that softmax divides by."""
    assert abs(exp(np.float32([0]))[0] - 1) <= EXP and abs(exp2_short(np.float32([0]))[0] - 1) <= EXP_SHORT


def exact_gelu(x):
    x = x.astype(np.float64)
    grid, tail = oracle.tail_table(16.0)
    return np.maximum(x, 0) - np.abs(x) * np.interp(np.abs(x), grid, tail, right=0)


@pytest.mark.parametrize(
    ("function", "near", "beyond"),
    [(gelu, GELU, GELU_BEYOND), (gelu_coarse, GELU_COARSE, GELU_COARSE_BEYOND)],
    ids=["gelu", "gelu_coarse"],
)
def test_gelu(function, near, beyond):
    x = np.concatenate([np.linspace(-17, 17, 1_000_003).astype(np.float32), every_size(), SPECIAL])
    error = np.abs(function(x) - exact_gelu(x))
    bound = np.where(np.abs(x) <= 4, near, np.maximum(near, beyond * np.abs(x.astype(np.float64))))
    worst = np.argmax(error / bound)
    assert error[worst] <= bound[worst], (x[worst], error[worst])


def test_gelu_short():
    x = np.concatenate([np.linspace(-17, 17, 1_000_003).astype(np.float32), every_size(), SPECIAL])
    size = np.abs(x.astype(np.float64))
    bound = GELU_SHORT * size.clip(0, elementwise.CUT) + 2.0**-24 * size + 2.0**-149  # as fine as numbers are near 0
    assert (np.abs(gelu_short(x) - exact_gelu(x)) <= bound).all()


@pytest.mark.parametrize("function", [gelu, gelu_coarse, gelu_short], ids=["gelu", "gelu_coarse", "gelu_short"])
def test_gelu_never_makes_a_number_of_what_is_none(function):
    got = function(np.float32([np.nan, np.inf, -np.inf, 3e38, 1.0, 0.0, -0.0]))
    assert np.isnan(got[0]) and not np.isfinite(got[1:3]).any() and np.isfinite(got[3:]).all()
    assert got[5:].tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("letter", "fit", "error"),
    [
        ("E", lambda: fit_exp.fit_power(6, exact=True), fit_exp.power_error),
        ("T", lambda: fit_exp.fit_power(4, exact=False, low=0), lambda coef: fit_exp.power_error(coef, low=0)),
        ("P", fit_exp.fit_gelu, fit_exp.gelu_error),
        ("S", fit_exp.fit_short_gelu, fit_exp.short_gelu_error),
    ],
)
def test_the_coefficients_are_as_good_as_the_fit(letter, fit, error):
    fitted, _ = fit()
    own = [getattr(elementwise, f"{letter}{i}") for i in range(len(fitted))]
    assert error(own[::-1] if letter in "PS" else own) <= FITTED * error(fitted)


def test_the_fit_is_the_best_there_is():
    """The error of a minimax polynomial is equally large at one place more than it has coefficients."""
    for count in (4, 6):
        coef, largest = fit_exp.fit_power(count, exact=False)
        f = np.linspace(-0.5, 0.5, 100_003)
        error = np.polynomial.Polynomial(coef)(f) / np.exp2(f) - 1
        turns = [part[np.argmax(np.abs(part))] for part in np.split(error, np.flatnonzero(np.diff(np.sign(error))) + 1)]
        assert len(turns) == count + 1 and np.abs(turns).min() >= 0.98 * largest


# ---- rows ----


@njit
def add_norm(x, residual, weight, bias, width, eps, out):
    elementwise.add_norm_row(
        address(x, 3), address(residual, 3), address(weight, 3), address(bias, 3), width, eps, address(out, 3)
    )


def normed(x, residual, weight, bias, eps=1e-12, in_place=False):
    """LayerNorm(x + residual) of one row by the kernel; nothing around the rows is read or written."""
    width = len(x)

    def between_guards(row, guard=np.nan):  # NaN: a lane that is read and used would spoil the result
        return np.concatenate([np.full(3, guard), row, np.full(19, guard)]).astype(np.float32)

    rows = [between_guards(row) for row in (x, residual, weight, bias)]
    out = rows[1] if in_place else between_guards(np.zeros(width), GUARD)
    add_norm(*rows, width, np.float32(eps), out)
    for row in (rows[0], out):
        around = np.delete(row, slice(3, 3 + width))
        assert np.isnan(around).all() or (around == GUARD).all()
    np.testing.assert_array_equal(rows[0][3 : 3 + width], x + residual)  # x holds the sum afterwards
    return out[3 : 3 + width]


WIDTHS = [1, 7, 16, 31, 40, 384]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-3, 0), (1e3, 0), (1, 100)])
def test_add_norm_row(width, scale, offset):
    weight, bias = normal(width, seed=2), normal(width, seed=3)
    for seed in range(5):
        x, residual = scale * normal(width, seed=seed) + np.float32(offset), scale * normal(width, seed=seed + 50)
        exact = oracle.layer_norm((x + residual)[None], weight, bias, 1e-12)[0]
        size = max(1, np.abs(exact).max()) * (1 + offset / scale)  # the mean cancels
        if width > 1:  # of one number, the difference from its mean is 0: there rounding is all
            np.testing.assert_allclose(
                normed(x, residual, weight, bias), exact, rtol=0, atol=NORM_ROUNDINGS * EPS * size
            )
        np.testing.assert_array_equal(
            normed(x, residual, weight, bias, in_place=True), normed(x, residual, weight, bias)
        )


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1e-20, 1234.567])
def test_add_norm_of_a_constant_row_is_the_bias(width, value):
    weight, bias = normal(width), normal(width, seed=12)
    row, other = np.full(width, value, np.float32), np.full(width, 0.7, np.float32)
    np.testing.assert_array_equal(normed(row, other, weight, bias), bias)


@pytest.mark.parametrize("width", [7, 16, 31, 384])
def test_an_overflow_of_add_norm_is_nan(width):
    weight, bias = normal(width), normal(width, seed=12)
    for bad in (np.nan, np.inf, -np.inf, 3e38):
        for place in {0, width // 2, width - 1}:
            x = normal(width)
            x[place] = bad
            assert np.isnan(normed(x, normal(width, seed=13), weight, bias)).all(), (bad, place)
