"""`util`, `quantization` and what tensors are where torch is not: against plain sums, and by name where refused."""

import logging

import numpy as np
import pytest

from minembed.errors import InputError, InputTypeError, MinembedError, UnsupportedCallError
from minembed.sentence_transformers import InputExample, losses, util
from minembed.sentence_transformers.quantization import (
    ExactIndex,
    quantize_embeddings,
    semantic_search_faiss,
    semantic_search_usearch,
)
from minembed.sentence_transformers.tensors import ArrayTensor, as_array, has_torch
from minembed.sentence_transformers.util.similarity import sim_unit

RNG = np.random.default_rng(3)
ROWS, QUERIES = RNG.standard_normal((90, 20)).astype(np.float32), RNG.standard_normal((6, 20)).astype(np.float32)
ALL_PAIRS = {
    "cos_sim": lambda a, b: (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1),
    "dot_score": lambda a, b: a @ b.T,
    "euclidean_sim": lambda a, b: -np.linalg.norm(a[:, None] - b, axis=2),
    "manhattan_sim": lambda a, b: -np.abs(a[:, None] - b).sum(axis=2),
}


@pytest.mark.parametrize("name", ALL_PAIRS)
def test_similarities_are_what_their_names_say(name):
    expected = ALL_PAIRS[name](QUERIES.astype(np.float64), ROWS.astype(np.float64))
    found = getattr(util, name)(QUERIES, ROWS)
    assert type(found).__name__ == ("Tensor" if has_torch() else "ArrayTensor")
    assert as_array(found).dtype == np.float32 and as_array(getattr(util, name)(QUERIES.tolist(), ROWS)).shape == (
        6,
        90,
    )
    np.testing.assert_allclose(as_array(found), expected, rtol=2e-6, atol=2e-5)  # float32 sums of 20 products
    pairwise = getattr(util, f"pairwise_{name}")
    np.testing.assert_allclose(as_array(pairwise(QUERIES, ROWS[:6])), np.diag(expected[:, :6]), rtol=2e-6, atol=2e-5)
    assert as_array(pairwise(QUERIES[0], ROWS[0])).shape == () and as_array(pairwise(QUERIES[0], ROWS)).shape == (90,)
    assert as_array(getattr(util, name)(QUERIES.astype(np.float64), ROWS.astype(np.float64))).dtype == np.float64
    with pytest.raises(InputError):
        getattr(util, name)(QUERIES, ROWS[:, :7])


@pytest.mark.parametrize("score", ["cos_sim", "dot_score", "euclidean_sim", "manhattan_sim", "own"])
def test_search_is_the_full_sort(score):
    function = (lambda a, b: -util.dot_score(a, b)) if score == "own" else getattr(util, score)
    every = as_array(function(QUERIES, ROWS))
    hits = util.semantic_search(QUERIES, ROWS, 4, 17, 9, function)
    for found, scores in zip(hits, every, strict=True):
        assert [hit["corpus_id"] for hit in found] == np.argsort(-scores, kind="stable")[:9].tolist()
        assert [hit["score"] for hit in found] == pytest.approx(np.sort(scores)[::-1][:9].tolist(), abs=2e-5)
    assert util.semantic_search(QUERIES, np.zeros((0, 20)), score_function=function) == [[]] * 6


def test_mining_by_a_function_of_the_callers_is_mining():
    def own(a, b):
        return util.cos_sim(a, b)

    expected = util.paraphrase_mining_embeddings(ROWS, top_k=4, max_pairs=60)
    found = util.paraphrase_mining_embeddings(ROWS, corpus_chunk_size=11, top_k=4, max_pairs=60, score_function=own)
    assert [pair[1:] for pair in found] == [pair[1:] for pair in expected]


def nearest(queries, rows, k, distances):
    order = np.argsort(distances(queries[:, None], rows), axis=1, kind="stable")[:, :k]
    return order.tolist()


