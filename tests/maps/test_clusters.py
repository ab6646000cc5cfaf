"""Clusters: known groups, their names and centres, what is refused, and silhouettes against scikit-learn's."""

import numpy as np
import pytest

from minembed import MinembedWarning
from minembed.cli.demo import COOKING, PROGRAMMING
from minembed.errors import InputError, MissingExtraError
from minembed.maps import clusters
from minembed.maps.clusters import Clusters, by_size, check_count, cluster, silhouette, units

pytest.importorskip("sklearn", reason="needs scikit-learn, of the extra viz")
ANGLES = np.radians([0, 90, 4, 94, -4, 180, 8])  # three directions: of four, two and one
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) * np.arange(1, 8)[:, None]
TEXTS = ["a cat", "the rain", "my cat", "rain again", "the cat", "code", "cat and mouse"]


def blobs(sizes, seed=0, width=20):
    rng, which = np.random.default_rng(seed), np.repeat(np.arange(len(sizes)), sizes)
    return (10 * np.eye(width)[which] + rng.standard_normal((len(which), width))), which


def test_known_groups():
    found = cluster(VECTORS, iter(TEXTS), 3)
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 2, 0] and found.labels.dtype == np.int64
    assert found.names == ("cat", "rain", "code") and found.counts() == [4, 2, 1]
    np.testing.assert_allclose(found.cosines, np.cos(np.radians([2, 2, 2, 2, 6, 0, 6])), atol=1e-7)
    np.testing.assert_allclose(found.centers, [[np.cos(a), np.sin(a)] for a in np.radians([2, 92, 180])], atol=1e-7)
    assert found.typical(0) == [0, 2, 4] or found.typical(0) == [2, 0, 4]
    assert cluster(VECTORS, TEXTS, 1).counts() == [7] and cluster(VECTORS[:1], TEXTS[:1]).counts() == [1]


@pytest.mark.parametrize("sizes", [(30, 20), (40, 30, 20), (60, 50, 40, 30, 20, 10)])
def test_the_number_of_clusters_is_found(sizes):
    vectors, which = blobs(sizes)
    found = cluster(vectors, ["word"] * len(vectors))
    assert max(found.silhouettes, key=found.silhouettes.get) == len(sizes) and found.labels.tolist() == which.tolist()
    assert found.silhouettes[len(sizes)] == pytest.approx(silhouette(units(vectors), which))


def test_a_sample_chooses_the_number(monkeypatch):
    vectors, which = blobs((400, 300, 200))
    monkeypatch.setattr(clusters, "SAMPLE", 60)
    stages = []
    found = cluster(vectors, ["word"] * 900, tell=stages.append)
    assert found.labels.tolist() == which.tolist()
    assert stages == ["choosing the number of clusters", "dividing 900 vectors among 3 clusters"]


def test_islands():
    vectors, which = blobs((40, 30, 20))
    found = cluster(vectors, ["a b c", *["word"] * 89], method="hdbscan")
    inside = found.labels >= 0
    assert len(found.names) == 3 and inside.mean() > 0.9 and (found.labels[inside] == which[inside]).all()
    assert np.isnan(found.cosines[~inside]).all() and found.cosines[inside].min() > 0.5
    np.testing.assert_array_equal(found.labels, cluster(vectors, ["x"] * 90, method="hdbscan").labels)
    assert cluster(VECTORS[:4], TEXTS[:4], method="hdbscan").counts() == [4]


@pytest.mark.parametrize("n", [2, 3, 50])
def test_silhouettes_are_those_of_scikit_learn(n):
    from sklearn.metrics import silhouette_score

    rng = np.random.default_rng(n)
    unit, labels = units(rng.standard_normal((60, 7))), np.append(rng.integers(0, n, 59), n - 1)
    labels = np.unique(labels, return_inverse=True)[1]
    assert silhouette(unit, labels) == pytest.approx(silhouette_score(unit, labels, metric="cosine"), abs=1e-6)


