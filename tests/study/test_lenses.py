"""Lenses: stopping early, attention that adds up, what fires a neuron, where errors are born, what padding does."""

import warnings

import golden_families as goldens
import golden_heads
import numpy as np
import oracle
import pytest
import static_cases
from tiny import VOCABULARY, bert_tensors, write_tiny_checkpoint

from minembed import Embedder
from minembed.errors import BackendWarning, InputError, MissingHeadError, ModelWarning
from minembed.models import batching
from minembed.study import (
    attention_map,
    fill_mask_lens,
    fires_most,
    padded,
    precision_errors,
    rollout,
    similarity_by_layer,
    trace,
)
from minembed.study.lenses import stopped

SIZES = {"vocab_size": len(VOCABULARY), "hidden_size": 32, "intermediate_size": 48, "seed": 0}  # the tiny checkpoint's
SIZES |= {"max_position_embeddings": 64, "type_vocab_size": 2}
TEXTS = ["a cat and a dog", "river", "unbelievable bread in the oven", "the cat"]


def load(folder, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)  # numbers of int8 may be emulated
        warnings.simplefilter("ignore", ModelWarning)  # masked-LM checkpoints have no modules
        return Embedder.load(folder, backend="numpy", **options)


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load(tiny_checkpoint)


# ---- stopping early ----


def test_a_network_that_stopped_is_a_network_of_fewer_layers(model, tmp_path):
    tensors = bert_tensors(**SIZES, num_hidden_layers=1)  # the first layer of the same
    shallow = load(write_tiny_checkpoint(tmp_path / "shallow", num_hidden_layers=1, tensors=tensors))
    t = trace(model, TEXTS[0])
    np.testing.assert_array_equal(stopped(t, "layer.0"), shallow.encode(TEXTS[0]))
    found = similarity_by_layer(model, TEXTS[0], TEXTS[3])
    assert found.steps == ("embeddings", "layer.0", "layer.1")
    for place, which in ((1, shallow), (2, model)):
        a, b = which.encode([TEXTS[0], TEXTS[3]])
        assert found.cosines[place] == pytest.approx(oracle.cosine([a], [b])[0, 0], abs=1e-12)
    assert [line.split()[0] for line in found.table().splitlines()] == list(found.steps)


@pytest.mark.parametrize("name", ["modernbert", "qwen3", "electra"])
def test_the_last_layer_is_the_model_itself(tmp_path, name):
    model = load(goldens.write_checkpoint(goldens.read(name), tmp_path / "m"))
    t = trace(model, TEXTS[0])
    last = f"layer.{model.config.num_hidden_layers - 1}"
    np.testing.assert_array_equal(stopped(t, last), model.encode(TEXTS[0]))


@pytest.mark.parametrize("name", ["bert", "roberta", "distilbert", "modernbert", "mpnet"])
def test_the_words_of_the_last_layer_are_those_of_fill_mask(tmp_path, name):
    model = load(golden_heads.write_checkpoint(name, "masked", tmp_path / "m"))
    text = golden_heads.MASKS[0]
    expected = model.fill_mask(text, top_k=4)
    masks = [expected] if isinstance(expected[0], dict) else expected
    guesses = fill_mask_lens(model, text, top_k=4)
    L = model.config.num_hidden_layers
    assert len(guesses) == (L + 1) * len(masks) * 4
    last = [(g.word, g.probability) for g in guesses if g.step == f"layer.{L - 1}"]
    assert last == [(word["token_str"], word["score"]) for words in masks for word in words]


def test_without_a_head_or_a_mask(model, tmp_path):
    with pytest.raises(MissingHeadError, match="masked-LM head"):
        fill_mask_lens(model, "a [MASK]")
    masked = load(golden_heads.write_checkpoint("bert", "masked", tmp_path / "m"))
    with pytest.raises(InputError, match=r"text has no \[MASK\] among the 4 tokens"):
        fill_mask_lens(masked, "a cat")
    with pytest.raises(InputError, match="top_k"):
        fill_mask_lens(masked, "a [MASK]", top_k=0)


