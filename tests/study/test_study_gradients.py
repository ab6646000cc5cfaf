"""Slopes by any intermediate result: against central differences in float64, and against the trainer's own backward."""

import warnings

import golden_families as goldens
import numpy as np
import pytest
import static_cases
from examples import thinned

from minembed import Embedder
from minembed.errors import BackendWarning, InputError, NumericalError
from minembed.study import backward, grad, rules, trace
from minembed.study.running import compute, widened
from minembed.train.backward.tape import Tape
from minembed.train.backward.vjp import Backward, Pass, encode_vjp
from minembed.train.backward.vjp_vectors import l2_normalize_vjp, pool_vjp
from minembed.transformer.encoder import encode
from minembed.transformer.operations import NUMPY
from minembed.weights.families import FAMILIES

TEXT = "a cat and"
SERVED = [name for name in goldens.NAMES if goldens.family_of(name) in FAMILIES]


def load(folder, dtype="float32"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        return Embedder.load(folder, backend="numpy", dtype=dtype)


def golden(name, folder):
    return load(goldens.write_checkpoint(goldens.read(name), folder))


def number(model, seed=1):
    return np.random.default_rng(seed).standard_normal(model.dimension)


@pytest.mark.parametrize("name", thinned(SERVED, 4))
def test_slopes_are_those_of_central_differences(name, tmp_path):
    model = golden(name, tmp_path / "m")
    found = grad(model, number(model), TEXT, ["embeddings.word", "layer.0.scores"], check=True)
    # differences in float64 with a step of 1e-5 are exact to some 1e-10 over the step's root: 1e-7 is far from it
    assert max(found.off.values()) < 1e-7 and all(np.abs(found[n]).max() > 0 for n in found)


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_slopes_by_everything(name, tmp_path):
    model = golden(name, tmp_path / "m")
    t = trace(model, TEXT)
    found = grad(model, number(model), TEXT, t, check=True)
    assert list(found) == list(t) and max(found.off.values()) < 1e-6
    assert all(found[n].shape == t[n].shape and found[n].dtype == np.float32 for n in t)


def test_every_kind_of_step_has_a_way_back():
    kinds = {kind for kind in vars(rules).values() if isinstance(kind, type) and kind.__module__ == rules.__name__}
    assert kinds - {rules.Rows} <= set(backward.VJPS)


def test_slopes_of_words_are_those_that_train_them(tiny_checkpoint):
    model = load(tiny_checkpoint)
    dy = number(model).astype(np.float32)[None]
    tokens, params, config = model.tokenize(TEXT), model.params, model.config
    tape = Tape()
    hidden = encode(tokens, params, config, tape, tape.watch(NUMPY))
    pooled = hidden.mean(axis=0, keepdims=True)
    dhidden = pool_vjp(hidden, tokens.cu_seqlens, ["mean"], 0, l2_normalize_vjp(pooled, dy))
    patterns = model.engine.reference().patterns
    trained = encode_vjp(params, patterns, Pass(tokens, config, NUMPY, Backward(), tape), dhidden).embeddings.word
    found = grad(model, dy[0], TEXT)["embeddings.word"]
    for i, row in zip(trained.indices, trained.values, strict=True):
        # float32, and another order of sums
        np.testing.assert_allclose(found[tokens.ids == i].sum(axis=0), row, atol=1e-5 * np.abs(found).max())


def test_a_function_gives_number_and_slope(tiny_checkpoint):
    model = load(tiny_checkpoint)

    def length(y):
        return float((y * y).sum()), 2 * y

    found = grad(model, length, TEXT, "layer.0.context", of="layer.0.attention", check=True)
    t = trace(model, TEXT)
    W = model.params.layers[0].attention_output.weight
    np.testing.assert_allclose(found["layer.0.context"], 2 * t["layer.0.attention"] @ W.T, rtol=1e-5, atol=1e-6)
    assert found.value == pytest.approx(float((t["layer.0.attention"] ** 2).sum()))
    later = grad(model, length, TEXT, ["layer.1", "layer.0.qkv"], of="layer.0.attention", check=True)
    assert list(later) == ["layer.0.qkv", "layer.1"] and not later["layer.1"].any()
    assert not found["layer.0.context"].flags.writeable


def test_a_window_and_shared_keys_have_slopes(tmp_path):
    for name in ("modernbert", "gemma3_text", "qwen3"):
        model = golden(name, tmp_path / name)
        text = "a cat and a dog in the river"
        found = grad(model, number(model), text, "layer.0.scores", check=True)
        scores = trace(model, text)["layer.0.scores"]
        assert not found["layer.0.scores"][np.isneginf(scores)].any()


def test_static_models(tmp_path):
    model = load(static_cases.write_static(tmp_path / "m", next(iter(static_cases.STATIC))))
    found = grad(model, number(model), "hello world", check=True)
    assert np.abs(found["embeddings.word"]).max() > 0
    assert grad(model, number(model), "")["embeddings.word"].shape == (0, model.dimension)


def test_a_wrong_way_back_is_found(tiny_checkpoint, monkeypatch):
    model = load(tiny_checkpoint)
    right = backward.VJPS[rules.Softmax]
    monkeypatch.setitem(backward.VJPS, rules.Softmax, lambda rule, y, dy, x: (right(rule, y, dy, x)[0] * 1.01,))
    with pytest.raises(NumericalError, match=r"layer\.1\.scores are off from central differences by 9.9e-03"):
        grad(model, number(model), TEXT, "layer.1.scores", check=True)


def test_what_has_no_slopes_is_refused(tiny_checkpoint):
    model = load(tiny_checkpoint)
    for dtype in ("int8", "bfloat16"):
        with pytest.raises(InputError, match=f"computes in {dtype}, and rounding has no slopes"):
            grad(load(tiny_checkpoint, dtype), number(model), TEXT)
    with pytest.raises(InputError, match=r"of the shape .* \(32,\), not \(3,\)"):
        grad(model, np.ones(3), TEXT)
    with pytest.raises(KeyError, match=r"does not exist; there is layer\.0\.qkv"):
        grad(model, number(model), TEXT, "layer.7.qkv")


def test_float64_computes_the_same_steps(tiny_checkpoint):
    t = trace(load(tiny_checkpoint), TEXT)
    wide = compute(widened(t.steps), {})
    assert list(wide) == list(t) and {x.dtype for x in wide.values()} == {np.dtype(np.float64)}
    np.testing.assert_allclose(wide["vector"], t["vector"], atol=2e-6)  # the contract of float32
