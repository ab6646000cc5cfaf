"""Similarities against their definitions, and top-k against brute force."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from minembed import MinembedError, cosine_similarity, top_k
from minembed.similarity import SIMILARITY, pairwise

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}  # sums of 13 products of normal numbers, relative to their size


def definition(metric, a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    if metric == "dot":
        return math.fsum(a * b)
    if metric == "cosine":
        norms = math.sqrt(math.fsum(a * a)) * math.sqrt(math.fsum(b * b))
        return math.fsum(a * b) / norms if norms else 0.0
    difference = a - b
    return -math.sqrt(math.fsum(difference**2)) if metric == "euclidean" else -math.fsum(np.abs(difference))


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("metric", SIMILARITY)
def test_all_pairs_and_pairwise_by_definition(metric, dtype):
    a, b = np.random.default_rng(3).standard_normal((2, 7, 13)).astype(dtype)
    a[2] = 0
    scores = SIMILARITY[metric](a, b[:5])
    expected = np.array([[definition(metric, x, y) for y in b[:5]] for x in a])
    assert scores.shape == (7, 5) and scores.dtype == dtype
    np.testing.assert_allclose(scores, expected, atol=TOLERANCE[dtype] * 13)
    paired = pairwise(a, b, metric)
    assert paired.dtype == dtype
    np.testing.assert_allclose(
        paired, [definition(metric, x, y) for x, y in zip(a, b, strict=True)], atol=TOLERANCE[dtype] * 13
    )


def test_cosine_stays_within_one_and_zero_rows_are_zero():
    x = np.random.default_rng(4).standard_normal((50, 384), dtype=np.float32)
    assert np.abs(cosine_similarity(x, x)).max() <= 1
    assert cosine_similarity([0.0, 0.0], [[1.0, 0.0], [0.0, 0.0]]).tolist() == [[0.0, 0.0]]


def test_lists_of_whole_numbers_are_taken_as_float64():
    assert cosine_similarity([[3, 4]], [[3, 4]]).dtype == np.float64


@pytest.mark.parametrize(
    ("a", "b"), [([[1.0, 2.0]], [[1.0, 2.0, 3.0]]), (np.zeros((2, 2, 2)), np.zeros((2, 2)))], ids=["widths", "rank"]
)
@pytest.mark.parametrize("metric", SIMILARITY)
def test_shapes_that_do_not_fit(metric, a, b):
    with pytest.raises(MinembedError, match="shapes"):
        SIMILARITY[metric](a, b)


def test_pairwise_wants_equal_numbers_of_rows_and_a_known_metric():
    with pytest.raises(MinembedError, match="as many rows"):
        pairwise(np.zeros((2, 3)), np.zeros((4, 3)))
    with pytest.raises(MinembedError, match="metric"):
        pairwise(np.zeros((2, 3)), np.zeros((2, 3)), "jaccard")


small = st.integers(-2, 2).map(float)  # few values: ties are the rule


@settings(max_examples=400, deadline=None, derandomize=True)
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.just(3)), elements=small),
    hnp.arrays(np.float32, st.tuples(st.integers(0, 40), st.just(3)), elements=small),
    st.integers(0, 50),
    st.sampled_from(sorted(SIMILARITY)),
)
def test_top_k_is_brute_force_with_ties_by_index(queries, corpus, k, metric):
    scores, indices = top_k(queries, corpus, k, metric)
    all_scores = SIMILARITY[metric](queries, corpus)
    for row in range(len(queries)):
        expected = sorted(range(len(corpus)), key=lambda i: (-all_scores[row, i], i))[:k]
        assert indices[row].tolist() == expected
        assert scores[row].tolist() == [all_scores[row, i] for i in expected]
    assert indices.dtype == np.int64 and scores.shape == indices.shape == (len(queries), min(k, len(corpus)))


def test_top_k_across_blocks():
    rng = np.random.default_rng(5)
    corpus = rng.integers(-3, 4, (10_000, 5)).astype(np.float32)  # more than two blocks, many ties, exact in float32
    query = rng.integers(-3, 4, (3, 5)).astype(np.float32)
    expected = np.argsort(-(query @ corpus.T), axis=1, kind="stable")[:, :100]
    np.testing.assert_array_equal(top_k(query, corpus, 100)[1], expected)


@pytest.mark.parametrize("k", [-1, 1.5, True, "3"])
def test_top_k_refuses_an_odd_k(k):
    with pytest.raises(MinembedError, match="k must be"):
        top_k(np.eye(2), np.eye(2), k)


def test_top_k_refuses_nan_and_unknown_names():
    bad = np.eye(2)
    bad[1, 0] = np.nan
    with pytest.raises(MinembedError, match="queries holds NaN, first in row 1"):
        top_k(bad, np.eye(2), 1)
    with pytest.raises(MinembedError, match="corpus holds NaN"):
        top_k(np.eye(2), bad, 1)
    with pytest.raises(MinembedError, match="metric"):
        top_k(np.eye(2), np.eye(2), 1, metric="jaccard")
    with pytest.raises(MinembedError, match="backend"):
        top_k(np.eye(2), np.eye(2), 1, backend="cuda")
