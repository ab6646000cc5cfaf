"""Triplets, pairs and retrieval against sentence-transformers' evaluators, and against loops that share no code."""

import json
import math

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from places import GOLDENS_FOLDER

from minembed import MinembedError
from minembed.evaluation.pairs import classify, evaluate_pairs, evaluate_triplets
from minembed.evaluation.retrieval import AT, evaluate_retrieval, ranking_metrics

FOLDER = GOLDENS_FOLDER / "search"
ARRAYS = dict(np.load(FOLDER / "vectors.npz"))
EXPECTED = json.loads((FOLDER / "expected.json").read_text(encoding="utf-8"))
METRICS = ("cosine", "dot", "euclidean", "manhattan")
EXACT = 1e-12  # counts and their quotients, in float64 on both sides
FLOAT32 = 1e-5  # thresholds lie between scores that sentence-transformers has in float32
X = ARRAYS["x"]


# --- sentence-transformers' own --------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", EXPECTED["triplets"], ids=lambda case: str(case["margin"]))
def test_triplets_as_in_sentence_transformers(case):
    found = evaluate_triplets(X[:100], X[100:200], X[200:], METRICS, case["margin"] or 0.0)
    assert found == {name: pytest.approx(value, abs=1e-7) for name, value in case["metrics"].items()}  # a float32 mean


def pairs_of(name):
    if name == "pairs":
        return X[:150], ARRAYS["pairs_b"], ARRAYS["labels"]
    return X[:5], X[5:10], [int(name == "pairs_all")] * 5


@pytest.mark.parametrize("name", ["pairs", "pairs_none", "pairs_all"])
def test_pairs_as_in_sentence_transformers(name):
    found, theirs = evaluate_pairs(*pairs_of(name), METRICS), EXPECTED[name]
    assert list(found) == list(theirs)
    for key, value in theirs.items():
        assert found[key] == pytest.approx(value, abs=FLOAT32 if key.endswith("threshold") else EXACT), key


def retrieval_case(name):
    case = EXPECTED["retrieval"][name]
    queries, corpus = (ARRAYS["queries"], X) if name == "x" else (ARRAYS["whole"][:10], ARRAYS["whole"][10:])
    return case, (queries, corpus, case["query_ids"], case["corpus_ids"], case["relevant"])


# cosines of whole numbers tie but for rounding, which is not the same in float32
@pytest.mark.parametrize(("name", "metric"), [*(("x", m) for m in METRICS), *(("whole", m) for m in METRICS[1:])])
def test_retrieval_as_in_sentence_transformers(name, metric, tier):
    case, args = retrieval_case(name)
    found = evaluate_retrieval(*args, metric=metric, backend=tier, **case["at"])
    theirs = {key: value for key, value in case["metrics"].items() if key.startswith(metric)}
    assert found == {key: pytest.approx(value, abs=EXACT) for key, value in theirs.items()}


def test_default_places_are_those_of_sentence_transformers():
    _, args = retrieval_case("x")
    names = [f"{name}@{k}" for name, places in AT.items() for k in places]
    assert sorted(evaluate_retrieval(*args)) == sorted(f"cosine_{name}" for name in names)
    assert len(names) == 15


# --- loops -----------------------------------------------------------------------------------------------------------

scored = st.lists(st.tuples(st.integers(-4, 4), st.integers(0, 1)), min_size=1, max_size=30)


def counts_at(pairs, threshold):
    found = [label for score, label in pairs if score >= threshold]
    missed = [label for score, label in pairs if score < threshold]
    return sum(found), len(found) - sum(found), sum(missed), len(missed) - sum(missed)  # tp, fp, fn, tn


def f1_of(tp, fp, fn, tn):
    return 2 * tp / (2 * tp + fp + fn) if tp else 0.0


@given(scored)
@examples(500)
def test_thresholds_against_loops(pairs):
    found = classify(*zip(*pairs, strict=True))
    every = [5, *(score for score, _ in pairs)]
    assert found.accuracy == max((tp + tn) / len(pairs) for tp, _, _, tn in (counts_at(pairs, t) for t in every))
    tp, _, _, tn = counts_at(pairs, found.accuracy_threshold)
    assert (tp + tn) / len(pairs) == found.accuracy
    assert found.f1 == pytest.approx(max(f1_of(*counts_at(pairs, t)) for t in every), abs=EXACT)
    tp, fp, fn, tn = counts_at(pairs, found.f1_threshold)
    if found.f1:
        assert found.f1 == pytest.approx(f1_of(tp, fp, fn, tn), abs=EXACT)
        assert (found.precision, found.recall) == (pytest.approx(tp / (tp + fp)), pytest.approx(tp / (tp + fn)))
    below = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert found.mcc == pytest.approx((tp * tn - fp * fn) / below if below else 0, abs=1e-9)
    positives, ap, before = sum(label for _, label in pairs), 0.0, 0.0
    for threshold in sorted({score for score, _ in pairs}, reverse=True):
        tp, fp, _, _ = counts_at(pairs, threshold)
        if positives:
            ap += (tp / positives - before) * tp / (tp + fp)
            before = tp / positives
    assert found.ap == pytest.approx(ap, abs=EXACT)


