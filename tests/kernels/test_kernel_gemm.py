"""Register tiles, packed weights and linear layers of the kernels, compiled, against float64 and whole numbers."""

import numpy as np
import oracle
import pytest
from examples import thinned
from kernel_drivers import encode, lowered, multiply, multiply_activate_encode
from kernel_encoders import DTYPES

from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.transformer.quantization import group_size, linear_int8, quantize_weight, round_bfloat16, to_bfloat16

EPS = 6e-8  # half a unit in the last place of 1
# sums of K products in float32, one after the other, against float64: relative to the sum of the products' sizes
SUM = 10 * EPS  # the worst would be K EPS; roundings of random signs stay near the root of that: 7.4 at most here
SCALED = 4 * EPS  # an exact whole number, twice scaled and added, once for each group
GELU = {
    "float32": 3e-7,
    "bfloat16": 8.5e-4,
    "int8": 8e-6,
}  # kernels/encoder/elementwise.py; beyond 3.5 relative to |x|:
GELU_BEYOND = {"float32": 2e-7, "bfloat16": 2.4e-4, "int8": 4e-5}
TIES = 1e-3  # of the levels may fall to the other side: NumPy rounds a product before the sum, the kernel after

DEPTHS = [1, 2, 7, 31, 384]
SHAPES = [(1, 1), (7, 5), (5, 31), (31, 17), (37, 101), (61, 67), (200, 53), (53, 200), (272, 29), (500, 13), (391, 37)]
MINILM = [(384, 1152), (384, 384), (384, 1536), (1536, 384)]


def normal(*shape, seed=17):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def exact_product(x, p, dtype):
    """The product in float64 of what the compute type makes of x, and the size of what is summed."""
    if dtype == "int8":
        rows, groups = len(x), len(p.scales)
        levels, scales, zero_points = encode(x, "int8")
        group = len(p.levels) // groups
        filled = np.repeat(zero_points, group, axis=1).astype(np.int64)
        filled[:, : x.shape[1]] = levels
        x = (filled.reshape(rows, groups, group) - zero_points[..., None]) * scales[..., None].astype(np.float64)
        x = x.reshape(rows, -1)
        weight = p.levels * np.repeat(p.scales.astype(np.float64), group, axis=0)
    else:
        x = (round_bfloat16(x) if dtype == "bfloat16" else x).astype(np.float64)
        weight = p.weight.astype(np.float64)
    return x @ weight + p.bias, np.abs(x) @ np.abs(weight) + np.abs(p.bias)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "out_width"), thinned(SHAPES + MINILM, 2))
def test_linear_layers(width, out_width, dtype):
    p = lowered(normal(width, out_width) * np.float32(width**-0.5), normal(out_width, seed=3), dtype)
    rows = 23 if width * out_width > 10_000 else 61
    x = normal(rows, width, seed=5)
    got = multiply(x, p, dtype)
    exact, size = exact_product(x, p, dtype)
    assert (np.abs(got - exact) <= (SCALED if dtype == "int8" else SUM) * size).all()
    activated, curve = multiply(x, p, dtype, activation=True), oracle.gelu(got.astype(np.float64))
    bound = np.where(np.abs(got) <= 3.5, GELU[dtype], np.maximum(GELU[dtype], GELU_BEYOND[dtype] * np.abs(got)))
    assert (np.abs(activated - curve) <= bound).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("width", "out_width"), [(7, 5), (37, 101), (200, 53), (272, 29), (500, 13), (384, 1152)])
