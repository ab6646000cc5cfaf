"""Similarities against their definitions, and top-k against brute force."""

import math

import numpy as np
import pytest

from minembed import MinembedError, cosine_similarity
from minembed.search.similarity import SIMILARITY, pairwise

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


def test_the_size_of_a_row_does_not_matter_to_its_cosine():
    x = np.random.default_rng(5).standard_normal((4, 20), dtype=np.float32)
    sizes = np.float32([[1e-30], [1e30], [2**-20], [1]])  # squares of the first vanish, of the second overflow
    np.testing.assert_allclose(cosine_similarity(x * sizes, x), cosine_similarity(x, x), atol=2e-6)
    np.testing.assert_allclose(pairwise(x * sizes, x), 1, atol=2e-6)
    assert cosine_similarity(np.float32([[1e-45]]), [[1.0]]) == 1  # next to nothing has a direction, nothing has none


def test_a_row_of_zeros():
    zero, x = np.zeros((1, 2)), [[3.0, 4.0], [0.0, 0.0]]
    expected = {"cosine": [0, 0], "dot": [0, 0], "euclidean": [-5, 0], "manhattan": [-7, 0]}
    for metric, values in expected.items():
        assert SIMILARITY[metric](zero, x)[0].tolist() == values
        assert pairwise(np.zeros((2, 2)), x, metric).tolist() == values
        assert not np.signbit(SIMILARITY[metric](zero, x)[0, 1])  # 0, not -0


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


@pytest.mark.parametrize(
    ("dtype", "powers"), [(np.float32, (-140, -100, -70, 65, 120)), (np.float64, (-1060, -600, 600, 1000))]
)
def test_numbers_whose_squares_leave_the_type(dtype, powers):
    """A distance is found wherever it is a number of the type, and a product too, though its terms are none."""
    a, b = dtype([[3, 0], [0, 4], [0, 0]]), dtype([[0, 0], [3, 0], [-3, 4]])
    expected = {
        "euclidean": -dtype([[3, 0, 52**0.5], [4, 5, 3], [0, 3, 5]]),
        "manhattan": -dtype([[3, 0, 10], [4, 7, 3], [0, 3, 7]]),
    }
    for power in powers:
        x, y = np.ldexp(a, power), np.ldexp(b, power)
        for metric, values in expected.items():
            wanted = np.ldexp(values, power)
            np.testing.assert_allclose(SIMILARITY[metric](x, y), wanted, rtol=1e-6 if power > -140 else 0.2)
            np.testing.assert_array_equal(pairwise(x, y, metric), SIMILARITY[metric](x, y).diagonal())


@pytest.mark.parametrize(("dtype", "large"), [(np.float32, 2.0**100), (np.float64, 2.0**660)])
def test_products_that_cancel_and_products_that_are_too_large(dtype, large):
    a, b = dtype([[large, large, 1]]), dtype([[large, -large, 2], [large, large, 0]])
    assert SIMILARITY["dot"](a, b).tolist() == [[0.0, np.inf]]
    assert pairwise(np.vstack([a, a]), b, "dot").tolist() == [0.0, np.inf]
    assert np.isnan(SIMILARITY["dot"](dtype([[np.nan, 0, 0]]), b)).all()
