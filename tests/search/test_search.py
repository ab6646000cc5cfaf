"""Search utilities against sentence-transformers' own, and against brute force in float64."""

import json
import os
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from examples import examples, heavy
from hypothesis import given
from hypothesis import strategies as st
from places import GOLDENS_FOLDER

from minembed import MinembedError
from minembed.search import communities, mining, topk
from minembed.search.communities import community_detection, deduplicate, near_duplicates
from minembed.search.metrics import METRICS
from minembed.search.mining import paraphrase_mining, paraphrase_mining_embeddings, semantic_search
from minembed.search.similarity import SIMILARITY
from minembed.search.similarity import pairwise as similarity_pairwise

COSINE = METRICS["cosine"]
FOLDER = GOLDENS_FOLDER / "search"
ARRAYS = dict(np.load(FOLDER / "vectors.npz"))
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
FLOAT32 = 4e-6  # sums of 16 products of numbers up to 2, in torch's float32
DISTANCE = (
    2e-3  # torch takes distances of many rows from products: sqrt of a difference of squares loses half the digits
)


# --- sentence-transformers' own --------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", SIMILARITY)
def test_similarities_as_in_sentence_transformers(metric):
    zeros = ARRAYS["zeros"]
    tolerance = DISTANCE if metric == "euclidean" else FLOAT32
    for found, key in ((SIMILARITY[metric], "all_pairs"), (lambda a, b: similarity_pairwise(a, b, metric), "pairwise")):
        np.testing.assert_allclose(found(zeros, zeros[::-1]), ARRAYS[f"{key}/{metric}"], atol=tolerance)


@pytest.mark.parametrize("metric", SIMILARITY)
def test_semantic_search_as_in_sentence_transformers(metric, tier):
    found = semantic_search(ARRAYS["queries"], ARRAYS["x"], top_k=9, score_function=metric, backend=tier)
    tolerance = DISTANCE if metric == "euclidean" else FLOAT32
    for ours, theirs in zip(found, EXPECTED["semantic_search"][metric], strict=True):
        assert [hit["corpus_id"] for hit in ours] == [hit["corpus_id"] for hit in theirs]
        assert [hit["score"] for hit in ours] == pytest.approx([hit["score"] for hit in theirs], abs=tolerance)
        assert isinstance(ours[0]["corpus_id"], int) and isinstance(ours[0]["score"], float)


@pytest.mark.parametrize(("metric", "max_pairs", "top_k", "theirs"), EXPECTED["paraphrase_mining"])
def test_paraphrase_mining_as_in_sentence_transformers(metric, max_pairs, top_k, theirs):
    ours = paraphrase_mining_embeddings(ARRAYS["x"], max_pairs=max_pairs, top_k=top_k, score_function=metric)
    assert len(ours) <= max_pairs and len(ours[:2000]) == len(theirs)
    assert [score for score, _, _ in ours[:2000]] == pytest.approx([score for score, _, _ in theirs], abs=FLOAT32)
    # float32 exchanges neighbours that are nearly equal; but for the last ones, the same pairs are found
    sure = [(i, j) for score, i, j in theirs if score > theirs[-1][0] + FLOAT32]
    assert set(sure) <= {(i, j) for _, i, j in ours[:2000]}
    assert all(type(i) is int and i < j for _, i, j in ours)


@pytest.mark.parametrize(("threshold", "size", "theirs"), EXPECTED["community_detection"])
def test_community_detection_as_in_sentence_transformers(threshold, size, theirs):
    assert theirs
    assert community_detection(ARRAYS["x"], threshold, size) == theirs


# --- definitions -----------------------------------------------------------------------------------------------------


def cosines_of(x):
    x = np.asarray(x, np.float64)
    lengths = np.sqrt((x**2).sum(axis=1, keepdims=True))
    units = x / np.where(lengths == 0, 1, lengths)
    return units @ units.T


def brute_communities(x, threshold, size):
    cosines = cosines_of(x)
    near = cosines >= threshold - 1e-12
    found, free = [], set(range(len(x)))
    for center in sorted(range(len(x)), key=lambda i: -near[i].sum()):
        members = [j for j in free if near[center, j] and j != center]
        if near[center].sum() >= size and center in free and len(members) + 1 >= size:
            found.append({center, *members})
            free -= found[-1]
    return sorted(found, key=len, reverse=True)


def brute_duplicates(x, threshold):
    near, kept, first = cosines_of(x) >= threshold - 1e-12, [], []
    for i in range(len(x)):
        first.append(next((j for j in kept if near[i, j]), i))
        if first[i] == i:
            kept.append(i)
    return first


