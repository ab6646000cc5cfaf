"""The kernels of training against float64, at every remainder of rows and columns."""

import numpy as np
import pytest
from tiers import COMPILED

from minembed.train.backward.vjp import gelu_vjp, layer_norm_vjp, linear, linear_vjp, softmax_vjp
from minembed.transformer.ops import gelu, layer_norm, softmax
from minembed.transformer.params import Linear, Norm

if not COMPILED:
    pytest.skip("there are no kernels", allow_module_level=True)

from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.training.operations import StepOperations

ROUNDING = 2.0**-24  # of one operation in float32


def close(got, exact, size):
    """Sums of products are off by some roundings of the sum of their sizes."""
    assert got.dtype == np.float32 and got.flags.c_contiguous
    assert (np.abs(got - exact) <= 32 * ROUNDING * size).all()


@pytest.mark.parametrize("rows", [1, 2, TILE_ROWS, TILE_ROWS + 1, 3 * TILE_ROWS + 5])
@pytest.mark.parametrize(("width", "out"), [(1, PANEL), (40, 3 * PANEL), (64, PANEL), (PANEL + 3, 40), (7, 5)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_layers(rows, width, out, bias):
    rng = np.random.default_rng(rows * width)
    p = Linear(rng.standard_normal((width, out), np.float32), rng.standard_normal(out, np.float32) if bias else None)
    x, dy = rng.standard_normal((rows, width), np.float32), rng.standard_normal((rows, out), np.float32)
    exact = Linear(p.weight.astype(np.float64), None if p.bias is None else p.bias.astype(np.float64))
    sizes = Linear(np.abs(p.weight), None if p.bias is None else np.abs(p.bias))
    tier = StepOperations()
    close(tier.linear(x, p), linear(x.astype(np.float64), exact), linear(np.abs(x), sizes))
    for _ in range(2):  # the turned weight is kept for the second call
        dx, dp = tier.linear_vjp(x, p, dy)
        wanted, size = (
            linear_vjp(x.astype(np.float64), exact, dy.astype(np.float64)),
            linear_vjp(abs(x), sizes, abs(dy)),
        )
        close(dx, wanted[0], size[0])
        close(dp.weight, wanted[1].weight, size[1].weight)
        if bias:
            close(dp.bias, wanted[1].bias, size[1].bias)


def test_rows_do_not_depend_on_how_many_there_are():
    rng = np.random.default_rng(1)
    p, x = Linear(rng.standard_normal((40, 2 * PANEL), np.float32)), rng.standard_normal((50, 40), np.float32)
    whole = StepOperations().linear(x, p)
    for n in (1, 2, 7, TILE_ROWS, 33):
        np.testing.assert_array_equal(StepOperations().linear(x[:n], p), whole[:n])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_that_do_not_lie_in_order(dtype):
    rng = np.random.default_rng(2)
    weight, x, dy = (rng.standard_normal(s).astype(dtype) for s in ((40, PANEL), (40, 9), (PANEL, 9)))
    for got, wanted in zip(
        StepOperations().linear_vjp(x.T, Linear(weight), dy.T), linear_vjp(x.T, Linear(weight), dy.T), strict=True
    ):
        got, wanted = (v.weight if isinstance(v, Linear) else v for v in (got, wanted))
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 100_003])
def test_gelu_and_its_slope(size):
    x = np.linspace(-40, 40, size, dtype=np.float32)
    dy = np.linspace(1, 2, size, dtype=np.float32)
    exact = x.astype(np.float64)
    assert (
        np.abs(StepOperations().gelu(x) - gelu(exact)) <= np.maximum(3e-7, 2e-7 * np.abs(exact))
    ).all()  # elementwise.gelu's
    slope = StepOperations().gelu_vjp(x, dy)
    assert np.abs(slope - gelu_vjp(exact, dy.astype(np.float64))).max() <= 1e-6  # slopes up to 2.3: some roundings
    assert slope.dtype == np.float32
    own = x.copy()
    assert StepOperations().gelu(own, out=own) is own
    np.testing.assert_array_equal(own, StepOperations().gelu(x))


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("width", [1, 15, 16, 48, 312, 384])
@pytest.mark.parametrize("bias", [True, False])
def test_layer_norm_and_its_slopes(rows, width, bias):
    rng = np.random.default_rng(rows * width)
    x, dy, noise = rng.standard_normal((3, rows, width)).astype(np.float32)
    x = x * 3 + 7  # a mean that is larger than the deviation
    p = Norm(1 + noise[0], noise[-1] if bias else None)
    wide = Norm(*(None if a is None else a.astype(np.float64) for a in (p.weight, p.bias)))
    got, exact = StepOperations().layer_norm(x, p, 1e-5), layer_norm(x.astype(np.float64), wide, 1e-5)
    assert got.dtype == np.float32
    # numbers near 10 less their mean are off by 2^-20, divided by a deviation of 3, times weights up to 4
    np.testing.assert_allclose(got, exact, rtol=0, atol=0 if width == 1 else 5e-6)
    dx, dp = StepOperations().layer_norm_vjp(x, p, 1e-5, dy)
    wanted, dwanted = layer_norm_vjp(x.astype(np.float64), wide, 1e-5, dy.astype(np.float64))
    np.testing.assert_allclose(dx, wanted, rtol=0, atol=5e-6)
    np.testing.assert_allclose(dp.weight, dwanted.weight, rtol=0, atol=5e-6)
    if bias:
        np.testing.assert_allclose(dp.bias, dwanted.bias, rtol=0, atol=2e-6)  # five numbers
    assert (dp.bias is None) == (not bias)


