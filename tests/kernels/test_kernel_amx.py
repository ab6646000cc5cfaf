"""Operations on tiles, by the CPU and emulated: each against exact numbers, and the two against each other.

What the CPU does was found out on a Granite Rapids, and holds wherever these tests run on tiles.
"""

import numpy as np
import pytest
from examples import examples
from fused import dot as exact_dot
from hypothesis import given
from hypothesis import strategies as st
from kernel_amx import KINDS, functions, needs_tiles, words

TINY = 2.0**-126  # the smallest number that is not denormal


@pytest.fixture(scope="module", params=KINDS)
def on(request):
    """Functions on tiles, of each kind in turn."""
    return functions(request.param)


def numbers(w):
    return (np.asarray(w, np.uint16).astype(np.uint32) << 16).view(np.float32)


def one(on, a, b, c):
    """c + a b of one row and one column, which begin with what is given; the rest is zeros."""
    rows, columns, sums = np.zeros((1, 16, 32)), np.zeros((1, 32, 16)), np.zeros((1, 16, 16), np.float32)
    a, b = np.atleast_1d(a), np.atleast_1d(b)
    rows[0, 3, : len(a)], columns[0, : len(b), 5], sums[0, 3, 5] = a, b, c
    return float(on.dot(words(rows), words(columns), sums)[0, 3, 5])


# ---- copies ----


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("stride", "stride_out"), [(16, 48), (17, 53), (32, 64), (400, 49)])
def test_tiles_are_copied_and_zeroed(on, stride, stride_out, streamed):
    x = np.random.default_rng(stride).integers(-(2**31), 2**31, 16 * stride + 1, np.int32)
    out = on.copy(x, stride, streamed, stride_out)
    expected = np.full_like(out, -7)
    expected[:, :16], expected[:, 16:32] = x[:-1].reshape(16, stride)[:, :16], 0
    expected[:, 32:48] = x[1:].reshape(16, stride)[:, :16]
    np.testing.assert_array_equal(out, expected)  # and nothing beside


# ---- products ----


def test_a_product_of_whole_numbers_is_exact(on):
    rng = np.random.default_rng(1)
    a, b, c = (rng.integers(-99, 99, (9, *shape)) for shape in ((16, 32), (32, 16), (16, 16)))
    np.testing.assert_array_equal(on.dot(words(a), words(b), c), c + a @ b)


@examples(60)
@given(seed=st.integers(0, 2**32 - 1), spread=st.integers(0, 20), size=st.sampled_from([0, 40, -40, -63]))
def test_each_product_and_each_sum_rounds_once(on, seed, spread, size):
    """Numbers of very unequal sizes, so that any other order, and any second rounding, would be another number."""
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return rng.uniform(-2, 2, shape) * 2.0 ** (size + rng.integers(-spread, spread + 1, shape))

    a, b = words(draw(1, 16, 32)), words(draw(1, 32, 16))
    c = (draw(1, 16, 16) * 2.0**size).astype(np.float32)
    found = on.dot(a, b, c)[0]
    for i, j in [(0, 0), (15, 15), (7, 2)]:
        assert found[i, j] == exact_dot(numbers(a)[0, i], numbers(b)[0, :, j], c[0, i, j])


DENORMALS = {  # a row, a column, c; and what comes out
    "of A": (TINY / 2, 2.0**100, 0, 0),
    "of B": (2.0**100, -TINY / 2, 0, 0),
    "of C": (0, 0, TINY / 2, 0),
    "of C, beside a number": (TINY, 1, TINY / 2, TINY),
    "a product": (2.0**-70, 2.0**-70, 0, 0),
    "a product, before C is added": (2.0**-70, 2.0**-70, TINY, TINY),
    "a sum of products, one by one": ([2.0**-64] * 32, [2.0**-64] * 32, 0, 0),  # 2^-123, were each 2^-128
    "a product that joins a number is not": ([2, 0, 2.0**-70], [TINY, 0, 2.0**-65], 0, 2 * TINY + 2.0**-135),
    "a difference of even places": ([1, 0, 1], [TINY, 0, -TINY / 2], 0, TINY),
    "a difference of even and odd": ([1.5, -1], [TINY, TINY], 0, 0),
    "a difference of even and odd, before C": ([1.5, -1], [TINY, TINY], TINY, TINY),
    "a difference from C": (1.5, TINY, -TINY, 0),
    "what rounds to the smallest": ([1, 0, -(2.0**-25)], [TINY, 0, TINY], 0, TINY),
    "what would round to it if it were one": ([1, 0, -(2.0**-24)], [TINY, 0, TINY], 0, 0),
}


