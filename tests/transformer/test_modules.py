"""The modules behind the pooling: the numbers of sentence-transformers, old spelling and new; anything else by name."""

import hashlib
import json
import math
import shutil

import numpy as np
import pytest
from examples import thinned
from faults import assert_same
from module_cases import CUTS, DENSE, FILES, STACKS, TEXTS, WIDTH, dense, module_tensors, write_case, write_stored
from places import GOLDENS_FOLDER
from safetensors.numpy import load_file, save_file
from tiny import write_int8, write_json

from minembed import Embedder
from minembed.errors import ConfigError, UnsupportedModelError, WeightsError
from minembed.transformer.modules import ACTIVATIONS, Dense, LayerNorm, Normalize, transform
from minembed.transformer.params import Linear
from minembed.weights.directory import read_checkpoint
from minembed.weights.modules import from_tensors, read_module_params, to_tensors
from minembed.weights.sources.cache import shortcoming

GOLDENS = {file: np.load(GOLDENS_FOLDER / "modules" / f"{file}.npz") for file in FILES}
NAMED = [(file, name) for file, cases in FILES.items() for name in cases]
CLOSE = 2e-6  # of the largest number, or of 1


def assert_golden(folder, file, name, backend):
    case, golden = FILES[file][name], GOLDENS[file]
    model = Embedder.load(folder, backend=backend, threads=1)
    for i, (method, options) in enumerate(case.calls):
        expected = golden[f"{name}/{i}"]
        # None would normalise again what a checkpoint that normalises has cut
        options = {"normalize_embeddings": False} | options
        vectors = getattr(model, method)(TEXTS, truncation="silent", **options)
        assert vectors.dtype == np.float32 and vectors.shape == expected.shape
        np.testing.assert_allclose(vectors, expected, rtol=0, atol=CLOSE * max(1, abs(expected).max()))


def test_the_texts_are_those_of_the_goldens():
    for golden in GOLDENS.values():
        about = json.loads(str(golden["about"]))
        assert about["texts_sha256"] == hashlib.sha256(json.dumps(TEXTS).encode()).hexdigest()


@pytest.mark.parametrize(("file", "name"), thinned(NAMED, 2))
def test_old_spelling(tmp_path, tier, file, name):
    assert_golden(write_case(tmp_path / "old", FILES[file][name]), file, name, tier)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_new_spelling(tmp_path, file, name):
    assert_golden(write_stored(tmp_path / "new", GOLDENS[file], name), file, name, "numpy")


def test_both_spellings_are_one_checkpoint(tmp_path):
    for file, name in NAMED:
        old = read_checkpoint(write_case(tmp_path / file / name / "old", FILES[file][name]))
        new = read_checkpoint(write_stored(tmp_path / file / name / "new", GOLDENS[file], name))
        for field in (
            "pooling",
            "include_prompt",
            "modules",
            "normalize",
            "dimension",
            "max_seq_length",
            "truncate_dim",
        ):
            assert getattr(old, field) == getattr(new, field), (name, field)


def test_what_a_cut_of_normalised_vectors_means(tmp_path):
    """None normalises again, and True and False are what sentence-transformers does."""
    model = Embedder.load(write_case(tmp_path / "x", STACKS["matryoshka"]))
    assert model.checkpoint.normalize
    for i, (_, options) in enumerate(CUTS):
        if options["truncate_dim"]:
            expected = GOLDENS["stacks"][f"matryoshka/{i}"]
            lengths = np.linalg.norm(expected, axis=1, keepdims=True)
            cut = model.encode(TEXTS, truncate_dim=8, truncation="silent")
            np.testing.assert_allclose(cut, expected / lengths, rtol=0, atol=CLOSE)


# ---- bits ----