@pytest.mark.parametrize("search", [semantic_search_faiss, semantic_search_usearch])
def test_search_over_bits_counts_them_and_scores_again(search):
    packed, own = quantize_embeddings(ROWS, "ubinary"), quantize_embeddings(QUERIES, "ubinary")
    bits, own_bits = ROWS > 0, QUERIES > 0
    hits, seconds, index = search(own, packed, corpus_precision="ubinary", top_k=7, output_index=True)
    expected = nearest(own_bits, bits, 7, lambda a, b: (a != b).sum(axis=2))
    assert [[hit["corpus_id"] for hit in found] for found in hits] == expected and seconds >= 0
    assert hits[0][0]["score"] == (own_bits[0] != bits[expected[0][0]]).sum()
    again, _ = search(QUERIES, corpus_index=index, corpus_precision="ubinary", top_k=7, rescore_multiplier=3)
    candidates = nearest(own_bits, bits, 21, lambda a, b: (a != b).sum(axis=2))
    for query, found, rows in zip(QUERIES, again, candidates, strict=True):
        scores = bits[rows].astype(np.float64) @ query.astype(np.float64)
        best = [rows[i] for i in np.argsort(-scores, kind="stable")[:7]]
        assert [hit["corpus_id"] for hit in found] == best
    assert isinstance(index, ExactIndex) and len(index) == 90


@pytest.mark.parametrize(("search", "kind"), [(semantic_search_faiss, "uint8"), (semantic_search_usearch, "int8")])
def test_search_over_bytes_restores_them(search, kind):
    ranges = np.stack([ROWS.min(axis=0), ROWS.max(axis=0)])
    levels = quantize_embeddings(ROWS, kind, ranges=ranges)
    hits, _ = search(QUERIES, levels, corpus_precision=kind, top_k=5, ranges=ranges, rescore_multiplier=18)
    steps = (ranges[1] - ranges[0]) / np.float32(255)
    rows = (levels.astype(np.float64) + (128 if kind == "int8" else 0)) * steps + ranges[0]
    scores = QUERIES.astype(np.float64) @ rows.T
    assert [[hit["corpus_id"] for hit in found] for found in hits] == np.argsort(-scores, axis=1)[:, :5].tolist()
    with pytest.raises(UnsupportedCallError, match="exact=False"):
        search(QUERIES, levels, corpus_precision=kind, exact=False)
    with pytest.raises(UnsupportedCallError, match="corpus_index= is object"):
        search(QUERIES, corpus_index=object(), corpus_precision=kind)
    for wrong in ({}, {"corpus_embeddings": levels, "corpus_precision": "int4"}):
        with pytest.raises(InputError):
            search(QUERIES, **wrong)


def test_arrays_answer_as_tensors_do():
    scores = RNG.standard_normal((4, 9)).astype(np.float32).view(ArrayTensor)
    plain = scores.view(np.ndarray)
    assert type(scores.cpu().detach().clone().numpy()) is np.ndarray and scores.dim() == 2
    values, indices = scores.topk(3)
    assert np.array_equal(indices, np.argsort(-plain, axis=1)[:, :3]) and np.array_equal(
        values, -np.sort(-plain)[:, :3]
    )
    assert np.array_equal(scores.max(dim=1).indices, plain.argmax(1)) and np.array_equal(scores.min(0)[0], plain.min(0))
    assert scores.max() == plain.max() == np.max(scores) and np.array_equal(np.max(scores, axis=1), plain.max(1))
    assert np.array_equal(scores.argsort(descending=True), np.argsort(-plain, axis=1))
    assert np.array_equal(scores.sort(descending=True)[0], -np.sort(-plain)) and np.array_equal(
        np.sort(scores), np.sort(plain)
    )
    assert np.array_equal(scores.argmax(dim=1), plain.argmax(1)) and scores.mean(dim=0, keepdim=True).shape == (1, 9)
    for name in ("std", "var", "repeat"):
        with pytest.raises(InputTypeError, match="one thing to NumPy and another to torch"):
            getattr(scores, name)()
    assert np.allclose(np.std(scores, axis=0), plain.std(axis=0)) and scores.to("cpu") is scores
    with pytest.raises(InputError, match="cuda"):
        scores.to("cuda")
    assert np.array_equal(scores.transpose(0, 1), plain.T) and np.array_equal(np.transpose(scores, (0, 1)), plain)
    found = scores > 0.5
    assert np.array_equal(found.nonzero(), np.argwhere(plain > 0.5)) and np.array_equal(
        np.nonzero(found), found.nonzero(as_tuple=True)
    )
    assert np.array_equal(np.flatnonzero(found), np.flatnonzero(plain > 0.5))
    assert np.array_equal(found.any(dim=1), (plain > 0.5).any(axis=1)) and scores.max(dim=1, keepdim=True)[0].shape == (
        4,
        1,
    )
    for wrong in (
        lambda: scores.topk(10),
        lambda: scores.sort(dim=0, kind="stable"),
        lambda: scores.max(dim=0, out=plain),
    ):
        with pytest.raises(MinembedError):
            wrong()


