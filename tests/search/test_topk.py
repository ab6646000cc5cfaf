"""Exact top-k: every tier against sorting all float64 scores, with ties, near-ties and numbers of any size."""

import contextlib

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from exact_topk import METRICS, assert_best
from examples import examples, heavy, thinned
from hypothesis import given, settings
from tiers import TIERS

from minembed import Index, MinembedError, top_k
from minembed.errors import InputError
from minembed.search import scan, topk
from minembed.search.quantized import quantize_corpus

few = st.integers(-2, 2).map(float)  # few values: ties are the rule
close = st.sampled_from([1.0, 1.0 + 2.0**-23, 1.0 - 2.0**-24, 1.0 + 2.0**-22, -1.0])  # neighbours in float32
some = st.floats(-1e3, 1e3, width=32)


@st.composite
def problems(draw):
    """Queries and a corpus of one width; rows are often repeated, a little changed, or all zeros."""
    width, numbers = draw(st.sampled_from([1, 3, 16, 37])), draw(st.sampled_from([few, close, some]))
    dtype = draw(st.sampled_from([np.float32, np.float64, np.float16]))
    queries = draw(hnp.arrays(np.float32, (draw(st.integers(1, 20)), width), elements=numbers))
    corpus = draw(hnp.arrays(np.float32, (draw(st.integers(0, 12)), width), elements=numbers))
    repeats = draw(st.integers(1, 20))
    corpus = np.tile(corpus, (repeats, 1))
    if len(corpus):
        corpus[draw(st.integers(0, len(corpus) - 1))] = 0
    return queries, corpus.astype(dtype), draw(st.integers(0, 1 + 2 * len(corpus)))


@examples(1000, usual=80)
@given(problems(), st.sampled_from(METRICS))
def test_brute_force(problem, metric):
    check(problem, metric)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None)
@given(problems(), st.sampled_from(METRICS))
def test_brute_force_at_length(problem, metric):
    check(problem, metric)


def check(problem, metric):
    """Every tier finds what sorting finds."""
    queries, corpus, k = problem
    found = [top_k(queries, corpus, k, metric, backend=tier, threads=1) for tier in TIERS]
    with contextlib.suppress(InputError):  # rows too short
        small = quantize_corpus(corpus)
        found.append(top_k(queries, corpus, k, metric, backend=TIERS[-1], threads=1, quantized=small))
    assert_best(queries, corpus, k, metric, *found[0])
    for scores, indices in found[1:]:
        np.testing.assert_array_equal(scores, found[0][0])
        np.testing.assert_array_equal(indices, found[0][1])


def random(rows, width, seed, dtype=np.float32):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(dtype)


@pytest.mark.parametrize("metric", thinned(METRICS, 2))
@pytest.mark.parametrize("threads", [3, *heavy([1])])
def test_across_blocks_pieces_and_batches_of_queries(tier, metric, threads):
    queries, corpus = random(1030 if metric == "dot" else 40, 8, 1), random(70_001, 8, 2)
    scores, indices = top_k(queries, corpus, 12, metric, backend=tier, threads=threads)
    chosen = [0, 17, len(queries) - 1]
    assert_best(queries[chosen], corpus, 12, metric, scores[chosen], indices[chosen])


@pytest.mark.parametrize("metric", METRICS)
def test_more_equal_rows_than_a_list_holds(tier, metric):
    """All rows are one in float32, to its last digits: the scan cannot tell them apart, the float64 scores can."""
    row = random(1, 24, 3)
    corpus = np.repeat(row, 20_000, axis=0)
    corpus[::7, 5] = np.nextafter(corpus[0, 5], np.float32(np.inf))
    corpus[5000] = row * np.float32(1 + 2**-22)
    queries = random(3, 24, 4)
    scores, indices = top_k(queries, corpus, 9, metric, backend=tier)
    assert_best(queries, corpus, 9, metric, scores, indices)


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("form", ["float32", "float64", "int8"])
@pytest.mark.parametrize("metric", METRICS)
def test_full_lists_of_several_threads(monkeypatch, metric, form, number):
    """Rows that no scan tells apart, spread over threads, which stop to make room and go on."""
    if TIERS[-1] != "numpy":
        monkeypatch.setattr("minembed.kernels.topk.tier.THREAD_WORK", 1)
    corpus = np.repeat(random(1, 24, 3), 30_000, axis=0)
    corpus[::11, 5] = np.nextafter(corpus[0, 5], np.float32(np.inf))
    corpus = corpus.astype(np.float64) if form == "float64" else corpus
    queries, small = random(number, 24, 4), quantize_corpus(corpus) if form == "int8" else None
    found = top_k(queries, corpus, 9, metric, backend=TIERS[-1], threads=3, quantized=small)
    assert_best(queries, corpus, 9, metric, *found)