@pytest.fixture(params=[*ACTIVATIONS, "residual", "layer norm", "normalize"])
def module(request):
    """Each kind of module with its weights, of odd widths."""
    rng, kind = np.random.default_rng(3), request.param
    if kind == "normalize":
        return Normalize(), None
    made = LayerNorm("x", 35) if kind == "layer norm" else Dense("x", 35, 37, kind)
    if kind == "residual":
        made = Dense("x", 35, 37, "Tanh", use_residual=True)
    settings = {"dimension": 35, "in_features": 35, "out_features": 37, "bias": True, "use_residual": True}
    tensors = module_tensors(type(made).__name__, settings, seed=rng.integers(9))
    if kind != "residual":
        tensors.pop("residual.weight", None)
    return made, from_tensors(made, tensors)


def test_a_row_has_the_same_bits_in_any_batch(module):
    x = (3 * np.random.default_rng(4).standard_normal((67, 35))).astype(np.float32)
    whole = transform(x, [module[0]], [module[1]])
    assert whole.dtype == np.float32
    for n in (1, 2, 3, 5, 16, 33):
        for start in (0, 1, 30, 67 - n):
            part = transform(x[start : start + n].copy(), [module[0]], [module[1]])
            np.testing.assert_array_equal(part, whole[start : start + n])


def test_a_text_has_the_same_bits_in_any_batch(tmp_path, tier):
    model = Embedder.load(write_case(tmp_path / "x", STACKS["everything"]), backend=tier)
    whole = model.encode(TEXTS, truncation="silent")
    for size in (1, 3, 7):
        np.testing.assert_array_equal(model.encode(TEXTS, batch_size=size, truncation="silent"), whole)
    np.testing.assert_array_equal(np.stack([model.encode(t, truncation="silent") for t in TEXTS]), whole)


EXACT = {
    "Identity": lambda x: x,
    "Tanh": math.tanh,
    "ReLU": lambda x: max(x, 0.0),
    "GELU": lambda x: x * math.erfc(-x / math.sqrt(2)) / 2,
    "SiLU": lambda x: x / (1 + math.exp(-x)),
    "Sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "LeakyReLU": lambda x: x if x > 0 else 0.01 * x,
    "ReLU6": lambda x: min(max(x, 0.0), 6.0),
    "ELU": lambda x: x if x > 0 else math.expm1(x),
    "SELU": lambda x: 1.0507009873554805 * (x if x > 0 else 1.6732632423543772 * math.expm1(x)),
    "Mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "Softplus": lambda x: math.log1p(math.exp(x)),
    "Softsign": lambda x: x / (1 + abs(x)),
    "Hardtanh": lambda x: min(max(x, -1.0), 1.0),
}


def test_activations():
    """Within a few units in the last place of float32, from -80 to 80."""
    x = np.concatenate([np.linspace(-80, 80, 4001), np.linspace(-1e-3, 1e-3, 201), [0.0, -0.0]]).astype(np.float32)
    assert set(ACTIVATIONS) == set(EXACT)
    for name, function in ACTIVATIONS.items():
        expected = np.array([EXACT[name](v) for v in x.tolist()])
        got = function(x.reshape(1, -1))[0]
        assert got.dtype == np.float32, name
        np.testing.assert_allclose(got, expected, rtol=1e-6, atol=3e-7, err_msg=name)


def test_the_layout_goes_both_ways():
    made = Dense("x", 3, 2, "Tanh", use_residual=True)
    tensors = module_tensors(*dense(3, 2, use_residual=True), seed=1)
    params = from_tensors(made, tensors)
    assert isinstance(params.linear, Linear) and params.linear.weight.shape == (3, 2)
    assert params.linear.weight.flags["C_CONTIGUOUS"]
    for name, tensor in to_tensors(made, params).items():
        np.testing.assert_array_equal(tensor, tensors[name])


# ---- what cannot be ----


@pytest.fixture
def folder(tmp_path):
    """A folder with Dense, LayerNorm, Normalize and Dropout."""
    return write_case(tmp_path / "model", STACKS["everything"])


def change(path, **settings):
    raw = json.loads(path.read_text()) | settings
    write_json(path, {key: value for key, value in raw.items() if value != "absent"})