def test_angles_are_those_of_complex_numbers():
    def as_complex(rows):
        rows = np.pad(rows, ((0, 0), (0, rows.shape[1] % 2))).astype(np.float64)
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).reshape(len(rows), 2, -1)

    for width in (20, 7):
        (a, b), (c, d) = (np.moveaxis(as_complex(rows[:6, :width]), 1, 0) for rows in (QUERIES, ROWS))
        product = (a + 1j * b) * (c - 1j * d)
        expected = np.abs((product.real + product.imag).sum(axis=1))
        found = as_array(util.pairwise_angle_sim(QUERIES[:, :width], ROWS[:6, :width]))
        np.testing.assert_allclose(found, expected, atol=2e-6)


def test_the_rest_of_util(tmp_path, caplog):
    np.testing.assert_allclose(as_array(util.normalize_embeddings(ROWS)), sim_unit(ROWS))
    assert util.truncate_embeddings(ROWS, 3).shape == (90, 3) and util.truncate_embeddings(ROWS, None) is not None
    assert util.batch_to_device({"a": 1}, "cpu") == {"a": 1} and util.get_device_name() == "cpu"
    assert not util.is_sentence_transformer_model(str(tmp_path)) and not util.is_training_available()
    assert [type(x) for x in quantize_embeddings([ROWS[:2], ROWS[2:5]], "int8")] == [np.ndarray] * 2
    assert quantize_embeddings([], "int8") == [] and quantize_embeddings(ROWS[:0], "uint8").shape == (0, 20)
    with util.disable_logging():
        logging.getLogger("minembed").error("unseen")
    assert "unseen" not in caplog.text and str(InputExample(texts=["a", "b"])).endswith("a; b")
    for refused in (
        lambda: util.http_get("https://example.org", "file"),
        lambda: util.mine_hard_negatives([], None),
        lambda: util.maxsim(ROWS, ROWS),
        lambda: losses.MultipleNegativesRankingLoss(None),
        lambda: losses.SoftmaxLoss.anything,
        lambda: util.SimilarityFunction("cos"),
        lambda: util.batch_to_device({}, "cuda"),
        lambda: util.cos_sim([[1.0], [1.0, 2.0]], [[1.0]]),
    ):
        with pytest.raises(MinembedError):
            refused()
    with pytest.raises(UnsupportedCallError, match="multiple_negatives_ranking"):
        losses.MultipleNegativesRankingLoss(None)
    with pytest.raises(AttributeError):
        losses.NoSuchLoss  # noqa: B018


def test_what_cannot_be_searched_with_is_named():
    rows = np.eye(3, dtype=np.float32)
    for name in ("query_chunk_size", "corpus_chunk_size"):
        for search in (
            lambda **options: util.semantic_search(rows, rows, **options),
            util.paraphrase_mining_embeddings,
        ):
            given = {"embeddings": rows} if search is util.paraphrase_mining_embeddings else {}
            with pytest.raises(InputError, match=name):
                search(**given, **{name: 0})
    with pytest.raises(InputTypeError, match="score_function"):
        util.semantic_search(rows, rows, score_function="cos")


@pytest.mark.parametrize(
    ("search", "precision", "corpus"),
    [
        (semantic_search_faiss, "uint8", "float32"),
        (semantic_search_faiss, "uint8", "int8"),
        (semantic_search_faiss, "float32", "uint8"),
        (semantic_search_faiss, "ubinary", "float32"),
        (semantic_search_faiss, "ubinary", "binary"),
        (semantic_search_usearch, "int8", "float32"),
        (semantic_search_usearch, "binary", "ubinary"),
    ],
)
def test_a_corpus_of_another_precision_is_not_searched(search, precision, corpus):
    rows = np.random.default_rng(5).standard_normal((6, 16)).astype(np.float32)
    with pytest.raises(InputError, match=f"corpus_precision is '{precision}'"):
        search(rows, quantize_embeddings(rows, corpus), corpus_precision=precision)
    with pytest.raises(InputError, match="one width"):
        search(rows[:, :8], quantize_embeddings(rows, precision), corpus_precision=precision)
    index = search(rows, quantize_embeddings(rows, precision), corpus_precision=precision, output_index=True)[2]
    other = "float32" if precision != "float32" else "uint8"
    with pytest.raises(InputError, match=f"is of precision '{precision}'"):
        search(rows, corpus_index=index, corpus_precision=other)


def test_no_model_is_no_sentence_transformer(tmp_path):
    assert not util.is_sentence_transformer_model(str(tmp_path / "none"))