def test_a_threshold_lies_between_scores():
    low = 0.1
    high = np.nextafter(low, 1)
    found = classify([low, high], [0, 1])
    assert found.accuracy == found.f1 == 1 and found.accuracy_threshold == found.f1_threshold == high
    assert classify([0.5, 0.5], [0, 0]).accuracy_threshold > 0.5
    assert classify([0.9, 0.5], [0, 1]).accuracy_threshold > 0.9  # as good as taking both, and higher
    assert classify([1e308, -1e308], [1, 0]).accuracy == 1


def test_a_triplet_with_equal_scores_is_not_right():
    assert evaluate_triplets(np.eye(2), np.ones((2, 2)), np.ones((2, 2)), METRICS)["max_accuracy"] == 0


documents = st.lists(st.integers(0, 9), unique=True, max_size=10)


@given(documents, st.dictionaries(st.integers(0, 12), st.integers(0, 3), max_size=6), st.integers(1, 12))
@examples(500)
def test_rankings_against_loops(ranking, grades, k):
    relevant = {document for document, grade in grades.items() if grade > 0}
    at = {name: [k] for name in AT}
    if not relevant:
        with pytest.raises(MinembedError, match="no relevant document"):
            ranking_metrics({1: ranking}, {1: grades}, at)
        return
    graded = ranking_metrics({1: ranking}, {1: grades}, at)
    plain = ranking_metrics({1: ranking}, {1: relevant}, at)
    hits = [document in relevant for document in ranking[:k]]
    assert plain[f"accuracy@{k}"] == (sum(hits) > 0)
    assert plain[f"precision@{k}"] == sum(hits) / k and plain[f"recall@{k}"] == sum(hits) / len(relevant)
    assert plain[f"mrr@{k}"] == (1 / (hits.index(True) + 1) if any(hits) else 0)
    precisions = [sum(hits[: i + 1]) / (i + 1) for i, hit in enumerate(hits) if hit]
    assert plain[f"map@{k}"] == pytest.approx(sum(precisions) / min(k, len(relevant)))

    def dcg(gains):
        return sum(gain / math.log2(i + 2) for i, gain in enumerate(gains[:k]))

    assert plain[f"ndcg@{k}"] == pytest.approx(dcg(hits) / dcg([1] * len(relevant)))
    gains, ideal = [grades.get(document, 0) for document in ranking], sorted(grades.values(), reverse=True)
    assert graded[f"ndcg@{k}"] == pytest.approx(dcg(gains) / dcg(ideal))
    assert {**graded, f"ndcg@{k}": 0} == {**plain, f"ndcg@{k}": 0}


def test_equal_scores_are_ranked_by_id():
    corpus = np.ones((4, 2))
    for ids in ("dbca", [4, 2, 3, 1]):
        found = evaluate_retrieval([[1.0, 1.0]], corpus, ["q"], ids, {"q": {sorted(ids)[1]}})
        assert found["cosine_mrr@10"] == 0.5


def test_queries_without_relevant_documents_are_left_out():
    corpus = np.eye(3)
    found = evaluate_retrieval(corpus, corpus, "abc", "xyz", {"a": ["x"], "b": [], "c": {"z": 0}, "other": ["y"]})
    assert found["cosine_accuracy@1"] == 1
    with pytest.raises(MinembedError, match="no document for any"):
        evaluate_retrieval(corpus, corpus, "abc", "xyz", {"b": []})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: evaluate_triplets(x, x, x[:2]), "as many rows"),
        (lambda x: evaluate_triplets(x, x, x, "cosine"), "metrics must be some of"),
        (lambda x: evaluate_triplets(x, x, x, ["cosine"], {"hamming": 1.0}), "margin must be some of"),
        (lambda x: evaluate_triplets(x[:0], x[:0], x[:0]), "anchors must be at least one"),
        (lambda x: evaluate_triplets(x, x * np.nan, x), "positives holds NaN or infinity, first in row 0"),
        (lambda x: evaluate_pairs(x, x, [0, 1, 2]), r"labels\[2\] is not"),
        (lambda x: evaluate_pairs(x, x, [0, 1]), "3 scores, 2 labels"),
        (lambda x: evaluate_pairs(x, x, [0, 1, 1], []), "metrics must"),
        (lambda x: classify([1.0, np.nan], [0, 1]), r"scores\[1\]"),
        (lambda x: classify([], []), "scores must be a list"),
        (lambda x: evaluate_retrieval(x, x, "ab", "abc", {}), "3 of query_embeddings, 2 of query_ids"),
        (lambda x: evaluate_retrieval(x, x, "abc", "abb", {}), r"corpus_ids\[2\] is 'b', which came before"),
        (lambda x: evaluate_retrieval(x, x, "abc", "abc", {"a": "a"}, mrr_at_k=[0]), "mrr@k needs"),
        (lambda x: evaluate_retrieval(x, x, "abc", "abc", {"a": "a"}, metric="l3"), "metric 'l3'"),
        (lambda x: ranking_metrics({}, {}), "no query"),
        (lambda x: ranking_metrics({"q": []}, {"q": "a"}, {"f1": [1]}), "metric 'f1' is unknown"),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(MinembedError, match=message):
        call(np.eye(3))
