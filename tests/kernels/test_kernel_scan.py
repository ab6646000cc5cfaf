"""The scans of top-k by themselves: intervals that keep their promise, lists, and the threads that share the work."""

import os
import threading

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from numba import njit

from minembed.kernels import helpers
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.helpers import Helper, share
from minembed.kernels.topk import candidates
from minembed.kernels.topk import tier as similarity
from minembed.kernels.topk.lists import DONE
from minembed.kernels.vectors import simd
from minembed.kernels.vectors.simd import address, load, store
from minembed.runtime.threads import available_cores
from minembed.search.metrics import FLOAT32_UNIT, METRICS
from minembed.search.quantized import quantize_corpus
from minembed.search.topk import Search

PATIENCE = 30  # seconds: far more than any of this takes


def problem(rows, number, width, seed):
    """Rows of all lengths, some of zeros, some with one large number; queries likewise."""
    rng = np.random.default_rng(seed)
    corpus = rng.standard_normal((rows, width)) * np.exp(2 * rng.standard_normal((rows, 1)))
    corpus[::9] = 0
    corpus[4::9, width // 2] *= 300
    queries = rng.standard_normal((number, width)) * np.exp(rng.standard_normal((number, 1)))
    queries[0, 0] *= 100
    return queries, corpus.astype(np.float32)


def values(search, corpus):
    """What a scan compares, from the float64 scores: (Q, N)."""
    N, found = len(corpus), []
    for q, query in enumerate(search.queries):
        scores = search.metric.exact(np.broadcast_to(query, corpus.shape), corpus.astype(np.float64))
        found.append(search.scan_value(scores, np.full(N, q)))
    return np.stack(found)


def scanned(search, corpus, bytes_, lists):
    """Fill the lists of one thread."""
    if bytes_:
        go = similarity._scan_quantized(search, quantize_corpus(corpus), JIT)
    else:
        go = similarity._scan_floats(search, np.ascontiguousarray(search.queries, np.float32), corpus, JIT)
    assert go(similarity.Span.of(0, len(corpus)), np.zeros(2, np.int64), lists, 0) == DONE


SCANS = [(metric, bytes_) for metric in METRICS for bytes_ in (False, True) if metric != "manhattan" or not bytes_]


@pytest.mark.parametrize(("metric", "bytes_"), SCANS)
@pytest.mark.parametrize(("number", "width"), [(1, 24), (1, 384), (3, 17), (16, 100), (40, 70)])
def test_intervals_hold_the_value(metric, bytes_, number, width):
    queries, corpus = problem(500, number, width, number + width)
    search = Search.of(queries.astype(np.float32).astype(np.float64), len(corpus), METRICS[metric])
    lists = similarity.Lists.make(1, number, len(corpus))
    scanned(search, corpus, bytes_, lists)
    true = values(search, corpus)
    for q in range(number):
        part = slice(q * lists.capacity, q * lists.capacity + len(corpus))
        assert lists.counts[0, q] == len(corpus)
        np.testing.assert_array_equal(lists.indices[0, part], np.arange(len(corpus)))
        assert (lists.lows[0, part] <= true[q]).all() and (true[q] <= lists.highs[0, part]).all()
    if not bytes_:  # and are no wider than float32 makes them
        a, b, c = search.margins(FLOAT32_UNIT)[:, :1]
        lengths = np.linalg.norm(corpus.astype(np.float64), axis=1)
        widths = lists.highs[0, : len(corpus)].astype(np.float64) - lists.lows[0, : len(corpus)]
        assert (widths <= 2.01 * (a + b * lengths + c * lengths**2) + 1e-6 * np.abs(true[0])).all()


@pytest.mark.parametrize(("metric", "bytes_"), SCANS)
def test_a_row_that_just_reaches_the_threshold_is_noted(metric, bytes_):
    """One query many times over, each with the value of another row for a threshold."""
    queries, corpus = problem(400, 1, 40, 5)
    for first in range(0, 400, 16):
        search = Search.of(np.repeat(queries, 16, axis=0), 1, METRICS[metric])
        lists = similarity.Lists.make(1, 16, 1)
        least = values(search, corpus)[0, first : first + 16]
        lists.thresholds[0, :16] = np.nextafter(least.astype(np.float32), np.float32(-np.inf))
        lists.marks[:] = 10_000
        scanned(search, corpus, bytes_, lists)
        for q in range(16):
            own = lists.indices[0, q * lists.capacity :][: lists.counts[0, q]]
            assert first + q in own


@pytest.mark.parametrize(("metric", "bytes_"), SCANS)
def test_a_row_that_just_reaches_the_threshold_of_the_only_query_is_noted(metric, bytes_):
    queries, corpus = problem(70, 1, 40, 6)
    search = Search.of(queries, 1, METRICS[metric])
    least = np.nextafter(values(search, corpus)[0].astype(np.float32), np.float32(-np.inf))
    for row in range(70):
        lists = similarity.Lists.make(1, 1, 1)
        lists.thresholds[0, 0], lists.marks[:] = least[row], 10_000
        scanned(search, corpus, bytes_, lists)
        assert row in lists.indices[0, : lists.counts[0, 0]]
        assert lists.counts[0, 0] < 70 or row == np.argmin(least)  # and not every other


@njit
def _largest_but(values, n, k):
    return candidates.largest_but(address(values, 0), n, k)


numbers = st.one_of(st.integers(-3, 3), st.floats(-(2.0**126), 2.0**126, width=32))


@examples(500)
@given(hnp.arrays(np.float32, st.integers(1, 70), elements=numbers), st.integers(0, 69))
def test_the_kth_largest(x, k):
    k = min(k, len(x) - 1) + 1
    assert _largest_but(np.append(x, np.float32(np.inf)), len(x), k) == np.sort(x)[-k]


@njit
def _bits(x, y, out):
    a, b = load(address(x, 0)), load(address(y, 0))
    store(address(out, 0), simd.where_reached(a, b, simd.splat(np.float32(-1.0))))
    store(address(out, 16), simd.square_root(a))
    bits = simd.reached(a, b)
    return bits, simd.first_bit(bits), simd.count_bits(bits)


def test_lanes_as_bits():
    rng = np.random.default_rng(3)
    for _ in range(100):
        x, y = rng.integers(0, 4, 16).astype(np.float32), rng.integers(0, 4, 16).astype(np.float32)
        x[rng.integers(16)], out = np.nan, np.empty(32, np.float32)
        x[rng.integers(16)] = y[3] = 2
        hits, (bits, first, count) = x >= y, _bits(x, y, out)
        assert bits == sum(1 << i for i in range(16) if hits[i])
        assert count == hits.sum() and (not count or first == np.argmax(hits))
        np.testing.assert_array_equal(out[:16], np.where(hits, x, -1))
        np.testing.assert_array_equal(out[16:], np.sqrt(x))


def test_shared_work_comes_back_in_order():
    assert share(lambda i: i * i, range(1000), 4) == [i * i for i in range(1000)]
    assert share(abs, [], 4) == [] and share(abs, [-7], 1) == [7]


def test_helpers_come(monkeypatch):
    """Each item waits until two other threads have one too."""
    monkeypatch.setattr(helpers, "_helpers", [Helper(), Helper()])  # with no late leftovers of other tests
    together = threading.Barrier(3)
    assert sorted(share(lambda i: together.wait(PATIENCE), range(3), 3)) == [0, 1, 2]


def test_an_error_stops_what_has_not_begun():
    begun = []

    def work(i):
        begun.append(i)
        if i == 3:
            raise KeyError(i)

    with pytest.raises(KeyError, match="3"):
        share(work, range(100_000), 2)
    assert len(begun) < 100_000
    assert share(abs, [-1], 2) == [1]


def test_busy_helpers_are_not_waited_for():
    """A search within a search: its helpers are at work already, and so it does all by itself."""
    assert share(lambda i: share(lambda j: i + j, range(5), 3), range(6), 3) == [
        [i + j for j in range(5)] for i in range(6)
    ]


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be moved here")
def test_a_helper_may_use_every_core_when_it_works():
    helper, done, seen = Helper(), threading.Event(), []
    before = os.sched_getaffinity(0)
    for _ in range(20):
        done.clear()
        asked = helper.ask(lambda: (seen.append(os.sched_getaffinity(0)), done.set()))
        assert not asked or done.wait(PATIENCE)
    assert seen and all(cores == before == os.sched_getaffinity(0) for cores in seen)


@pytest.mark.skipif(available_cores() < 2, reason="there is no other core")
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be moved here")
def test_a_helper_does_not_begin_where_the_caller_is(monkeypatch):
    cores, stop = os.sched_getaffinity(0), threading.Event()
    sleeper = threading.Thread(target=stop.wait, args=(PATIENCE,))
    sleeper.start()
    monkeypatch.setattr(helpers, "_core", lambda: min(cores))
    assert helpers._keep_off(sleeper.native_id) == cores
    assert os.sched_getaffinity(sleeper.native_id) == cores - {min(cores)}
    stop.set()
    sleeper.join()
    assert helpers._keep_off(sleeper.native_id) in (set(), cores)  # of a thread that is gone: nothing is asked
