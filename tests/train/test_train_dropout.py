"""Dropout: how much it keeps, that places are independent, and that a mask follows from its place alone."""

import math
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minembed.errors import InputError
from minembed.train.dropout import LEVELS, Dropout

N = 1 << 20
FALSE_ALARM = 1e-12  # the most that a test of chance may fail by chance, for a seed that nobody chose


def bound(n, alarm=FALSE_ALARM):
    """How far the mean of n independent numbers, each of a range of 1, may stray (Hoeffding, 1963)."""
    return math.sqrt(math.log(2 / alarm) / (2 * n))


@pytest.mark.parametrize("p", [0.001, 0.1, 0.3, 0.5, 0.9, 0.999])
def test_as_many_are_kept_as_was_asked(p):
    kept = Dropout(p, seed=11).mask((N,), "somewhere").mean()
    assert abs(kept - (1 - p)) <= bound(N) + 0.5 / LEVELS


@pytest.mark.parametrize("p", [1e-9, 0.1, 1 / 3, 1 - 1e-9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_kept_is_scaled_by_what_is_really_kept(p, dtype):
    dropout, x = Dropout(p, seed=3), np.full((64, 1024), 3, dtype)
    y = dropout(x, "here")
    assert y.dtype == dtype and y.shape == x.shape and (x == 3).all()
    assert 1 <= dropout.kept < LEVELS and abs(dropout.kept / LEVELS - (1 - p)) <= 1 / LEVELS
    np.testing.assert_array_equal(y, dropout.mask(x.shape, "here") * x * dtype(LEVELS / dropout.kept))


def test_numbers_that_are_left_out_are_zero_whatever_they_were():
    x = np.float32([-1e38, 1e38, 0, 5] * 100)
    y = Dropout(0.5, seed=1)(x, "here")
    assert (y[~Dropout(0.5, seed=1).mask(x.shape, "here")] == 0).all()


def test_nothing_is_drawn_where_nothing_is_left_out(monkeypatch):
    monkeypatch.setattr(np.random, "Philox", None)
    x = np.ones(3, np.float32)
    assert Dropout(0)(x, "here") is x and Dropout(0.0).mask((2, 3), "here").all()


def test_places_are_independent():
    """Also sites whose names are alike, chunks, steps, seeds, and neighbours in one mask."""
    base, n, p = Dropout(0.3, seed=5), N // 4, 0.3
    masks = [base.mask((n,), f"layer.{i}.{name}") for i in (0, 1) for name in ("attention", "feed_forward")]
    masks += [base.mask((n,), "layer.0.probabilities", *where) for where in ((0, 0, 0), (0, 0, 1), (0, 1, 0))]
    masks += [base.at(step, "chunk", c).mask((n,), "layer.0.attention") for step in (0, 1, 2) for c in (0, 1)]
    masks += [replace(base, seed=seed).mask((n,), "layer.0.attention") for seed in (0, 6, 1 << 63)]
    whole = masks[0]
    masks += [np.roll(whole, lag) for lag in (1, 2, 3, 4, 5, 8, 16, 384)]
    centred = [mask - (1 - p) for mask in masks]
    pairs = list(combinations(range(len(masks)), 2))
    for i, j in pairs:  # a product of two such numbers has a range of max(p, 1 - p) at most
        allowed = bound(n - 400, FALSE_ALARM / len(pairs)) + 400 / n + 2 / LEVELS
        assert abs((centred[i] * centred[j]).mean()) <= allowed, (i, j)


def test_names_that_would_read_alike_are_different_places():
    base = Dropout(0.5)
    places = [("a", "bc"), ("ab", "c"), ("abc",), ("a", "b", "c"), ("abc", 0), ("abc", 10), ("abc", 1, 0), ()]
    assert len({base.mask((256,), *place).tobytes() for place in places}) == len(places)
    assert (base.mask((256,), "a", np.int64(3)) == base.mask((256,), "a", 3)).all()  # whatever type counts


PLACES = st.tuples(st.sampled_from(["a", "layer.1.attention"]), st.integers(0, 5))


@given(st.lists(PLACES, min_size=1, max_size=8), st.integers(0, 2**64 - 1), st.integers(0, 99), st.randoms())
def test_order_and_threads_change_nothing(places, seed, step, random):
    dropout = Dropout(0.2, seed).at(step, "chunk", 1)
    masks = {place: dropout.mask((37, 5), *place).tobytes() for place in places}
    random.shuffle(places)
    with ThreadPoolExecutor(4) as pool:
        again = dict(zip(places, pool.map(lambda place: dropout.mask((37, 5), *place).tobytes(), places), strict=True))
    assert again == masks


def test_masks_stay_the_same_from_version_to_version():
    """A run that is resumed after an update goes on as it would have."""
    drawn = Dropout(0.5, seed=1).at(7, "chunk", 0).mask((64,), "layer.3.attention")
    assert np.packbits(drawn).tobytes().hex() == "f7bb8a1d0fddb64b"


@pytest.mark.parametrize("p", [-0.1, 1, 1.0, 1.5, float("nan"), float("inf"), True, None, "0.1"])
def test_impossible_shares_are_refused(p):
    with pytest.raises(InputError, match="at least 0 and less than 1"):
        Dropout(p)


@pytest.mark.parametrize("number", [-1, 1 << 64, 1.5, True, None])
def test_impossible_seeds_and_steps_are_refused(number):
    with pytest.raises(InputError, match="seed must be a whole number"):
        Dropout(0.1, seed=number)
    with pytest.raises(InputError, match="step must be a whole number"):
        Dropout(0.1).at(number)


def test_empty_and_scalar_shapes():
    assert Dropout(0.5)(np.ones((0, 3), np.float32), "here").shape == (0, 3)
    assert Dropout(0.5)(np.ones((), np.float32), "here").shape == ()


@pytest.mark.slow
def test_it_is_fast():
    x = np.ones((800, 1536), np.float32)
    laps = []
    for _ in range(20):
        start = time.perf_counter()
        Dropout(0.1)(x, "here")
        laps.append(time.perf_counter() - start)
    assert min(laps) / x.size < 5e-9