def test_a_row_has_the_same_bits_anywhere(width, out_width, dtype):
    p = lowered(normal(width, out_width), normal(out_width), dtype)
    x = normal(61, width, seed=6) * np.float32(10.0) ** np.arange(-3, 3).repeat(11)[:61, None].astype(np.float32)
    whole = multiply(x, p, dtype)
    for rows in [*range(1, 2 * TILE_ROWS + 2), 47]:
        for start in {0, 61 - rows, (61 - rows) // 2}:
            np.testing.assert_array_equal(multiply(x[start : start + rows], p, dtype), whole[start : start + rows])
    order = np.random.default_rng(8).permutation(61)
    np.testing.assert_array_equal(multiply(x[order], p, dtype), whole[order])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("width", [31, 200, 384])
def test_what_is_no_number_stays_in_its_row(width, bad, dtype):
    p = lowered(normal(width, 37), normal(37), dtype)
    clean = normal(17, width, seed=6)
    expected = multiply(clean, p, dtype)
    for row, column in ((0, 0), (8, width // 2), (16, width - 1)):
        x = clean.copy()
        x[row, column] = bad
        got = multiply(x, p, dtype)
        others = np.delete(np.arange(17), row)
        np.testing.assert_array_equal(got[others], expected[others])
        if dtype == "int8" or np.isnan(bad):
            assert np.isnan(got[row]).all()  # of infinity no level can be made
        else:
            assert not np.isfinite(got[row]).any()


def numpy_levels(x):
    """The bytes, scales and zero points that quantization.linear_int8 multiplies, by its own formula."""
    width = x.shape[1]
    group = group_size(width)
    groups = -(-width // group)
    filled = np.zeros((len(x), groups * group), np.float32)
    filled[:, :width] = x
    filled = filled.reshape(len(x), groups, group)
    low, high = np.minimum(filled.min(axis=2), 0), np.maximum(filled.max(axis=2), 0)
    scale = (high - low) / np.float32(255) + np.float32(1e-30)
    zero = np.rint(-low * (np.float32(1) / scale))
    levels = np.rint(np.clip(filled * (np.float32(1) / scale)[..., None] + zero[..., None], 0, 255))
    return levels.reshape(len(x), -1)[:, :width], scale, zero


@pytest.mark.parametrize("width", [1, 7, 31, 40, 200, 272, 384, 391, 500, 1536])
def test_bytes_of_activations(width):
    x = normal(29, width, seed=4) * np.float32(10.0) ** np.arange(-14, 15)[:, None].astype(np.float32)
    x[7], x[8], x[9] = 0, np.abs(x[8]), -np.abs(x[9])  # nothing; no number below or above 0
    levels, scales, zero_points = encode(x, "int8")
    expected, expected_scales, expected_zero = numpy_levels(x)
    np.testing.assert_array_equal(scales, expected_scales)
    np.testing.assert_array_equal(zero_points, expected_zero)
    apart = np.abs(levels.astype(int) - expected.astype(int))
    assert apart.max() <= 1 and (apart > 0).mean() <= TIES
    p = lowered(normal(width, 11), normal(11), "int8")
    step = np.abs(p.levels * np.repeat(p.scales, group_size(width), axis=0)).max(axis=0)  # that a level more adds
    differing = (apart * np.repeat(scales, group_size(width), axis=1)[:, :width]).sum(axis=1, keepdims=True)
    _, size = exact_product(x, p, "int8")
    assert (np.abs(multiply(x, p, "int8") - linear_int8(x, p)) <= 2 * SCALED * size + differing * step).all()
    error = np.abs((levels - np.repeat(zero_points, group_size(width), axis=1)[:, :width])
                   * np.repeat(scales, group_size(width), axis=1)[:, :width] - x)  # fmt: skip
    assert (error <= 1.01 * np.repeat(scales, group_size(width), axis=1)[:, :width]).all()  # two roundings, half each


@pytest.mark.parametrize("width", [1, 7, 31, 40, 200, 272, 384, 391])
def test_bfloat16_of_activations(width):
    x = normal(29, width, seed=4)
    got, _, _ = encode(x, "bfloat16")
    np.testing.assert_array_equal(got, to_bfloat16(x))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize(("width", "out_width"), [(37, 64), (200, 160), (384, 384), (384, 1536)])
def test_activated_and_encoded_at_once(width, out_width, dtype):
    """multiply_activate_encode is multiply, GELU and encode, bit for bit."""
    assert out_width % group_size(out_width) == 0 == group_size(out_width) % PANEL
    p = lowered(normal(width, out_width) * np.float32(width**-0.5), normal(out_width, seed=3), dtype)
    for rows in (1, 13, 14, 15, 61):
        x = normal(rows, width, seed=rows)
        wide = multiply(x, p, dtype, activation=True)
        for got, expected in zip(multiply_activate_encode(x, p, dtype), encode(wide, dtype), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_extreme_weights_and_activations_are_summed_exactly():
    """All 255 times all -127 over a whole group of 192, through the whole layer."""
    weight = np.full((192, 3), -1, np.float32)
    weight[:, 1] = 1
    p = lowered(weight, np.zeros(3, np.float32), "int8")
    assert (p.levels[:, 0] == -127).all() and group_size(192) == 192
    x = np.full((2, 192), 255, np.float32)
    x[1] = -255
    scale = np.float64(p.scales[0, 0]) * np.float64(encode(x, "int8")[1][0, 0])
    exact = 255 * 127 * 192 * scale * np.array([[-1, 1, -1], [1, -1, 1]])
    np.testing.assert_allclose(multiply(x, p, "int8"), exact, rtol=2 * EPS, atol=0)
    levels, scales = quantize_weight(weight)
    assert levels.min() == -127 and levels.max() == 127 and scales.shape == (1, 3)