@pytest.mark.parametrize("name", DENORMALS)
def test_denormal_numbers_are_0(on, name):
    *given_, expected = DENORMALS[name]
    assert one(on, *given_) == expected
    assert one(on, -np.array(given_[0]), given_[1], -given_[2]) == -expected


def test_0_keeps_its_sign(on):
    low = 2.0**-70
    for c in (-0.0, -TINY / 2):
        found = one(on, [-low] * 32, [low] * 32, c)
        assert found == 0 and np.signbit(found)
        assert not np.signbit(one(on, -low, low, c))  # the other places are 0, not -0


@pytest.mark.parametrize("place", range(2))
def test_infinity_and_nan(on, place):
    def row(*values):
        out = np.zeros(2 * len(values))
        out[place::2] = values
        return out

    inf, nan = np.inf, np.nan
    assert one(on, row(inf), row(2), 1) == inf and one(on, row(-inf), row(2), 1) == -inf
    assert one(on, row(1), row(1), -inf) == -inf
    assert one(on, row(2.0**100), row(2.0**100), 0) == inf  # too large
    assert one(on, row(2.0**100, 2.0**100), row(2.0**27, 2.0**27), -(2.0**127)) == inf  # though 2^127 is left
    for a, b, c in [
        ((nan,), (1,), 0),
        ((nan,), (0,), 0),
        ((1,), (nan,), 0),
        ((1,), (1,), nan),
        ((inf,), (0,), 0),
        ((inf,), (TINY / 2,), 0),  # which is 0
        ((inf, inf), (1, -1), 0),
        ((inf,), (1,), -inf),
    ]:
        assert np.isnan(one(on, row(*a), row(*b), c)), (a, b, c)


def test_nan_stays_in_its_row_and_column(on):
    a, b = np.ones((1, 16, 32)), np.ones((1, 32, 16))
    a[0, 4, 7] = b[0, 8, 9] = np.nan
    found = on.dot(words(a), words(b), np.zeros((1, 16, 16), np.float32))[0]
    assert np.isnan(found[4]).all() and np.isnan(found[:, 9]).all()
    assert (np.delete(np.delete(found, 4, 0), 9, 1) == 32).all()


# ---- the two kinds ----


@pytest.fixture(scope="module")
def both():
    return functions("hardware"), functions("emulated")


def drawn(rng, kind, *shape):
    """Float32 of any bits, of which sums are often numbers, or around a power of two."""
    if kind == "any bits":
        bits = rng.integers(0, 1 << 32, shape, np.uint32)
        return np.where(rng.random(shape) < 0.1, bits, bits & 0xBFFFFFFF).view(np.float32)
    return (rng.standard_normal(shape) * 2.0 ** rng.integers(kind - 6, kind + 7, shape)).astype(np.float32)


@needs_tiles
@examples(400)
@given(seed=st.integers(0, 2**32 - 1), kind=st.sampled_from(["any bits", 0, 60, -40, -60, -64, -126, -133]))
def test_the_cpu_and_its_emulation_give_the_same_bits(both, seed, kind):
    """Denormals, infinities and zeros with their signs included; only which NaN it is may differ."""
    rng = np.random.default_rng(seed)
    a, b = (drawn(rng, kind, 4, *shape).view(np.uint32) >> 16 for shape in ((16, 32), (32, 16)))
    a, b = a.astype(np.uint16), b.astype(np.uint16)
    c = drawn(rng, kind if kind == "any bits" else max(-133, min(60, 2 * kind)), 4, 16, 16)
    hardware, emulated = (f.dot(a, b, c) for f in both)
    is_number = ~np.isnan(hardware)
    np.testing.assert_array_equal(is_number, ~np.isnan(emulated))
    assert is_number.any()
    np.testing.assert_array_equal(hardware[is_number].view(np.uint32), emulated[is_number].view(np.uint32))