def test_equal_vectors_are_one_cluster():
    for method in ("kmeans", "hdbscan"):
        assert cluster(np.ones((20, 3)), ["same"] * 20, method=method).labels.tolist() == [0] * 20
    twice = cluster(np.repeat(np.eye(6), 2, axis=0), ["x"] * 12)
    assert twice.counts() == [2] * 6 and twice.silhouettes[6] == 1
    with pytest.warns(MinembedWarning, match="there are 2 clusters, not 5: that is how many different vectors"):
        assert cluster(np.eye(2)[[0, 1, 0, 1, 0]], ["x"] * 5, 5).counts() == [3, 2]
    zeros = cluster(np.zeros((3, 2)), ["x"] * 3, 1)
    assert zeros.cosines.tolist() == [0, 0, 0] and zeros.counts() == [3]


def test_any_scale_of_numbers():
    found = cluster(np.concatenate([VECTORS * 1e300, VECTORS * 1e-300]), TEXTS * 2, 3)
    assert found.labels.tolist() == [0, 1, 0, 1, 0, 2, 0] * 2


def test_clusters_are_numbered_by_size():
    labels, count = by_size(np.array([7, 3, 3, -1, 9, 7, 9, 9]))
    assert labels.tolist() == [1, 2, 2, -1, 0, 1, 0, 0] and count == 3
    assert by_size(np.array([-1, -1]))[1] == 0
    nothing = Clusters(np.array([-1, -1]), (), np.full(2, np.nan), np.zeros((0, 2)))
    assert nothing.counts() == []


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((VECTORS, TEXTS[:6]), {}, "there are 7 vectors and 6 texts"),
        ((VECTORS, "text"), {}, "texts is str"),
        ((np.full((2, 2), np.nan), ["a", "b"]), {}, "vectors holds NaN or infinity, first in row 0"),
        ((np.zeros((0, 2)), []), {}, "at least one row"),
        ((VECTORS, TEXTS, 8), {}, "k is 8, and there are 7 texts: it may be at most that"),
        ((VECTORS, TEXTS, 0), {}, "k must be a whole number of at least 1"),
        ((VECTORS, TEXTS, 2.0), {}, "k must be a whole number"),
        ((VECTORS, TEXTS, 2), {"method": "hdbscan"}, "leave k out"),
        ((VECTORS, TEXTS, 2), {"method": "ward"}, "method 'ward' is unknown; known: kmeans, hdbscan"),
        ((VECTORS, TEXTS, 2), {"seed": -1}, "seed must be a whole number from 0 to 4294967295"),
    ],
)
def test_what_is_refused(arguments, options, words):
    with pytest.raises(InputError) as error:
        cluster(*arguments, **options)
    assert words in str(error.value)


def test_too_many_and_a_missing_extra(monkeypatch):
    for n, method in ((500_001, "kmeans"), (20_001, "hdbscan")):
        check_count(n - 1, None, method)
        with pytest.raises(InputError, match=rf"^{method} takes up to {n - 1:,} texts, not {n:,}: "):
            check_count(n, None, method)
    monkeypatch.setattr(clusters, "has", lambda package: False)
    with pytest.raises(MissingExtraError, match="clustering needs scikit-learn"):
        cluster(VECTORS, TEXTS, 2)


@pytest.mark.weights
def test_the_ten_sentences_of_the_demo(minilm):
    texts = [text for pair in zip(COOKING, PROGRAMMING, strict=True) for text in pair]
    vectors = minilm.encode(texts)
    for options in ({}, {"k": 2}, {"method": "hdbscan"}):
        found = cluster(vectors, texts, **options)
        assert found.labels.tolist() == [0, 1] * 5 and found.names == ("add · bake · boil", "function · error")
        assert texts[found.typical(0)[0]] == "Taste the soup and add a pinch of salt before serving."
        assert texts[found.typical(1)[0]] == "The unit test fails because the function raises an error."
    assert found.cosines[0] == pytest.approx(0.7267, abs=1e-4)
