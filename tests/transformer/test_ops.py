"""Every op of minembed/transformer/ops.py against float64 loops (oracle.py), in float32 and in float64."""

import math

import numpy as np
import oracle
import pytest
from examples import heavy

from minembed.runtime.threads import single_threaded_blas
from minembed.transformer import ops
from minembed.transformer.attention import attend
from minembed.transformer.params import Linear, Norm

DTYPES = [np.float32, np.float64]
EPS = {np.float32: 6e-8, np.float64: 1.2e-16}  # half a unit in the last place of 1
# how many roundings, relative to the largest number met on the way, an op may be off
ROUNDINGS = {
    "linear": 32,  # sums of up to 31 products and a bias
    "layer_norm": 16,  # two means, a root, a division, a product and a sum
    "softmax": 8,  # an exponential, a sum and a division
    "attend": 64,  # scores of up to 11 products pass through an exponential, then sums over up to 17 tokens
}
GELU_FLOAT32 = 2e-7  # the contract: sums near |x| = 4 round by 1.2e-7, the polynomial strays by 0.1e-7
GELU_COARSE = 1e-8  # where float32 itself is coarser than that: half a unit, and what the polynomial strays
GELU_SMALL = 4 * 6e-8  # relative, below 2^-6: a difference of numbers of one size, rounded thrice
GELU_FLOAT64 = 1e-15  # the contract: gradient checks lean on it

LENGTHS = [(1,), (2, 7, 5), (17, 1), (3, 3, 3, 2, 2)]


def normal(*shape, dtype=np.float64, seed=7):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def assert_near(op, got, exact, size):
    """Demand the dtype's own accuracy; `size` is the largest number met on the way."""
    dtype = got.dtype.type
    np.testing.assert_allclose(got, exact, rtol=0, atol=ROUNDINGS[op] * EPS[dtype] * size)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 13])
def test_linear(rows, dtype):
    x, weight, bias = normal(rows, 31, dtype=dtype), normal(17, 31, dtype=dtype, seed=8), normal(17, dtype=dtype)
    got = ops.linear(x, Linear(np.ascontiguousarray(weight.T), bias))
    assert got.dtype == dtype
    assert_near("linear", got, oracle.linear(x, weight, bias), size=(abs(x) @ abs(weight.T) + abs(bias)).max())


@pytest.mark.parametrize(("width", "out"), [(384, 1152), (384, 384), (384, 1536), (1536, 384), (32, 96), (48, 32)])
def test_a_row_of_linear_does_not_depend_on_the_number_of_rows(width, out):
    """True where `out` fills whole register tiles of BLAS; at a ragged edge (not a multiple of 16) OpenBLAS differs."""
    x, p = (
        normal(300, width, dtype=np.float32),
        Linear(normal(width, out, dtype=np.float32), normal(out, dtype=np.float32)),
    )
    with single_threaded_blas():  # as the engine does: threads of BLAS would share out columns by the number of rows
        whole = ops.linear(x, p)
        for rows in [*range(1, 34), 64, 127, 256]:
            np.testing.assert_array_equal(ops.linear(x[:rows], p), whole[:rows])
            np.testing.assert_array_equal(ops.linear(x[-rows:], p), whole[-rows:])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1e-3, 0), (1e3, 0), (1, 100)])