@pytest.mark.parametrize("metrics", [METRICS[:1], *heavy([(METRICS[1:],)])])
def test_one_query_of_two_threads(metrics):
    corpus, queries = random(80_000, 300, 22), random(1, 300, 23)
    for metric in metrics:
        expected = top_k(queries, corpus, 10, metric, backend="numpy")
        for small in (None, quantize_corpus(corpus)):
            found = top_k(queries, corpus, 10, metric, backend=TIERS[-1], threads=2, quantized=small)
            np.testing.assert_array_equal(found, expected)


def test_rows_that_grow_longer(tier):
    """The longer a row, the further its value may be off: also one that comes when thresholds stand already."""
    corpus = np.zeros((4097, 2), np.float32)
    corpus[:, 0], corpus[4096] = 1.9, (1e7, -9999998)
    queries = np.float32([[0.1, 0.1]])
    for metric in ("dot", "euclidean", "manhattan"):
        assert_best(queries, corpus, 1, metric, *top_k(queries, corpus, 1, metric, backend=tier))


def test_more_candidates_than_are_held(monkeypatch):
    monkeypatch.setattr(scan, "MOST_HELD", 100)
    corpus = np.repeat(random(2, 5, 5), 6000, axis=0)
    queries = random(2, 5, 6)
    for metric in METRICS:
        assert_best(queries, corpus, 3, metric, *top_k(queries, corpus, 3, metric, backend="numpy"))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1e-42, 1e-30, 1e-20, 1e15, 1e25, 1e38])
def test_numbers_that_float32_cannot_square(tier, metric, size):
    queries, corpus = random(2, 6, 7), (random(300, 6, 8, np.float64) * size / 5).astype(np.float32)
    assert_best(queries, corpus, 5, metric, *top_k(queries, corpus, 5, metric, backend=tier))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1e-36, 1e-25, 1e-22])
def test_near_ties_of_rows_whose_squares_vanish(tier, metric, size):
    """Float32 finds that such rows have length 0, and so would take its rounding of their products for nothing."""
    queries = random(3, 40, 17)
    corpus = (np.repeat(random(4, 40, 18), 300, axis=0) * (1 + 3e-7 * random(1200, 40, 19)) * size).astype(np.float32)
    assert_best(queries, corpus, 5, metric, *top_k(queries, corpus, 5, metric, backend=tier))


@pytest.mark.parametrize("metric", METRICS)
def test_products_that_leave_float32(tier, metric):
    """Queries and rows that it can square, and not multiply: sums of infinities would be no numbers."""
    queries, corpus = random(3, 40, 20) * np.float32(1e30), random(300, 40, 21) * np.float32(1e15)
    assert_best(queries, corpus, 5, metric, *top_k(queries, corpus, 5, metric, backend=tier))


def test_float64_beyond_float32(tier):
    queries, corpus = random(2, 6, 9, np.float64) * 1e60, random(300, 6, 10, np.float64) * 1e50
    corpus[7] = corpus[8] * (1 + 1e-15)
    assert_best(queries, corpus, 5, "dot", *top_k(queries, corpus, 5, backend=tier))


def test_float64_that_vanishes_in_float32(tier):
    """Rows have directions even so; and queries differ, where float32 has zeros for both."""
    scores, indices = top_k([[1.0, 0.0]], np.array([[1.0, 1.0], [1e-50, 0.0]]), 1, "cosine", backend=tier)
    assert (scores.tolist(), indices.tolist()) == ([[1.0]], [[1]])
    queries, corpus = np.full((1, 384), 5e-46), np.zeros((2, 384), np.float32)
    queries[0, 0], corpus[0, 0], corpus[1, 1:] = 2.0**-140, 10, 100
    assert_best(queries, corpus, 1, "dot", *top_k(queries, corpus, 1, backend=tier))


def test_scores_depend_on_no_layout(tier):
    queries, corpus = random(5, 100, 24, np.float64), random(50, 100, 25, np.float64)
    expected = top_k(queries, corpus, 7, "cosine", backend=tier)
    for turned in (np.asfortranarray(queries), np.repeat(queries, 2, axis=1)[:, ::2]):
        np.testing.assert_array_equal(top_k(turned, np.asfortranarray(corpus), 7, "cosine", backend=tier), expected)