@pytest.mark.parametrize("n", [1, 3, 15, 16, 17, 33, 128])
def test_softmax_and_its_slopes(n):
    rng = np.random.default_rng(n)
    x, dy = (rng.standard_normal((2, 3, n)) * 9).astype(np.float32), rng.standard_normal((2, 3, n)).astype(np.float32)
    x[0, 0, 1:] = -np.inf  # what is not seen
    x[1, 1] = 80  # equal scores
    got, exact = StepOperations().softmax(x), softmax(x.astype(np.float64))
    assert got.dtype == np.float32 and got.shape == x.shape
    np.testing.assert_allclose(got, exact, rtol=3e-6, atol=1e-37)  # exponents of up to 50 are off by 2^-19
    kept = got * rng.integers(0, 2, x.shape).astype(np.float32) * 2
    for given in (None, kept):
        wanted = softmax_vjp(*(a if a is None else a.astype(np.float64) for a in (got, dy, given)))
        np.testing.assert_allclose(StepOperations().softmax_vjp(got, dy, given), wanted, rtol=0, atol=2e-6)


def test_rows_that_do_not_lie_in_order():
    rng = np.random.default_rng(3)
    x, dy = (rng.standard_normal((48, 7)).astype(np.float32).T for _ in range(2))
    p = Norm(np.ones(48, np.float32), np.zeros(48, np.float32))
    np.testing.assert_array_equal(
        StepOperations().layer_norm(x, p, 1e-5), StepOperations().layer_norm(x.copy(), p, 1e-5)
    )
    np.testing.assert_array_equal(
        StepOperations().layer_norm_vjp(x, p, 1e-5, dy)[0],
        StepOperations().layer_norm_vjp(x.copy(), p, 1e-5, dy.copy())[0],
    )
    np.testing.assert_array_equal(StepOperations().softmax(x), StepOperations().softmax(x.copy()))


def test_nan_is_not_hidden():
    x = np.zeros((3, 40), np.float32)
    x[1, 2] = np.nan
    p = Linear(np.ones((40, PANEL), np.float32))
    assert np.isnan(StepOperations().linear(x, p)[1]).all() and np.isfinite(StepOperations().linear(x, p)[[0, 2]]).all()
    dx, dp = StepOperations().linear_vjp(x, p, np.ones((3, PANEL), np.float32))
    assert np.isfinite(dx).all() and np.isnan(dp.weight[2]).all()
    assert np.isnan(StepOperations().gelu_vjp(x, x)[1, 2])
    p, ones = Norm(np.ones(40, np.float32), np.zeros(40, np.float32)), np.ones_like(x)
    for got in (
        StepOperations().layer_norm(x, p, 1e-5),
        StepOperations().layer_norm_vjp(x, p, 1e-5, ones)[0],
        StepOperations().softmax(x),
    ):
        assert np.isnan(got[1]).all() and np.isfinite(got[[0, 2]]).all()
    assert np.isnan(StepOperations().softmax_vjp(x, ones)[1]).all()
