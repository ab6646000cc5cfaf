"""Traces: every number of a text by name, the bits of `encode`, each recomputed from its inputs."""

import fnmatch
import json
import re
import warnings

import golden_families as goldens
import numpy as np
import pytest
import static_cases
from places import ROOT
from safetensors import safe_open
from tiers import COMPILED

from minembed import Embedder, Reranker
from minembed.errors import BackendWarning, InputError, InputKeyError, InputTypeError, NumericalError, TruncationWarning
from minembed.study import trace
from minembed.weights.families import FAMILIES

TEXTS = ["a cat and a dog", "river", "unbelievable bread in the oven"]
SERVED = [name for name in goldens.NAMES if goldens.family_of(name) in FAMILIES]


def load(folder, dtype="float32", backend="numpy"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)  # numbers of bfloat16 and int8 may be emulated
        return Embedder.load(folder, backend=backend, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("name", SERVED)
def test_every_family_is_traced_with_the_bits_of_encode(tmp_path, name, dtype):
    model = load(goldens.write_checkpoint(goldens.read(name), tmp_path / "model"), dtype)
    for text, t in zip(TEXTS, trace(model, TEXTS), strict=True):
        np.testing.assert_array_equal(t["vector"], model.encode(text))
        assert list(t) == list(t.steps) and t.verify() == len(t)
        assert all(x.shape == t.steps[n].shape and not x.flags.writeable for n, x in t.items())
        assert all(before in t for step in t.steps.values() for before in step.inputs)
        np.testing.assert_array_equal(t["layer.0"], by_observer(model, text)["layer.0"])
        for layer in range(model.config.num_hidden_layers):
            np.testing.assert_allclose(t[f"layer.{layer}.probabilities"].sum(axis=-1), 1, atol=1e-6)


def by_observer(model, text):
    seen = {}
    model.forward(model.tokenize(text), observe=lambda name, x: seen.update({name: x.copy()}))
    return seen


def test_all_that_an_observer_sees_is_in_the_trace(tiny_checkpoint):
    model, seen = load(tiny_checkpoint), {}
    tokens = model.tokenize(TEXTS[0])
    model.forward(tokens, observe=lambda name, x: seen.update({name: x.copy()}), observe_attention=True)
    t = trace(model, TEXTS[0])
    inside = {name if name in t else name.removesuffix(".0"): x for name, x in seen.items()}
    assert len(inside) == len(seen) and set(t) - set(inside) == {"pooled", "module.0", "vector"}
    for name, x in inside.items():
        np.testing.assert_array_equal(t[name], x, err_msg=name)


@pytest.mark.parametrize("name", ["bert", "modernbert", "jina_bert", "gemma3_text", "qwen3"])
def test_attention_that_is_seen_has_the_same_bits_in_a_batch_and_takes_edits(tmp_path, name):
    model = load(goldens.write_checkpoint(goldens.read(name), tmp_path / "model"))
    tokens, plain = model.tokenize(TEXTS), model.forward(model.tokenize(TEXTS))
    seen = {}

    def watch(name, x):
        seen[name] = x.copy()

    np.testing.assert_array_equal(model.forward(tokens, observe=watch, observe_attention=True), plain)
    for i, t in enumerate(trace(model, TEXTS)):
        for part in ("query", "key", "value", "scores", "probabilities"):
            np.testing.assert_array_equal(seen[f"layer.1.{part}.{i}"], t[f"layer.1.{part}"])

    def alone(name, x):  # every token of the second text attends to itself alone
        return (
            np.broadcast_to(np.eye(x.shape[1], dtype=x.dtype), x.shape) if name == "layer.0.probabilities.1" else None
        )

    edited = model.forward(tokens, observe=alone, observe_attention=True)
    bounds = tokens.cu_seqlens
    np.testing.assert_array_equal(edited[: bounds[1]], plain[: bounds[1]])
    np.testing.assert_array_equal(edited[bounds[2] :], plain[bounds[2] :])
    assert np.abs(edited[bounds[1] : bounds[2]] - plain[bounds[1] : bounds[2]]).max() > 1e-3
    values = seen["layer.0.value.1"]
    context = {}
    model.forward(tokens, observe=lambda n, x: (context.update({n: x.copy()}), alone(n, x))[1], observe_attention=True)
    own = context["layer.0.context"][bounds[1] : bounds[2]]
    np.testing.assert_array_equal(own, values.transpose(1, 0, 2).reshape(own.shape))


@pytest.mark.slow
def test_texts_whose_attention_is_cut_into_blocks_have_the_same_bits(tmp_path):
    for name in ("modernbert", "jina_bert"):
        golden = goldens.read(name)
        config = goldens.config_of(golden) | {"max_position_embeddings": 1500}
        model = load(goldens.write_checkpoint(golden, tmp_path / name, config=config))
        text = " ".join(TEXTS * 200)
        t = trace(model, text, names=["layer.0.*", "vector"])
        assert t.steps["layer.0.scores"].shape[1] > 1024 and t.verify() > 5
        np.testing.assert_array_equal(t["vector"], model.encode(text))


def test_a_wrong_number_is_found(tiny_checkpoint):
    t = trace(load(tiny_checkpoint), TEXTS[0])
    x = t["layer.1.context"]
    x.flags.writeable = True
    x[2, 3] += 1e-6
    with pytest.raises(NumericalError, match=r"layer\.1\.context is not probabilities value"):
        t.verify()


@pytest.mark.parametrize("backend", COMPILED)
def test_the_distance_of_the_own_tier_is_told(tiny_checkpoint, backend):
    model = load(tiny_checkpoint, backend=backend)
    t = trace(model, TEXTS[0])
    difference = np.abs(t["vector"] - model.encode(TEXTS[0])).max()
    assert t.backend == backend and t.distance == difference < 2e-6
    np.testing.assert_array_equal(t["vector"], load(tiny_checkpoint).encode(TEXTS[0]))


def test_names_are_chosen_and_others_explained(tiny_checkpoint):
    model = load(tiny_checkpoint)
    t = trace(model, TEXTS[0], names=("layer.*.probabilities", "vector"))
    assert list(t) == ["layer.0.probabilities", "layer.1.probabilities", "vector"] and t.verify() == 0
    assert "layer.0.qkv" not in t and t.get("layer.0.qkv") is None  # a mapping, whose errors are ours as well
    with pytest.raises(InputKeyError, match=r"^'layer\.0\.qkv' was not asked for$"):
        t["layer.0.qkv"]
    with pytest.raises(KeyError, match=r"does not exist; there is layer\.0\.qkv"):
        t["layer.9.qkv"]
    with pytest.raises(InputError, match=r"'layer\.9\.\*' fits no intermediate result"):
        trace(model, TEXTS, names="layer.9.*")


def test_options_are_those_of_encode(tiny_checkpoint):
    model = load(tiny_checkpoint)
    for options in ({"truncate_dim": 8}, {"truncate_dim": 8, "normalize_embeddings": False}, {"prompt": "bread "}):
        t = trace(model, TEXTS[0], **options)
        np.testing.assert_array_equal(t["vector"], model.encode(TEXTS[0], **options))
    assert t.text == "bread " + TEXTS[0] and t.pieces[1] == "bread"
    with pytest.warns(TruncationWarning, match=r"texts\[1\]"):
        cut = trace(model, ["a", "cat " * 500])[1]
    assert len(cut.pieces) == model.max_seq_length
    with pytest.raises(InputError, match="truncate_dim 99"):
        trace(model, "a", truncate_dim=99)


def test_what_would_be_too_much_is_refused_before_it_is_computed(tiny_checkpoint):
    model = load(tiny_checkpoint)
    with pytest.raises(InputError, match=r"would take 0.1 MB, above max_bytes=1000: ask for fewer"):
        trace(model, TEXTS, max_bytes=1000)
    kept = trace(model, TEXTS[0], names="vector", max_bytes=1000)
    assert sum(x.nbytes for x in kept.values()) <= 1000


def test_other_things_are_refused(tiny_checkpoint):
    model = load(tiny_checkpoint)
    assert trace(model, []) == []
    with pytest.raises(InputTypeError, match="trace takes an Embedder, not str"):
        trace("all-MiniLM-L6-v2", "a")
    with pytest.raises(InputTypeError, match=r"texts\[1\]"):
        trace(model, ["a", 3])
    assert Reranker is not Embedder


def test_static_models_have_a_short_trace(tmp_path):
    model = Embedder.load(static_cases.write_static(tmp_path / "model", next(iter(static_cases.STATIC))))
    for text in ("hello world", ""):
        t = trace(model, text)
        np.testing.assert_array_equal(t["vector"], model.encode(text))
        if text:
            assert list(t)[:3] == ["embeddings.word", "embeddings.sum", "embeddings"] and t.verify() == len(t)


def test_the_file_holds_all(tiny_checkpoint, tmp_path):
    t = trace(load(tiny_checkpoint), TEXTS[0])
    t.save(tmp_path / "t.safetensors")
    with safe_open(tmp_path / "t.safetensors", "numpy") as file:
        assert set(file.keys()) == set(t)
        for name in t:
            np.testing.assert_array_equal(file.get_tensor(name), t[name])
        facts = file.metadata()
    assert json.loads(facts["text"]) == TEXTS[0] and tuple(json.loads(facts["pieces"])) == t.pieces
    assert json.loads(facts["formulas"])["layer.0.context"] == t.steps["layer.0.context"].formula


@pytest.mark.parametrize("name", ["bert", "modernbert", "gemma3_text", "electra"])
def test_every_source_is_the_line_that_computes(tmp_path, name):
    t = trace(load(goldens.write_checkpoint(goldens.read(name), tmp_path / "model")), TEXTS[0])
    for step in t.steps.values():
        file, line = step.source.split(":")
        text = (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1]
        part = re.sub(r"^layer\.\d+\.", "", step.name)
        word = re.sub(r"^layer\.\d+$", "layer.{i}", part)
        function = {"pooled": "def pool(", "vector": "def truncate"}.get(word, word)
        assert function in text or fnmatch.fnmatch(step.name, "module.*"), (step.name, text)
    assert t.table().count("\n") == len(t) - 1 and "layer.0.qkv" in t.table()


@pytest.mark.weights
def test_the_real_model(minilm):
    text = "A cat sat on the mat."
    t = trace(minilm, text)
    assert t.pieces == ("[CLS]", "a", "cat", "sat", "on", "the", "mat", ".", "[SEP]")
    assert t.special.tolist() == [True, *[False] * 7, True] and t.verify() == len(t) == 98
    np.testing.assert_array_equal(t["vector"], minilm.encode(text))
