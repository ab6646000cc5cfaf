"""Observing, and editing, what a model computes; the parameters it computes with; and what every tier must have."""

import ast
import copy
import dataclasses
import logging
import pickle
import shutil
import warnings
from functools import partial

import numpy as np
import pytest
import static_cases
from places import ROOT
from safetensors.numpy import load_file, save_file
from tiers import TIERS

from minembed import Embedder, MinembedError
from minembed.errors import BackendWarning, InputError, NumericalError
from minembed.runtime import backend
from minembed.runtime.threads import single_threaded_blas
from minembed.train.model import Trainee
from minembed.transformer.encoder import encode
from minembed.transformer.params import tree_map
from minembed.transformer.quantization import lower
from minembed.transformer.tier import OPERATIONS, Tier
from minembed.weights.families import read_params

DTYPES = ["float32", "bfloat16", "int8"]
TEXTS = ["a cat and a dog", "the river", "unbelievable bread in the oven"]
STEPS = ["qkv", "context", "attention", "attention.sum", "attention_norm"]
STEPS += ["intermediate", "activated", "feed_forward", "feed_forward.sum"]
NAMES = ["embeddings.word", "embeddings.position", "embeddings.token_type", "embeddings.sum", "embeddings"]
NAMES += [f"layer.{i}{step}" for i in range(2) for step in (*(f".{s}" for s in STEPS), "")]


def load(folder, tier, dtype="float32", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)  # numbers of bfloat16 and int8 may be emulated
        return Embedder.load(folder, backend=tier, dtype=dtype, **options)


def leaves(tree):
    found = []
    tree_map(lambda array: found.append(array) or array, tree)
    return found


def same_trees(a, b):
    a, b = leaves(a), leaves(b)
    return len(a) == len(b) and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def without_attention(name, x):
    return np.zeros_like(x) if name == "layer.1.attention" else None


def moved(name, x):
    return x + np.arange(x.shape[1], dtype=np.float32) / 8 if name == "embeddings" else None


def doubled(name, x):
    return 2.0 * x.astype(np.float64) if name == "layer.0.intermediate" else None


def last_layer(name, x):
    return x[:, ::-1] if name == "layer.1" else None


# ---- the observer ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_tier_shows_every_step(tiny_checkpoint, tier, dtype):
    model, reference, seen = load(tiny_checkpoint, tier, dtype), load(tiny_checkpoint, "numpy", dtype), {}
    tokens = model.tokenize(TEXTS)
    hidden = model.forward(tokens, observe=lambda name, x: seen.update({name: x.copy()}))
    assert list(seen) == NAMES
    expected = {}
    with single_threaded_blas():
        params = lower(read_params(model.checkpoint), dtype)
        last = encode(tokens, params, model.config, lambda n, x: expected.update({n: x.copy()}), ops=OPERATIONS[dtype])
    for name in NAMES:
        np.testing.assert_array_equal(seen[name], expected[name], err_msg=name)
    np.testing.assert_array_equal(hidden, last)
    np.testing.assert_array_equal(hidden, reference.forward(tokens))  # whoever looks changes nothing


@pytest.mark.parametrize("edit", [without_attention, moved, doubled, last_layer], ids=lambda edit: edit.__name__)
@pytest.mark.parametrize("dtype", DTYPES)
def test_an_edit_has_the_same_bits_in_every_tier(tiny_checkpoint, dtype, edit):
    found = []
    for tier in TIERS:
        model = load(tiny_checkpoint, tier, dtype)
        tokens = model.tokenize(TEXTS)
        found.append(model.forward(tokens, observe=edit))
        assert np.abs(found[-1] - model.forward(tokens)).max() > 0.01
        kept = load(tiny_checkpoint, tier, dtype, keep_params=True)
        np.testing.assert_array_equal(kept.forward(tokens, observe=edit), found[0])
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_an_edit_is_what_the_formula_gives(tiny_checkpoint, tier):
    model = load(tiny_checkpoint, tier)
    tokens, params = model.tokenize(TEXTS), model.params
    silent = dataclasses.replace(
        params.layers[1].attention_output,
        weight=np.zeros_like(params.layers[1].attention_output.weight),
        bias=np.zeros_like(params.layers[1].attention_output.bias),
    )
    layers = params.layers[0], dataclasses.replace(params.layers[1], attention_output=silent)
    with single_threaded_blas():
        expected = encode(tokens, dataclasses.replace(params, layers=layers), model.config)
    np.testing.assert_array_equal(model.forward(tokens, observe=without_attention), expected)