def refused(folder, error, *words):
    with pytest.raises(error) as caught:
        read_module_params(folder, read_checkpoint(folder).modules)
    assert all(word in str(caught.value) for word in words), caught.value


DENSE_FOLDER = "3_Dense"
WRONG_SIZES = [0, -1, 1.5, 64.0, "64", True, [64], {}, 10**9, 2**70, None, "absent"]


@pytest.mark.parametrize("value", [63, 32, *WRONG_SIZES], ids=str)
def test_widths_that_do_not_fit(folder, value):
    change(folder / DENSE_FOLDER / "config.json", in_features=value)
    refused(folder, ConfigError, DENSE_FOLDER, "in_features")


@pytest.mark.parametrize("value", [47, *WRONG_SIZES], ids=str)
def test_widths_that_do_not_fit_what_follows(folder, value):
    change(folder / DENSE_FOLDER / "config.json", out_features=value)
    refused(folder, ConfigError, "features")


@pytest.mark.parametrize("value", [32, 65, *WRONG_SIZES], ids=str)
def test_a_layer_norm_of_another_width(folder, value):
    change(folder / "2_LayerNorm" / "config.json", dimension=value)
    refused(folder, ConfigError, "2_LayerNorm", "dimension")


STRANGE = ["torch.nn.modules.activation.RReLU", "torch.nn.modules.activation.Softmax", "torch.nn.functional.relu"]
STRANGE += ["torch.load", "torch.hub.load", "torch.nn.modules.linear.Tanh", "torch.nn.modules.activation.Identity"]
STRANGE += ["torch.nn.modules.activation.tanh", "torch.nn.modules.activation.Tanh ", "torch.", "Tanh", "", "os.system"]
STRANGE += [
    "transformers.activations.GELUActivation",
    "builtins.exec",
    "custom_st.Swish",
    "numpy.tanh",
    "torchx.nn.Tanh",
]


@pytest.mark.parametrize("name", STRANGE)
def test_activations_that_are_not_computed(folder, name):
    change(folder / DENSE_FOLDER / "config.json", activation_function=name)
    refused(folder, UnsupportedModelError, DENSE_FOLDER, "activation_function", repr(name), "Tanh, ReLU")


@pytest.mark.parametrize("value", [None, 3, True, ["torch.nn.Tanh"], {}])
def test_activations_that_are_no_name(folder, value):
    path = folder / DENSE_FOLDER / "config.json"
    write_json(path, json.loads(path.read_text()) | {"activation_function": value})
    refused(folder, ConfigError, DENSE_FOLDER, "activation_function")


def test_activations_by_their_other_name_and_by_default(tmp_path):
    plain = write_case(tmp_path / "plain", DENSE["Tanh"])
    vectors = Embedder.load(plain).encode(TEXTS, truncation="silent")
    for name in ("torch.nn.Tanh", "absent"):
        change(plain / "2_Dense" / "config.json", activation_function=name)
        np.testing.assert_array_equal(Embedder.load(plain).encode(TEXTS, truncation="silent"), vectors)


@pytest.mark.parametrize("place", ["3_Dense", "4_Normalize"])
@pytest.mark.parametrize("key", ["module_input_name", "module_output_name"])
def test_modules_of_other_features(folder, place, key):
    path = folder / place / "config.json"
    settings = json.loads(path.read_text()) if path.exists() else {}
    for harmless in (None, "sentence_embedding"):
        write_json(path, settings | {key: harmless})
        read_checkpoint(folder)
    for other in ("token_embeddings", "", 3, ["sentence_embedding"], "all_layer_embeddings"):
        write_json(path, settings | {key: other})
        refused(folder, UnsupportedModelError, place, key, repr(other))


@pytest.mark.parametrize("key", ["bias", "use_residual"])
def test_switches_that_are_none(folder, key):
    for value in ("yes", 1, [], 0.5):
        change(folder / DENSE_FOLDER / "config.json", **{key: value})
        refused(folder, ConfigError, DENSE_FOLDER, key)


