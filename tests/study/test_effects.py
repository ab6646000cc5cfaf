"""Effects of edits: cosines, rankings, correlations; importance of heads two ways; what restored rows bring back."""

from itertools import combinations

import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed import Embedder
from minembed.errors import InputError, InputTypeError
from minembed.evaluation.pairs import spearman
from minembed.study import ablate_head, ablate_layer, edit, scale
from minembed.study.effects import effect, kendall
from minembed.study.importance import head_importance
from minembed.study.restoring import causal_trace

PAIRS = [("a cat and a dog", "the cat"), ("river rain", "bread in the oven"), ("a book", "the code of a book")]
CORPUS = ["a cat", "a dog", "the river", "bread", "an oven", "rain and sun"]


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy")


def cosine(a, b):
    a, b = a.astype(np.float64), b.astype(np.float64)
    return a @ b / np.linalg.norm(a) / np.linalg.norm(b)


def test_pairs(model):
    found, edited = effect(model, ablate_layer(1), pairs=PAIRS), edit(model, ablate_layer(1))
    before = [cosine(model.encode(a), model.encode(b)) for a, b in PAIRS]
    after = [cosine(edited.encode(a), edited.encode(b)) for a, b in PAIRS]
    np.testing.assert_allclose(found.before, before, atol=1e-12)  # float64 sums in another order
    np.testing.assert_allclose(found.after, after, atol=1e-12)
    change = found.after - found.before
    assert found.measures == {"mean_change": change.mean(), "largest_change": np.abs(change).max()}
    assert found.measures["largest_change"] > 1e-3 and "mean_change" in repr(found)
    none = effect(model, edited.model and [], pairs=PAIRS)
    assert none.measures["largest_change"] == 0
    np.testing.assert_array_equal(effect(model, edited, pairs=PAIRS).after, found.after)


def test_rankings(model):
    queries, edited = ["a cat", "bread and rain"], edit(model, ablate_layer(0))
    found = effect(model, [ablate_layer(0)], queries=queries, corpus=CORPUS, top_k=2)
    taus, kept = [], []
    for query in queries:
        ranks = [[cosine(m.encode(query), m.encode(text)) for text in CORPUS] for m in (model, edited)]
        taus.append(by_pairs(*ranks))
        kept.append(len(set(np.argsort(ranks[0])[-2:]) & set(np.argsort(ranks[1])[-2:])) / 2)
    assert found.measures["kendall"] == pytest.approx(np.mean(taus)) and found.before.shape == (2, 6)
    assert found.measures["overlap"] == np.mean(kept)
    same = effect(model, {"vector": scale(2.0)}, queries=queries, corpus=CORPUS)
    assert same.measures == {"kendall": 1.0, "overlap": 1.0}


def test_agreement_with_judgements(model):
    rows = [(a, b, score) for (a, b), score in zip(PAIRS, (5, 0, 3), strict=True)]
    found = effect(model, ablate_layer(1), sts=rows)
    assert found.measures["before"] == spearman(found.before, [5, 0, 3])
    assert found.measures["change"] == found.measures["after"] - found.measures["before"]


def by_pairs(x, y):
    """Kendall's tau-b, straight from its definition."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in combinations(range(len(x)), 2)]
    of_x, of_y = (sum(pair[i] != 0 for pair in signs) for i in (0, 1))
    return sum(a * b for a, b in signs) / (of_x * of_y) ** 0.5 if of_x and of_y else 0.0


@examples(200)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=9))
def test_kendall_is_its_definition(rows):
    x, y = [row[0] for row in rows], [row[1] for row in rows]
    assert kendall(x, y) == pytest.approx(by_pairs(x, y), abs=1e-12)


def test_the_gradient_tells_how_the_cosine_moves_where_a_head_is_a_little_weaker(model):
    a, b = PAIRS[0]
    found = head_importance(model, [(a, b)])
    h = 0.02  # float32 cosines of 1e-7 over 0.04: errors of 3e-6; the cubic term is of the size h^2
    for layer in range(2):
        for head in range(4):
            ends = []
            for factor in (1 + h, 1 - h):
                edited = edit(model, {f"layer.{layer}.context": scale(factor, head=head)})
                ends.append(cosine(edited.encode(a), edited.encode(b)))
            slope = (ends[0] - ends[1]) / (2 * h)
            assert found.gradient[layer, head] == pytest.approx(abs(slope), abs=5e-4)
    without = effect(model, ablate_head(1, 2), pairs=[(a, b)])
    assert found.ablation[1, 2] == without.measures["largest_change"] > 1e-3
    assert found.correlation == spearman(found.ablation.ravel(), found.gradient.ravel())
    lines = found.table(3).splitlines()
    assert len(lines) == 5 and lines[-1].startswith("rank correlation of all 8 heads")


def test_what_is_restored_where_texts_differ_in_one_token(model):
    clean, corrupted = "the cat in a tree", "the dog in a tree"
    found = causal_trace(model, clean, corrupted, "a cat")
    assert found.rows == ("embeddings", "layer.0", "layer.1") and found.shares.shape == (3, 7)
    assert found.shares[0].tolist() == [0, 0, 1, 0, 0, 0, 0]  # the only difference, to the last bit
    assert found.shares[1].all()  # attention has carried it to all
    rows = {}
    model.forward(model.tokenize(clean), observe=lambda name, x: rows.update({name: x.copy()}))

    def restore(name, x):
        return np.concatenate([x[:3], rows["layer.0"][3:4], x[4:]]) if name == "layer.0" else None

    by_hand = model.forward(model.tokenize(corrupted), observe=restore).mean(axis=0)
    ends = [cosine(model.encode(text), model.encode("a cat")) for text in (corrupted, clean)]
    share = (cosine(by_hand, model.encode("a cat")) - ends[0]) / (ends[1] - ends[0])
    assert found.shares[1, 3] == pytest.approx(share, abs=1e-6 / abs(ends[1] - ends[0]))
    attention = causal_trace(model, clean, corrupted, "a cat", part="attention")
    assert attention.rows == ("layer.0.attention", "layer.1.attention")
    assert [line.split()[0] for line in found.table().splitlines()[2:]] == list(found.rows)
    back = causal_trace(model, corrupted, clean, "a cat")
    assert (back.clean_cosine, back.corrupted_cosine) == (found.corrupted_cosine, found.clean_cosine)


def test_what_cannot_be_asked(model):
    for words, call in {
        "give one of pairs": lambda: effect(model, {}),
        "give one of pairs, queries with corpus": lambda: effect(model, {}, queries=["a"]),
        r"pairs\[1\] must be two texts": lambda: effect(model, {}, pairs=[("a", "b"), "ab"]),
        r"sts\[0\] must be two texts and a score": lambda: effect(model, {}, sts=[("a", "b")]),
        "pairs is empty": lambda: effect(model, {}, pairs=[]),
        "at least one query and two documents": lambda: effect(model, {}, queries=["a"], corpus=["b"]),
        "x and y must be two lists": lambda: kendall([1], [1, 2]),
        "clean has 4 tokens and corrupted 3": lambda: causal_trace(model, "a cat", "cat", "dog"),
        "there is nothing to restore": lambda: causal_trace(model, "a cat", "a cat", "dog"),
        "part must be one of": lambda: causal_trace(model, "a cat", "a dog", "dog", part="mlp"),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(InputTypeError, match=r"pairs\[0\]\[1\]"):
        effect(model, {}, pairs=[("a", 3)])
    with pytest.raises(InputError, match="load it with dtype='float32'"):
        head_importance(Embedder.load(model.checkpoint.folder, backend="numpy", dtype="int8"), PAIRS)