# ---- attention ----


def test_rollout_by_loops(model):
    t = trace(model, TEXTS[0])
    N = len(t.pieces)
    flow = np.eye(N)
    for layer, found in enumerate(rollout(t)):
        p, new = t[f"layer.{layer}.probabilities"].astype(np.float64), np.zeros((N, N))
        for i in range(N):
            for j in range(N):
                for k in range(N):
                    new[i, j] += (p[:, i, k].mean() + (i == k)) / 2 * flow[k, j]
        flow = new
        np.testing.assert_allclose(found, flow, atol=1e-6)  # shares of float32 sum to 1 +- 1e-7
        np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-12)


def test_maps_of_layers_and_heads(model):
    t = trace(model, TEXTS[0], names="*.probabilities")
    np.testing.assert_array_equal(attention_map(t, 1, 3), t["layer.1.probabilities"][3])
    np.testing.assert_allclose(attention_map(t, 1), t["layer.1.probabilities"].mean(axis=0))
    for bad in ({"layer": 2}, {"layer": 0, "head": 4}, {"layer": -1}):
        with pytest.raises(InputError, match=r"(layer|head) must"):
            attention_map(t, **bad)


# ---- what fires ----


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("unit", [{"neuron": 17}, {"head": 2}])
def test_the_highest_of_a_corpus(model, monkeypatch, unit, special):
    corpus = [f"{a} {b}" for a in ("a cat", "bread", "the river") for b in ("tree", "and rain", "re ed un", "sun")] * 2
    monkeypatch.setattr(batching, "WINDOW", 5)
    found = fires_most(model, iter(corpus), 1, top_k=7, special=special, **unit)
    every = []
    for index, text in enumerate(corpus):
        t = trace(model, text)
        for token in range(len(t.pieces)):
            if special or not t.special[token]:
                if "neuron" in unit:
                    value = t["layer.1.activated"][token, 17]
                else:
                    value = np.linalg.norm(t["layer.1.context"][token].reshape(4, 8)[2])
                every.append((float(value), -index, -token))
    best = sorted(every, reverse=True)[:7]
    assert [(-one.index, -one.token) for one in found.top] == [entry[1:] for entry in best]
    np.testing.assert_allclose([one.value for one in found.top], [entry[0] for entry in best], rtol=1e-6)
    assert found.tokens == len(every) and found.mean == pytest.approx(np.mean([entry[0] for entry in every]))
    assert found.positive == np.mean([entry[0] > 0 for entry in every])
    assert all(one.text == corpus[one.index] and f"»{one.pieces[one.token]}«" in str(one) for one in found.top)


def test_a_corpus_goes_by_and_is_not_kept(model, monkeypatch):
    monkeypatch.setattr(batching, "WINDOW", 4)
    drawn = []

    def texts():
        for i in range(40):
            drawn.append(i)
            yield "a cat"

    seen = []
    forward = type(model).forward
    monkeypatch.setattr(type(model), "forward", lambda *a, **k: seen.append(len(drawn)) or forward(*a, **k))
    found = fires_most(model, texts(), 0, neuron=0, top_k=3)
    assert seen == list(range(4, 41, 4)) and len(found.top) == 3  # computed as they come, not at the end
    assert [one.index for one in found.top] == [0, 0, 1] or [one.index for one in found.top] == [0, 1, 2]
    empty = fires_most(model, [], 0, neuron=0)
    assert empty.top == () and empty.tokens == 0 and empty.mean == 0


def test_what_does_not_fire(model):
    for words, options in {
        "give either neuron or head": {"layer": 0},
        "neuron": {"layer": 0, "neuron": 48},
        "head": {"layer": 0, "head": 4},
        "layer": {"layer": 2, "head": 0},
        "top_k": {"layer": 0, "head": 0, "top_k": 0},
    }.items():
        with pytest.raises(InputError, match=words):
            fires_most(model, TEXTS, **options)


# ---- precision ----