def test_layer_norm(scale, offset, dtype):
    x = (scale * normal(13, 31) + offset).astype(dtype)
    weight, bias = normal(31, dtype=dtype, seed=8), normal(31, dtype=dtype, seed=9)
    got = ops.layer_norm(x, Norm(weight, bias), 1e-12)
    assert got.dtype == dtype
    exact = oracle.layer_norm(x, weight, bias, 1e-12)
    assert_near("layer_norm", got, exact, size=abs(exact).max() * (1 + offset / scale))  # the mean cancels


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [0.0, 1.0, -0.1, 1e-20, 1234.567])
@pytest.mark.parametrize("width", [31, 384])
def test_layer_norm_of_a_constant_row_is_the_bias(width, value, dtype):
    weight, bias = normal(width, dtype=dtype), normal(width, dtype=dtype, seed=8)
    got = ops.layer_norm(np.full((2, width), value, dtype), Norm(weight, bias), 1e-12)
    np.testing.assert_array_equal(got, np.stack([bias, bias]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_softmax(dtype):
    x = 5 * normal(3, 7, 11, dtype=dtype)
    got = ops.softmax(x)
    assert got.dtype == dtype
    exact = np.array([oracle.softmax(row) for row in x.reshape(-1, 11).tolist()]).reshape(x.shape)
    assert_near("softmax", got, exact, size=abs(x).max())  # the exponent is rounded before it is raised
    np.testing.assert_allclose(got.sum(axis=-1), 1, rtol=0, atol=11 * EPS[dtype])


def test_softmax_of_huge_scores_stays_finite():
    huge = np.finfo(np.float32).max / 2
    assert ops.softmax(np.float32([huge, 0, -huge])).tolist() == [1.0, 0.0, 0.0]
    assert ops.softmax(np.float32([[-huge], [huge]])).tolist() == [[1.0], [1.0]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "width"), [(1, 1), (3, 5), (2, 11)])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
def test_attend(lengths, heads, width, dtype):
    qkv = normal(sum(lengths), 3 * heads * width, dtype=dtype)
    got = attend(qkv, np.cumsum([0, *lengths]), heads)
    assert got.dtype == dtype
    assert_near("attend", got, oracle.attend(qkv, np.cumsum([0, *lengths]), heads), size=abs(qkv).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_attend_never_sees_the_neighbours(dtype):
    lengths = [5, 7, 7, 3, 1, 1, 1, 7, 64, 2, 2, 2, 1]
    cu_seqlens = np.cumsum([0, *lengths])
    qkv = normal(cu_seqlens[-1], 3 * 2 * 11, dtype=dtype)
    together = attend(qkv, cu_seqlens, 2)
    for b, n in enumerate(lengths):
        rows = slice(cu_seqlens[b], cu_seqlens[b + 1])
        np.testing.assert_array_equal(together[rows], attend(qkv[rows], np.array([0, n]), 2))  # the same bits
        poisoned = qkv.copy()
        poisoned[rows] = np.nan
        others = np.delete(np.arange(len(qkv)), np.arange(rows.start, rows.stop))
        np.testing.assert_array_equal(attend(poisoned, cu_seqlens, 2)[others], together[others])


@pytest.mark.parametrize("dtype", DTYPES)
def test_erf(dtype):
    x = np.concatenate([np.linspace(-7, 7, 20_011), [0.0, -0.0, 1e-300, math.inf, -math.inf]]).astype(dtype)
    got = ops.erf(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, oracle.erf(x), rtol=EPS[dtype], atol=0)
    assert np.isnan(ops.erf(np.array([np.nan], dtype))).all()


def test_gelu_in_float64():
    rng = np.random.default_rng(3)
    x = np.concatenate(
        [rng.uniform(-10, 10, 100_003), rng.standard_normal(1009) * 10.0 ** rng.integers(-300, 300, 1009)]
    )
    got, exact = ops.gelu(x), oracle.gelu(x)
    assert got.dtype == np.float64
    assert np.max(np.abs(got - exact) / np.maximum(1, np.abs(exact))) <= GELU_FLOAT64
    small = np.abs(x) < 1  # and where it is small its digits are right as well
    np.testing.assert_allclose(got[small], exact[small], rtol=4 * EPS[np.float64], atol=0)


def float32_between(low, high, stride):
    """Yield, in blocks, every stride-th float32 from low up to but not including high."""
    first, last = (int(np.float32(v).view(np.uint32)) for v in (low, high))
    for start in range(first, last, stride << 20):
        yield np.arange(start, min(start + (stride << 20), last), stride, dtype=np.uint32).view(np.float32)


@pytest.mark.parametrize("stride", [8, *heavy([1])])
def test_gelu_in_float32_for_every_number(stride):
    grid, tail = oracle.tail_table(16.0)
    probe = np.linspace(0, 16, 100_003)
    exact = oracle.each(lambda v: math.erfc(v / math.sqrt(2)) / 2, probe)
    assert np.max(np.abs(np.interp(probe, grid, tail) - exact)) < 1e-11  # the table is as good as math.erfc
    for x in float32_between(2**-6, 16, stride=stride):
        t = x.astype(np.float64)
        t *= np.interp(t, grid, tail)  # |x| Q(|x|)
        for value, true in ((x, x - t), (-x, -t)):
            error = np.abs(ops.gelu(value) - true)
            coarse = np.spacing(np.abs(true).astype(np.float32)) * 0.5 + GELU_COARSE
            worst = np.argmax(error - np.maximum(GELU_FLOAT32, coarse))
            assert error[worst] <= max(GELU_FLOAT32, coarse[worst]), (value[worst], error[worst])


def test_gelu_in_float32_is_exact_outside():
    rng = np.random.default_rng(4)
    largest = np.float32(np.finfo(np.float32).max)
    small = rng.integers(0, int(np.float32(2**-6).view(np.uint32)), 300_007, dtype=np.uint32).view(np.float32)
    for x in (small, -small, np.float32([1e-45, -1e-45, 1e-38, 2**-126])):
        np.testing.assert_allclose(ops.gelu(x), oracle.gelu(x), rtol=GELU_SMALL, atol=1.5e-45)  # the least subnormal
    large = np.concatenate([*float32_between(16, largest, 9973), [largest]]).astype(np.float32)
    np.testing.assert_array_equal(ops.gelu(large), large)
    assert not ops.gelu(-large).any()
    assert ops.gelu(np.float32([0.0, -0.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_never_makes_a_number_of_what_is_none(dtype):
    with np.errstate(invalid="ignore"):
        got = ops.gelu(np.array([np.nan, math.inf, -math.inf, 1.0], dtype))
    assert np.isnan(got[0]) and not np.isfinite(got[1:3]).any() and np.isfinite(got[3])


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_in_place_and_strided(dtype):
    x = normal(70, 999, dtype=dtype)  # more than one block
    expected = ops.gelu(x)
    np.testing.assert_array_equal(ops.gelu(x.T), expected.T)
    np.testing.assert_array_equal(ops.gelu(x[::3, 1::2]), expected[::3, 1::2])
    for given in (x.copy(), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        assert ops.gelu(given, out=given) is given
        np.testing.assert_array_equal(given, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_ordinary_numbers_raise_no_floating_point_flag(dtype):
    x = np.concatenate([3 * normal(16, 33, dtype=dtype), np.linspace(-30, 30, 33, dtype=dtype)[None]])  # (17, 33)
    with np.errstate(all="raise"):
        ops.gelu(x)
        ops.softmax(x[:16])
        ops.layer_norm(x, Norm(x[0], x[1]), 1e-12)
        ops.linear(x, Linear(np.ascontiguousarray(x.T), x[0, :17]))
        attend(x, np.array([0, 5, 16, 17]), 1)