def test_it_is_told_that_numpy_computes(tiny_checkpoint, tier, caplog):
    model = load(tiny_checkpoint, tier)
    with caplog.at_level(logging.INFO, logger="minembed"), warnings.catch_warnings():
        warnings.simplefilter("error")
        model.forward(model.tokenize(TEXTS), observe=lambda name, x: None)
    told = [(record.levelno, record.getMessage()) for record in caplog.records]
    if tier == "numpy":
        assert not told
    else:
        assert {level for level, _ in told} == {logging.INFO}
        assert "keep_params=True" in told[0][1] and "NumPy tier" in told[1][1]


def test_the_observer_cannot_change_what_it_is_given(tiny_model):
    def careless(name, x):
        x += 1

    with pytest.raises(ValueError, match="read-only"):
        tiny_model.forward(tiny_model.tokenize(TEXTS), observe=careless)


def test_what_the_observer_returns_stays_as_it_is(tiny_model):
    tokens = tiny_model.tokenize(TEXTS)
    expected, kept = tiny_model.forward(tokens, observe=lambda name, x: None), {}

    def again(name, x):
        kept[name] = x.copy()
        return kept[name]

    np.testing.assert_array_equal(tiny_model.forward(tokens, observe=again), expected)
    before = {name: array.copy() for name, array in kept.items()}
    np.testing.assert_array_equal(tiny_model.forward(tokens, observe=lambda name, x: kept[name]), expected)
    np.testing.assert_array_equal(tiny_model.forward(tokens, observe=lambda name, x: x), expected)
    assert all(np.array_equal(kept[name], array) for name, array in before.items())


@pytest.mark.parametrize(
    ("given", "said"),
    [(np.zeros((2, 3)), r"float64 of shape \(2, 3\)"), ([1.0], "list"), (1.0, "float"), ("x", "str")],
    ids=str,
)
def test_what_does_not_fit_is_refused(tiny_model, given, said):
    tokens = tiny_model.tokenize("a cat")
    with pytest.raises(InputError, match=rf"observe returned {said} for 'layer.0.context': .* shape \(4, 32\)"):
        tiny_model.forward(tokens, observe=lambda name, x: given if name == "layer.0.context" else None)
    with pytest.raises(InputError, match="<U1"):
        tiny_model.forward(tokens, observe=lambda name, x: np.full(x.shape, "a"))
    with pytest.raises(LookupError, match="from the observer"):
        tiny_model.forward(tokens, observe=_raises)


def _raises(name, x):
    raise LookupError("from the observer")


def test_nan_is_refused(tiny_model):
    def spoil(name, x):
        x = x.copy()
        x[-1, 0] = np.nan
        return x

    with pytest.raises(NumericalError, match=r"texts\[2\] .* observe"):
        tiny_model.forward(tiny_model.tokenize(TEXTS), observe=spoil)


def test_no_text(tiny_checkpoint, tier):
    model, seen = load(tiny_checkpoint, tier), []
    hidden = model.forward(model.tokenize([]), observe=lambda name, x: seen.append(name))
    assert hidden.shape == (0, 32) and hidden.dtype == np.float32 and not seen


def test_static_embeddings(tmp_path):
    folder = static_cases.write_static(tmp_path / "model", next(iter(static_cases.STATIC)))
    model, seen = Embedder.load(folder), {}
    tokens = model.tokenize(["hello world", "", "x"])
    rows = model.forward(tokens, observe=lambda name, x: seen.update({name: x.copy()}))
    assert list(seen) == ["embeddings.word", "embeddings.sum", "embeddings"]
    np.testing.assert_array_equal(rows, model.params.embeddings.word[tokens.ids])
    np.testing.assert_array_equal(rows, model.forward(tokens))
    np.testing.assert_array_equal(model.forward(tokens, observe=lambda name, x: -x), -rows)  # three times
    assert model.params.layers == () and model.engine.compute.reference is model.engine.compute