def test_errors_are_those_from_the_oracle_of_float64(model):
    found = precision_errors(model, TEXTS[0])
    t = trace(model, TEXTS[0])
    tensors = bert_tensors(**SIZES, num_hidden_layers=2)
    states = oracle.bert(tensors, t.tokens.ids, t.tokens.types, 4)
    for name, exact in zip(("embeddings", "layer.0", "layer.1"), states, strict=True):
        off = np.linalg.norm(t[name] - exact) / np.linalg.norm(exact)
        assert found[name].total["float32"] == pytest.approx(off, rel=1e-3)
        assert found[name].total["float32"] < 1e-6 < found[name].total["bfloat16"] < found[name].total["int8"] < 0.2
    for dtype in ("bfloat16", "int8"):  # rounding is done by products, and by the table of words, alone
        rounds = {"embeddings.word", "qkv", "attention", "intermediate", "feed_forward"}
        for step in found.steps:
            short = step.name.split(".", 2)[-1] if step.name.startswith("layer") else step.name
            assert (step.own[dtype] > 1e-5) == (short in rounds), step.name
        assert {step.name.split(".")[-1] for step in found.born(dtype)} <= {"word", *rounds}
    assert len(found.table().splitlines()) == len(found.steps) + 1
    with pytest.raises(KeyError, match=r"'nothing' is no step, such as 'vector'"):
        found["nothing"]


@pytest.mark.parametrize("name", ["modernbert", "gemma3_text", "jina_bert"])
def test_precision_of_families(tmp_path, name):
    folder = goldens.write_checkpoint(goldens.read(name), tmp_path / "m")
    found = precision_errors(load(folder), TEXTS[0])
    assert all(0 <= step.total["float32"] < 5e-6 for step in found.steps)
    again = precision_errors(load(folder, dtype="int8"), TEXTS[0])  # reads the float32 weights anew
    assert again == found


def test_precision_needs_weights_of_float32(tmp_path):
    static = Embedder.load(static_cases.write_static(tmp_path / "s", next(iter(static_cases.STATIC))))
    with pytest.raises(InputError, match="static model"):
        precision_errors(static, "a")
    with pytest.raises(InputError, match="with layers"):
        padded(static, ["a"])


# ---- padding ----


@pytest.mark.parametrize("name", ["bert", "roberta", "mpnet", "modernbert", "jina_bert", "gemma3_text", "qwen3"])
def test_a_padded_batch_is_the_same_mathematics(tmp_path, name):
    model = load(goldens.write_checkpoint(goldens.read(name), tmp_path / "m"))
    found = padded(model, TEXTS, tokens=30)
    assert found.shape == (4, 30) and found.wasted == pytest.approx(1 - len(model.tokenize(TEXTS).ids) / 120)
    vectors = model.encode(TEXTS)
    np.testing.assert_allclose(found["vector"].padded, vectors, atol=2e-6)  # the contract between backends
    assert found["vector"].largest == np.abs(found["vector"].padded.astype(np.float64) - vectors).max()
    assert not found["embeddings.sum"].share  # rows are looked up and added: the same bits
    for step in found.steps:
        assert 0 <= step.share <= 1 and (step.share > 0) == (step.largest > 0)
    assert found.first is None or found[found.first].share > 0
    assert found.table().count("\n") == len(found.steps)


def test_a_mask_that_is_forgotten_would_show(model, monkeypatch):
    monkeypatch.setattr("minembed.study.padding.masked_attend", lambda own, *rest: attend(*rest))
    from minembed.transformer.attention import attend

    assert padded(model, TEXTS, tokens=30)["vector"].largest > 1e-2


def test_what_cannot_be_padded(model):
    for words, call in {
        "at least one text": lambda: padded(model, []),
        "tokens": lambda: padded(model, TEXTS, tokens=3),
        "in float32": lambda: padded(load(model.checkpoint.folder, dtype="int8"), TEXTS),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(KeyError, match="no step of a padded batch"):
        padded(model, TEXTS)["layer.0.query"]