def brute_pairs(x, max_pairs, top_k):
    cosines, rows, pairs = np.clip(cosines_of(x), -1, 1), np.asarray(x, np.float64), set()
    units = topk.Search.of(rows, 1, COSINE).queries
    for i in range(len(x)):
        # cosines that differ in their last bit alone are no ties: that bit is topk's to say, and tested there
        exact = COSINE.exact(np.broadcast_to(units[i], rows.shape), rows)
        others = sorted((j for j in range(len(x)) if j != i), key=lambda j, exact=exact: (-exact[j], j))
        pairs |= {(min(i, j), max(i, j)) for j in others[:top_k]}
    return sorted(((cosines[i, j], i, j) for i, j in pairs), reverse=True)[:max_pairs]


few = st.integers(0, 40).flatmap(
    lambda n: st.lists(st.lists(st.integers(-3, 3), min_size=3, max_size=3), min_size=n, max_size=n)
)
thresholds = st.sampled_from([-1, -0.5, 0, 0.3, 0.5, 0.6, 0.75, 0.8, 0.95, 1])


@pytest.fixture
def small_blocks(monkeypatch):
    """Many blocks for few rows."""
    for name, size in {"ROWS": 5, "COLUMNS": 7, "PAIRS": 3, "CENTERS": 2}.items():
        monkeypatch.setattr(communities, name, size)
    monkeypatch.setattr(mining, "ROWS", 5)


@pytest.mark.usefixtures("small_blocks")
class TestBruteForce:
    """Small whole numbers: duplicates, zeros, ties, and cosines that are a threshold exactly."""

    @given(few, thresholds, st.integers(1, 5))
    @examples(500)
    def test_communities(self, rows, threshold, size):
        x = np.array(rows, np.float32).reshape(-1, 3)
        found = community_detection(x, threshold, size)
        assert [set(group) for group in found] == brute_communities(x, threshold, size)
        for center, *others in found:
            falling = cosines_of(x)[center, others]
            assert (np.diff(falling) < 1e-12).all()
            assert all(i < j for i, j in pairwise(others) if (x[i] == x[j]).all())

    @given(few, thresholds)
    @examples(500)
    def test_near_duplicates(self, rows, threshold):
        x = np.array(rows, np.float64).reshape(-1, 3)
        first = near_duplicates(x, threshold)
        assert first.tolist() == brute_duplicates(x, threshold)
        assert deduplicate(x, threshold).tolist() == [i for i, j in enumerate(first) if i == j]

    @given(few.filter(lambda rows: len(rows) > 1), st.integers(0, 60), st.integers(0, 8))
    @examples(300)
    def test_pairs(self, rows, max_pairs, top_k):
        found = paraphrase_mining_embeddings(np.array(rows, np.float32), max_pairs=max_pairs, top_k=top_k)
        scores = [score for score, _, _ in found]
        assert scores == pytest.approx([score for score, _, _ in brute_pairs(rows, max_pairs, top_k)], abs=1e-12)
        assert scores == sorted(scores, reverse=True)
        assert len({(i, j) for _, i, j in found}) == len(found) and all(i < j for _, i, j in found)
        cosines = cosines_of(rows)
        assert all(score == pytest.approx(cosines[i, j], abs=1e-12) for score, i, j in found)


@pytest.mark.parametrize("size", [1e-30, 1e-3, 1e30])
def test_size_does_not_matter(size):
    x = ARRAYS["x"].astype(np.float64) * size
    assert community_detection(x.astype(np.float32) if size == 1e-3 else x, 0.6, 5) == community_detection(
        ARRAYS["x"], 0.6, 5
    )
    assert near_duplicates(x, 0.9).tolist() == near_duplicates(ARRAYS["x"], 0.9).tolist()


def test_near_the_threshold_float64_decides():
    rng = np.random.default_rng(5)
    base = rng.standard_normal(384)
    base /= np.linalg.norm(base)
    across = rng.standard_normal(384)
    across -= (across @ base) * base
    across /= np.linalg.norm(across)
    cosines = 0.9 + np.array([-1e-7, 1e-7, -1e-9, 1e-9, -1e-11, 1e-11])
    x = np.stack([base, *(c * base + np.sqrt(1 - c * c) * across for c in cosines)])
    _, near = communities.Alike(x, 0.9).pairs(np.zeros(1, int), np.arange(1, 7))
    assert near.tolist() == np.flatnonzero(cosines >= 0.9).tolist()


def test_the_same_in_any_blocks(monkeypatch):
    x = ARRAYS["x"]
    found = community_detection(x, 0.6, 5), near_duplicates(x, 0.8).tolist(), paraphrase_mining_embeddings(x, top_k=5)
    for name, size in {"ROWS": 13, "COLUMNS": 29, "PAIRS": 7, "CENTERS": 3}.items():
        monkeypatch.setattr(communities, name, size)
    monkeypatch.setattr(mining, "ROWS", 13)
    again = community_detection(x, 0.6, 5), near_duplicates(x, 0.8).tolist(), paraphrase_mining_embeddings(x, top_k=5)
    assert found == again