def test_infinite_scores_that_tie():
    search, n = topk.Search.of(np.ones((2, 1)), 300, topk.METRICS["dot"]), 2000
    for score in (-np.inf, np.inf, 1.0):
        order = topk.best_of(search, np.repeat([0, 1], n // 2), np.arange(n), np.full(n, score))
        np.testing.assert_array_equal(order, np.arange(300) + np.array([[0], [n // 2]]))


@pytest.mark.parametrize("shape", ["strided", "turned", "mapped", "read-only", "integers", "half"])
def test_arrays_of_every_make(tier, shape, tmp_path):
    corpus = random(500, 12, 11)
    if shape == "strided":
        corpus = random(1000, 12, 11)[::2]
    elif shape == "turned":
        corpus = np.asfortranarray(corpus)
    elif shape == "mapped":
        np.save(tmp_path / "corpus.npy", corpus)
        corpus = np.load(tmp_path / "corpus.npy", mmap_mode="r")
    elif shape == "read-only":
        corpus.flags.writeable = False
    elif shape == "integers":
        corpus = (corpus * 10).astype(np.int32)
    else:
        corpus = corpus.astype(np.float16)
    queries = random(4, 12, 12)
    assert_best(queries, np.array(corpus), 6, "cosine", *top_k(queries, corpus, 6, "cosine", backend=tier))
    assert shape == "read-only" or corpus.flags.writeable == (shape != "mapped")  # nothing of the caller's is changed


def test_a_list_is_enough(tier):
    scores, indices = top_k([1.0, 0.0], [[0.0, 1.0], [2.0, 0.0]], 1, backend=tier)
    assert scores.tolist() == [[2.0]] and indices.tolist() == [[1]]
    assert top_k(np.zeros((0, 2)), np.zeros((5, 2)), 3, backend=tier)[0].shape == (0, 3)
    assert top_k(np.zeros((2, 2)), np.zeros((0, 2)), 3, backend=tier)[0].shape == (2, 0)
    for small in (None, quantize_corpus(np.zeros((5, 0)))):  # of no numbers, all rows are alike
        assert (
            top_k(np.zeros((2, 0)), np.zeros((5, 0)), 3, backend=tier, quantized=small)[1].tolist() == [[0, 1, 2]] * 2
        )


@pytest.mark.parametrize("k", [-1, 1.5, True, "3"])
def test_an_odd_k(k):
    with pytest.raises(MinembedError, match="k must be"):
        top_k(np.eye(2), np.eye(2), k)


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_named(tier, number):
    bad = np.zeros((9000, 2), np.float32)
    bad[8001, 0] = number
    with pytest.raises(MinembedError, match="corpus holds NaN or infinity, first in row 8001"):
        top_k(np.eye(2), bad, 1, backend=tier)
    with pytest.raises(MinembedError, match="queries holds NaN or infinity, first in row 8001"):
        top_k(bad, np.eye(2), 1, backend=tier)


def test_wrong_arguments():
    with pytest.raises(MinembedError, match=r"one width.*\(3, 2\) and \(3, 4\)"):
        top_k(np.zeros((3, 2)), np.zeros((3, 4)), 1)
    with pytest.raises(MinembedError, match="metric 'jaccard' is unknown"):
        top_k(np.eye(2), np.eye(2), 1, metric="jaccard")
    with pytest.raises(MinembedError, match="backend"):
        top_k(np.eye(2), np.eye(2), 1, backend="cuda")
    with pytest.raises(MinembedError, match="numbers"):
        top_k(np.array([["a"]]), np.array([["b"]]), 1)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("size", [1e-14, *heavy([1.0, 1e12])])
def test_a_quantised_corpus(metric, size):
    """Rows of all lengths, some all zeros, some with one large number that leaves nothing of the others."""
    corpus = random(30_000, 24, 13) * np.exp(random(30_000, 1, 14)) * np.float32(size)
    corpus[::50] = 0
    corpus[7::100, 3] *= 1000
    queries = random(40, 24, 15) * np.float32(size)
    small = quantize_corpus(corpus)
    for k in (1, 10, 500):
        expected = top_k(queries, corpus, k, metric, backend="numpy")
        found = top_k(queries, corpus, k, metric, backend=TIERS[-1], quantized=small)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_a_quantised_corpus_knows_its_errors():
    corpus = random(100, 9, 16)
    small = quantize_corpus(corpus)
    rounded = (small.levels.astype(float) - 128) * small.scales[:, None]
    assert small.levels.shape == (100, 64) and (rounded[:, 9:] == 0).all()
    errors = np.linalg.norm(rounded[:, :9] - corpus, axis=1)
    assert (errors <= small.errors).all() and np.abs(errors - small.errors).max() < 1e-6
    np.testing.assert_allclose(small.lengths, np.linalg.norm(corpus, axis=1), rtol=1e-6)


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30, 1e-30])
def test_what_cannot_be_quantised(number):
    corpus = np.ones((5000, 3), np.float32)
    corpus[4500] = number
    with pytest.raises(MinembedError, match="row 4500 of the corpus"):
        quantize_corpus(corpus)


def test_of_another_corpus():
    with pytest.raises(MinembedError, match="quantized has 2 rows, the corpus 3"):
        top_k(np.eye(2), np.ones((3, 2)), 1, quantized=quantize_corpus(np.eye(2)))
    with pytest.raises(MinembedError, match="quantized has 64 bytes a row, the corpus needs 128"):
        top_k(np.ones((2, 70)), np.ones((3, 70)), 1, quantized=quantize_corpus(np.ones((3, 24))))


# ---- the edges of float64 ----


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("number", [1e155, 1e308, 1e-162, 5e-324])
def test_queries_that_leave_float64_are_refused(tier, metric, number):
    with pytest.raises(InputError, match=r"queries has too (large|small) numbers, first in row 1"):
        top_k([[1.0, 0, 0], [0, 0, number]], np.eye(3), 1, metric, backend=tier)


@pytest.mark.parametrize("metric", METRICS)
def test_rows_that_leave_float64_are_refused(tier, metric):
    corpus = np.eye(4)
    corpus[2, 2] = 1e155
    with pytest.raises(InputError, match="corpus has too large numbers, first in row 2"):
        top_k([[1.0, 0, 0, 0]], corpus, 1, metric, backend=tier)
    corpus[2, 2] = 1e-162
    if metric == "cosine":
        with pytest.raises(InputError, match="corpus has too small numbers, first in row 2"):
            top_k([[1.0, 0, 0, 0]], corpus, 1, metric, backend=tier)
    else:
        assert top_k([[1.0, 0, 0, 0]], corpus, 1, metric, backend=tier)[1] == [[0]]


def test_an_index_refuses_such_queries():
    with pytest.raises(InputError, match="too large numbers"):
        Index.build(np.eye(4)).search([0, 0, 1e155, 2e155])


def test_no_hits_wanted_and_the_corpus_is_checked_still(tier):
    with pytest.raises(InputError, match="corpus holds NaN or infinity, first in row 1"):
        top_k([[1.0]], [[0.0], [np.nan]], 0, backend=tier)
    with pytest.raises(InputError, match="corpus holds NaN or infinity, first in row 1"):
        top_k(np.empty((0, 1)), [[0.0], [np.inf]], 2, backend=tier)


SMALL = [1e-140, 1e-162, 1e-170, 1e-300, 2.0**-1040]


@pytest.mark.parametrize("tier", TIERS)
@pytest.mark.parametrize("size", SMALL)
def test_distances_whose_squares_vanish(tier, size):
    """They are short beside a query of zeros, and where all other numbers of a row are those of the query."""
    corpus = np.float64([[3], [2], [-1], [0], [4]]) * size
    for own, rows in ((np.zeros(1), corpus), (np.array([1.0, 0.0]), np.hstack([np.ones((5, 1)), corpus]))):
        for metric in ("euclidean", "manhattan"):
            scores, found = top_k(own, rows, 5, metric, backend=tier)
            assert found.tolist() == [[3, 2, 1, 0, 4]]
            assert scores[0].tolist() == [-0.0, -size, -2 * size, -3 * size, -4 * size]
    queries = np.array([[1, 2 * size], [1, -3 * size]])
    scores, found = top_k(queries, np.float32([[1, 0], [1, 0], [2, 0]]), 2, "euclidean", backend=tier)  # the kernel's
    assert found.tolist() == [[0, 1]] * 2 and scores.tolist() == [[-2 * size] * 2, [-3 * size] * 2]


@pytest.mark.parametrize("metric", METRICS)
def test_nothing_is_asked_of_a_corpus_that_cannot_be(metric):
    for k, queries in ((0, [[1.0]]), (3, np.zeros((0, 1)))):
        with pytest.raises(InputError, match="corpus has too large numbers, first in row 1"):
            top_k(queries, [[1.0], [1e160]], k, metric)
        if metric == "cosine":
            with pytest.raises(InputError, match="corpus has too small numbers, first in row 1"):
                top_k(queries, [[1.0], [1e-160], [0.0]], k, metric)
        assert top_k(queries, [[1.0], [0.0]], k, metric)[0].size == 0


def test_an_index_keeps_no_row_that_vanishes_in_float32():
    for number in (1e-46, 1e-39, 5e-324):
        with pytest.raises(InputError, match="row 1 has numbers too small for float32: scale it"):
            Index.build([[1.0, 0.0], [0.0, number]])
    assert len(Index.build([[1.0, 1e-46], [0.0, 0.0]])) == 2
    assert len(Index.build(np.float32([[1e-45, 0.0]]))) == 1  # which loses nothing