@pytest.mark.parametrize("gone", [False, True])
def test_the_layer_that_overflows_is_named_while_the_files_are_there(tiny_checkpoint, tmp_path, tier, gone):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    tensors = load_file(folder / "model.safetensors")
    tensors["encoder.layer.1.output.LayerNorm.weight"][:] = 3e38
    save_file(tensors, folder / "model.safetensors")
    model = load(folder, tier)
    if gone:
        shutil.rmtree(folder)
    where = "" if gone and tier != "numpy" else ", first in layer.1"
    with pytest.raises(NumericalError, match=rf"^texts\[0\] gives NaN or infinity{where}: the weights overflow"):
        model.encode(TEXTS[:1])


# ---- model.params ----


@pytest.mark.parametrize("keep_params", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
def test_params_are_those_of_the_numpy_tier(tiny_checkpoint, tier, dtype, keep_params):
    model = load(tiny_checkpoint, tier, dtype, keep_params=keep_params)
    expected = lower(read_params(model.checkpoint), dtype)
    assert same_trees(model.params, expected)
    held = tier == "numpy" or keep_params
    assert (model.params is model.params) == held
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert same_trees(other.params, expected) and (other.params is other.params) == held


def test_kept_params_need_no_files(tiny_checkpoint, tmp_path, tier):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "model")
    models = [load(folder, tier, keep_params=keep) for keep in (False, True)]
    expected, tokens = models[0].params, models[0].tokenize(TEXTS)
    shutil.rmtree(folder)
    assert same_trees(models[1].params, expected)
    models[1].forward(tokens, observe=moved)
    if tier != "numpy":
        with pytest.raises(MinembedError, match="model"):
            _ = models[0].params
        with pytest.raises(MinembedError, match="model"):
            models[0].forward(tokens, observe=moved)


def test_params_after_training_are_the_trained_ones(tiny_checkpoint, tier):
    trainee = Trainee.load(tiny_checkpoint)
    trainee.weights.encoder.layers[0].qkv.weight[...] *= 2
    model, before = trainee.embedder(tier), load(tiny_checkpoint, tier)
    assert model.backend == tier and same_trees(model.params, trainee.weights.encoder)
    assert not same_trees(model.params, before.params)
    tokens = model.tokenize(TEXTS)
    with single_threaded_blas():
        expected = encode(tokens, trainee.weights.encoder, model.config, moved)
    np.testing.assert_array_equal(model.forward(tokens, observe=moved), expected)
    trainee.weights.encoder.layers[0].qkv.weight[...] = 0  # goes on training
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).forward(tokens, observe=moved), expected)


# ---- the protocol ----


def test_every_prepared_encoder_is_a_tier(tiny_checkpoint, tmp_path, tier):
    model = load(tiny_checkpoint, tier)
    static = Embedder.load(static_cases.write_static(tmp_path / "model", next(iter(static_cases.STATIC))))
    for some, texts in ((model, TEXTS), (static, [*TEXTS, ""])):
        compute, tokens = some.engine.compute, some.tokenize(texts)
        assert Tier in type(compute).__mro__ and compute.dtype == some.dtype
        pooled = compute.pooled(tokens, some.checkpoint.pooling)
        np.testing.assert_array_equal(pooled, compute.pooled(tokens, some.checkpoint.pooling, together=True))
    assert model.engine.compute.shares_work == (tier != "numpy")
    for modes in (("cls",), ("lasttoken",), ("mean",), ("cls", "max")):
        own = partial(model.engine.compute.pooled, model.tokenize(TEXTS), modes)
        default = partial(Tier.pooled, model.engine.compute, model.tokenize(TEXTS), modes)
        for skipped in (0, 1):
            np.testing.assert_array_equal(own(skipped), default(skipped))


ALLOWED = {  # names that objects of other packages, or of other systems, may lack
    "getattr(numba.config, 'DISABLE_JIT', False)",
    "getattr(reference.model, 'unk_token', None)",
    "hasattr(pages, 'madvise')",
}


def test_no_ability_is_probed_for():
    probes = set()
    for folder in ("minembed/models", "minembed/transformer", "minembed/runtime/backend.py", "kernels/encoder"):
        path = ROOT / folder
        for file in [path] if path.is_file() else path.rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    if node.func.id == "hasattr" or (node.func.id == "getattr" and len(node.args) == 3):
                        probes.add(ast.unparse(node))
    assert probes == ALLOWED


def test_an_operation_that_a_backend_lacks_is_named():
    with pytest.raises(InputError, match="'training' has no backend 'numpy'; it has numba"):
        backend.resolve("training", "numpy")