def test_equal_rows_reach_a_threshold_of_one():
    x = np.repeat(np.random.default_rng(2).standard_normal((5, 100), dtype=np.float32), 4, axis=0)
    assert deduplicate(x, 1.0).tolist() == [0, 4, 8, 12, 16]
    assert [sorted(group) for group in community_detection(x, 1.0, 4)] == [
        list(range(i, i + 4)) for i in range(0, 20, 4)
    ]


def test_paraphrases_of_a_model(tiny_model):
    texts = ["the cat", "a dog in the house", "rain on the river", "the cat", "book train code"]
    found = paraphrase_mining(tiny_model, iter(texts), max_pairs=3)
    assert found[0][1:] == [0, 3] and found[0][0] == pytest.approx(1) and len(found) == 3
    assert found == paraphrase_mining_embeddings(tiny_model.encode(texts), max_pairs=3)


def test_one_query_none_and_an_empty_corpus():
    x = ARRAYS["x"]
    assert semantic_search(x[0], x, top_k=1) == [[{"corpus_id": 0, "score": pytest.approx(1)}]]
    assert semantic_search(x[:0], x) == [] and semantic_search(x[:2], x[:0]) == [[], []]
    assert semantic_search(x[:2], x, top_k=0) == [[], []]
    assert len(semantic_search(x[:1], x, top_k=1000)[0]) == len(x)
    assert paraphrase_mining_embeddings(x[:0]) == paraphrase_mining_embeddings(x[:1]) == community_detection([]) == []
    assert near_duplicates(x[:0]).tolist() == [] and deduplicate(x[0]).tolist() == [0]


def test_options_of_sentence_transformers_that_change_nothing():
    x, sizes = ARRAYS["x"][:50], {"query_chunk_size": 3, "corpus_chunk_size": 7}
    assert semantic_search(x, x, **sizes) == semantic_search(x, x)
    assert paraphrase_mining_embeddings(x, **sizes) == paraphrase_mining_embeddings(x)
    assert community_detection(x, 0.6, 3, batch_size=2) == community_detection(x, 0.6, 3)


def test_functions_are_taken_for_their_names():
    x = ARRAYS["x"]
    for name, function in SIMILARITY.items():
        assert semantic_search(x[:3], x, score_function=function) == semantic_search(x[:3], x, score_function=name)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: semantic_search(x, x, score_function="jaccard"), "score_function 'jaccard'"),
        (lambda x: semantic_search(x, x, score_function=np.dot), "score_function"),
        (lambda x: semantic_search(x, x, top_k=-1), "k must be"),
        (lambda x: semantic_search(x, x[:, :2]), "shapes"),
        (lambda x: semantic_search(x * np.inf, x), "NaN"),
        (lambda x: paraphrase_mining_embeddings(x, top_k=1.5), "top_k must"),
        (lambda x: paraphrase_mining_embeddings(x, max_pairs=-1), "max_pairs must"),
        (lambda x: paraphrase_mining_embeddings(x[None]), "embeddings must"),
        (lambda x: community_detection(x, 1.5), "threshold must"),
        (lambda x: community_detection(x, float("nan")), "threshold must"),
        (lambda x: community_detection(x, min_community_size=0), "min_community_size"),
        (lambda x: community_detection(np.where(np.arange(4)[:, None] == 2, np.nan, x)), "NaN or infinity.*row 2"),
        (lambda x: near_duplicates(x.astype(str)), "embeddings must"),
        (lambda x: near_duplicates(x, -2), "threshold must"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(MinembedError, match=message):
        call(np.eye(4, 3, dtype=np.float32) + 1)


MEASURE = """
import resource, sys, numpy as np
import minembed as search
thousands = int(sys.argv[1])
half = thousands * 500
x = np.random.default_rng(0).standard_normal((2 * half, 64), dtype=np.float32)
x[half:] = x[:half] + 0.2 * x[half:]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert 14_000 < len(search.deduplicate(x, 0.9)) * 30 / thousands < 16_000
assert len(search.community_detection(x, 0.9, 2)) * 30 / thousands > 14_000
assert len(search.paraphrase_mining_embeddings(x, top_k=5, max_pairs=1000)) == 1000
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
@pytest.mark.parametrize("thousands", [8, *heavy([12, 16, 30])])
def test_memory_is_that_of_rows_not_of_pairs(thousands):
    command = [sys.executable, "-c", MEASURE, str(thousands)]
    alone = os.environ | {"OPENBLAS_NUM_THREADS": "1"}  # threads of BLAS would wait for those of other tests
    found = subprocess.run(command, capture_output=True, text=True, check=True, env=alone)
    assert int(found.stdout) < 400_000  # KB; all pairs in float32 would be 0.6 GB (of 30,000 rows 3.6 GB)