TENSORS = {
    "missing": (lambda t: t.pop("linear.bias"), "linear.bias is missing"),
    "unknown": (lambda t: t.update(extra=np.zeros(1, np.float32)), "extra is unknown"),
    "not in the settings": (lambda t: t.update({"residual.weight": t["linear.weight"]}), "residual.weight is unknown"),
    "shape": (lambda t: t.update({"linear.weight": t["linear.weight"].T.copy()}), "linear.weight has shape (64, 48)"),
    "type": (lambda t: t.update({"linear.bias": t["linear.bias"].astype(np.int32)}), "I32"),
    "NaN": (lambda t: t["linear.weight"].__setitem__((3, 4), np.nan), "NaN"),
}


@pytest.mark.parametrize("fault", TENSORS)
def test_tensors_that_do_not_fit(folder, fault):
    spoil, words = TENSORS[fault]
    path = folder / DENSE_FOLDER / "model.safetensors"
    tensors = {name: array.copy() for name, array in load_file(path).items()}
    spoil(tensors)
    save_file(tensors, path)
    refused(folder, WeightsError, DENSE_FOLDER, words)


@pytest.mark.parametrize("place", ["2_LayerNorm", "3_Dense"])
def test_files_that_are_missing(folder, place):
    weights = folder / place / "model.safetensors"
    assert shortcoming(folder) is None
    weights.rename(folder / place / "pytorch_model.bin")
    refused(folder, WeightsError, place, "pytorch_model.bin", "never opens", "convert")
    (folder / place / "pytorch_model.bin").unlink()
    refused(folder, WeightsError, place, "no model.safetensors")
    assert shortcoming(folder) == f"{place}/model.safetensors is missing"  # a pull that was cut short
    (folder / place / "config.json").unlink()
    refused(folder, ConfigError, place, "config.json is missing")


def test_half_precision_is_widened(folder):
    path = folder / DENSE_FOLDER / "model.safetensors"
    halves = {name: array.astype(np.float16) for name, array in load_file(path).items()}
    save_file(halves, path)
    modules = read_checkpoint(folder).modules
    params = read_module_params(folder, modules)[1]
    expected = from_tensors(modules[1], {name: array.astype(np.float32) for name, array in halves.items()})
    assert_same(params.linear, expected.linear)


def test_info_names_the_modules(folder):
    facts = Embedder.load(folder).info()
    expected = ("LayerNorm", "Dense(64 -> 48, GELU)", "Normalize", "Dense(48 -> 20, Tanh, residual)", "Normalize")
    assert facts["modules"] == (*expected, "Dense(20 -> 7, Identity)")
    assert facts["dimension"] == 7 and json.dumps(facts)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
def test_modules_stay_in_single_precision(folder, tmp_path, tier, dtype):
    """Of a folder that `minembed quantize` made, too."""
    expected = Embedder.load(folder, backend=tier, dtype=dtype).encode(TEXTS, truncation="silent")
    single = Embedder.load(folder, backend=tier).encode(TEXTS, truncation="silent")
    assert 0 < abs(expected - single).max() < 0.1
    if dtype == "int8":
        stored = Embedder.load(write_int8(folder, tmp_path / "int8"), backend=tier)
        np.testing.assert_array_equal(stored.encode(TEXTS, truncation="silent"), expected)


def test_a_folder_in_a_folder(folder, tmp_path):
    """The modules stand beside modules.json, wherever the transformer is."""
    vectors = Embedder.load(folder).encode(TEXTS, truncation="silent")
    inside = folder / "0_Transformer"
    inside.mkdir()
    for path in list(folder.iterdir()):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            shutil.move(path, inside)
    entries = json.loads((folder / "modules.json").read_text())
    entries[0]["path"] = "0_Transformer"
    write_json(folder / "modules.json", entries)
    model = Embedder.load(folder)
    assert model.checkpoint.root == folder and model.checkpoint.folder == inside
    np.testing.assert_array_equal(model.encode(TEXTS, truncation="silent"), vectors)
    assert WIDTH == model.config.hidden_size
