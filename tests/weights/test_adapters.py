"""Adapters: LoRAs that peft saved, merged when weights are read, held to transformers and peft."""

import shutil
from functools import partial

import numpy as np
import oracle
import pytest
from adapter_cases import CASES
from click.testing import CliRunner
from examples import heavy
from faults import write_raw
from golden_adapters import read, settings_of, tensors_of, write_adapter
from golden_families import VECTOR, about, tokens_of, write_checkpoint
from golden_families import read as read_family
from tiny import write_int8, write_json

from minembed import Embedder
from minembed.cli.quantize import command
from minembed.errors import ConfigError, ModelWarning, SourceError, UnsupportedModelError, WeightsError
from minembed.train.model import Trainee
from minembed.weights import adapters
from minembed.weights.adapters import find_adapter
from minembed.weights.bases import find_here
from minembed.weights.lora import read_lora

TEXTS = ["the cat in the rain", "a dog", "bread oven test"]


def vectors(model, golden):
    """The vectors of a golden's texts, of length 1."""
    hidden = model.forward(tokens_of(golden)).astype(np.float64)
    return oracle.l2_normalize(oracle.pool(hidden, golden["cu_seqlens"], about(golden)["pooling"]))


BESIDE = ("bert+saved", "modernbert", "nomic_bert")


USUAL = ("bert+patterns", "bert+layers", "bert+embeddings", "bert+biases", "bert+masks", "gte", "gemma3_text", "mpnet")


@pytest.mark.parametrize(
    ("name", "place"),
    [
        *((name, "alone") for name in USUAL),
        *((name, "beside") for name in BESIDE),
        *heavy((name, "alone") for name in CASES if name not in USUAL),
    ],
)
def test_the_vectors_of_the_reference(name, place, tmp_path):
    golden = read_family(CASES[name].base)
    base = write_checkpoint(golden, tmp_path / "base")
    folder = base if place == "beside" else tmp_path / "adapter"
    write_adapter(read(name), folder, base)
    model = Embedder.load(folder, backend="numpy")
    np.testing.assert_allclose(vectors(model, golden), read(name)["vectors"], rtol=0, atol=VECTOR)


@pytest.fixture
def bert(tmp_path):
    """The golden BERT, and the folder of an adapter that is still to be written."""
    return write_checkpoint(read_family("bert"), tmp_path / "base"), tmp_path / "adapter"


def adapter(name, bert, settings=None, tensors=None):
    """An adapter of the golden BERT, alone in its folder."""
    return write_adapter(read(name), bert[1], bert[0], settings, tensors)


REFUSED = {  # settings that would make other vectors, or that nobody knows
    "peft_type": ("LOHA", "PROMPT_TUNING", "lora", None),
    "task_type": ("IMAGE_CLS",),
    "revision": ("v2",),
    "bias": ("some", True),
    "init_lora_weights": ("pissa", "pissa_niter_4", "olora", "loftq", "corda", "lora_ga", "mica", "what", 1),
    "use_dora": (True,),
    "use_qalora": (True,),
    "use_bdlora": ({"nblocks": 2},),
    "alora_invocation_tokens": ([1, 2],),
    "arrow_config": ({"top_k": 3},),
    "kasa_config": ({"beta": 1},),
    "monteclora_config": ({"num_samples": 8},),
    "velora_config": ({"num_groups": 64},),
    "layer_replication": ([[0, 2], [1, 3]],),
    "megatron_config": ({"x": 1},),
    "target_parameters": (["x"],),
    "trainable_token_indices": ([1, 2],),
    "ensure_weight_tying": (True,),
    "a_setting_of_next_year": (1,),
    "modules_to_save": (["classifier|pooler"],),
    "target_modules": ("(?i)query", r"(a)\1", "query(", "*", "a{3,1}"),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in REFUSED.items() for value in values])
def test_settings_that_are_refused(key, value, tmp_path):
    path = tmp_path / "adapter_config.json"
    write_json(path, settings_of(read("bert")) | {key: value})
    with pytest.raises(UnsupportedModelError, match=rf"adapter_config\.json: ({key} = |'.*' cannot be matched)"):
        read_lora(path).is_target("encoder.layer.0.attention.self.query")


MALFORMED = {
    "r": (0, -1, 2.5, "4", True, None),
    "lora_alpha": ("8", True, 1e40, None),
    "rank_pattern": ([], {"query": 0}, {"query": "2"}),
    "alpha_pattern": ({"query": None},),
    "target_modules": (None, [], {}, 5, ["query", 5]),
    "exclude_modules": (5, [5]),
    "layers_to_transform": ("1", 1.5, [True]),
    "use_rslora": (1, "yes"),
    "lora_bias": ("yes",),
    "modules_to_save": ("classifier", [5]),
    "base_model_name_or_path": (5, "", None),
}


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in MALFORMED.items() for value in values])
def test_settings_that_are_malformed(key, value, tmp_path):
    write_json(tmp_path / "adapter_config.json", settings_of(read("bert")) | {key: value})
    (tmp_path / "adapter_model.safetensors").touch()
    with pytest.raises(ConfigError, match=rf"adapter_config\.json: .*{key}"):
        find_adapter(tmp_path, find_here)


HARMLESS = {
    "lora_dropout": 0.5,
    "inference_mode": False,
    "auto_mapping": {"base_model_class": "os.system"},
    "peft_version": "9",
    "eva_config": {"rho": 2.0},
    "loftq_config": {"loftq_bits": 4},
    "megatron_core": "x",
    "fan_in_fan_out": True,
    "init_lora_weights": "eva",
    "task_type": "FEATURE_EXTRACTION",
    "a_setting_of_next_year": False,
    "use_dora": False,
    "layer_replication": [],
    "layers_to_transform": [],
    "revision": "main",
}


def test_settings_that_change_nothing(bert):
    golden = read_family("bert")
    model = Embedder.load(adapter("bert", bert, HARMLESS), backend="numpy")
    np.testing.assert_allclose(vectors(model, golden), read("bert")["vectors"], rtol=0, atol=VECTOR)


QUERY = "base_model.model.encoder.layer.1.attention.self.query"
FAULTS = {  # what is changed, and what the error says
    "missing B": ({}, {f"{QUERY}.lora_B.weight": None}, rf"{QUERY[17:]}\.lora_B\.weight is missing"),
    "missing module": (
        {},
        {f"{QUERY}.lora_B.weight": None, f"{QUERY}.lora_A.weight": None},
        rf"{QUERY[17:]} is not adapted, though target_modules names it",
    ),
    "another r": ({"r": 3}, {}, r"query\.lora_A\.weight has shape \(4, 35\), expected \(3, 35\)"),
    "another width": (
        {},
        {f"{QUERY}.lora_A.weight": np.ones((4, 36), np.float32)},
        r"has shape \(4, 36\), expected \(4, 35\)",
    ),
    "not a target": ({"target_modules": ["query"]}, {}, r"value is adapted, and is not one of target_modules"),
    "excluded": ({"exclude_modules": ["value"]}, {}, r"value is adapted, and is not one of target_modules"),
    "another layer": ({"layers_to_transform": [0, 1]}, {}, r"layer\.2.*is adapted, and is not one of target_modules"),
    "more targets": ({"target_modules": ["query", "value", "key"]}, {}, r"self\.key is not adapted, though"),
    "unknown module": (
        {},
        {"base_model.model.encoder.layer.7.query.lora_A.weight": np.ones((4, 35), np.float32)},
        r"encoder\.layer\.7\.query is unknown",
    ),
    "unknown tensor": ({}, {"base_model.model.other.weight": np.ones(3, np.float32)}, r"other\.weight is unknown"),
    "whole tensor": (
        {},
        {"base_model.model.encoder.layer.0.output.dense.bias": np.ones(35, np.float32)},
        r"encoder\.layer\.0\.output\.dense\.bias is unknown: no setting",
    ),
    "a bias of another shape": (
        {"bias": "all"},
        {"base_model.model.encoder.layer.0.output.dense.bias": np.ones(34, np.float32)},
        r"has shape \(34,\), expected \(35,\)",
    ),
    "magnitudes": (
        {},
        {f"{QUERY}.lora_magnitude_vector": np.ones(35, np.float32)},
        r"lora_magnitude_vector is unknown",
    ),
    "no bias in B": ({"lora_bias": True}, {}, r"query\.lora_B\.bias is missing"),
    "saved in full": ({"modules_to_save": ["LayerNorm"]}, {}, r"LayerNorm\.weight is missing, though modules_to_save"),
    "a name of an adapter": (
        {},
        {f"{QUERY}.lora_A.weight": None, f"{QUERY}.lora_A.default.weight": np.ones((4, 35), np.float32)},
        r"lora_A\.default\.weight is unknown",
    ),
    "NaN": ({}, {f"{QUERY}.lora_A.weight": np.full((4, 35), np.nan, np.float32)}, r"holds 140 NaN"),
    "overflow": ({"lora_alpha": 1e29}, {f"{QUERY}.lora_A.weight": np.full((4, 35), 1e30, np.float32)}, "overflows"),
    "integers": ({}, {f"{QUERY}.lora_A.weight": np.ones((4, 35), np.int32)}, "is I32"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_tensors_that_do_not_fit(name, bert):
    settings, tensors, message = FAULTS[name]
    with pytest.raises(WeightsError, match=message):
        Embedder.load(adapter("bert", bert, settings, tensors), backend="numpy")


def test_a_module_that_has_another_rank_by_its_name_in_the_encoder_alone(bert):
    """Trained inside another class, and with a pattern that means this class: the reference has another alpha."""
    with pytest.raises(WeightsError, match=r"other settings would hold for encoder\.layer\.0"):
        Embedder.load(adapter("bert+masks", bert, {"alpha_pattern": {"bert.encoder.*": 64}}), backend="numpy")


def test_an_adapter_alone_whose_base_is_not_there(bert, tmp_path):
    folder = adapter("bert", bert, {"base_model_name_or_path": str(tmp_path / "gone")})
    with pytest.raises(SourceError, match=r"adapter_config\.json: its base, base_model_name_or_path = '.*gone'"):
        Embedder.load(folder)
    folder = write_adapter(read("bert"), bert[1], bert[0], {"base_model_name_or_path": "org/gone"})
    with pytest.raises(SourceError, match=r"its base, base_model_name_or_path = 'org/gone': cannot find the model"):
        Embedder.load(folder, local_files_only=True)


def test_a_base_that_is_no_base(bert, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"its base: .*empty has no config\.json"):
        Embedder.load(adapter("bert", bert, {"base_model_name_or_path": str(tmp_path / "empty")}))
    second = shutil.copytree(adapter("bert", bert), tmp_path / "second")
    write_json(second / "adapter_config.json", settings_of(read("bert")) | {"base_model_name_or_path": str(bert[1])})
    write_adapter(read("bert"), bert[0], bert[0])
    for folder in (second, bert[1]):
        with pytest.raises(UnsupportedModelError, match="has an adapter too: merge that one first"):
            Embedder.load(folder)


def test_a_base_by_a_relative_path(bert, monkeypatch):
    monkeypatch.chdir(bert[0].parent)
    model = Embedder.load(adapter("bert", bert, {"base_model_name_or_path": "./base"}), backend="numpy")
    np.testing.assert_allclose(vectors(model, read_family("bert")), read("bert")["vectors"], rtol=0, atol=VECTOR)


def test_adapters_in_folders_of_their_own_are_named(bert):
    many = bert[0].parent / "many"
    shutil.copytree(adapter("bert", bert), many / "first")
    (many / "first" / "modules.json").rename(many / "modules.json")
    with pytest.raises(ConfigError, match=r"many has no config\.json: it has adapters in .*first; pass the folder of"):
        Embedder.load(many)


def test_a_base_in_int8_is_refused(bert, tmp_path):
    write_int8(bert[0], tmp_path / "int8")
    with pytest.raises(UnsupportedModelError, match="cannot be merged into int8 weights"):
        Embedder.load(adapter("bert", bert, {"base_model_name_or_path": str(tmp_path / "int8")}))


@pytest.mark.parametrize("place", ["alone", "beside"])
def test_everything_sees_the_merged_weights(place, bert, tmp_path):
    """What is saved, quantised and trained, and what info says; nothing that is written has an adapter any more."""
    folder = adapter("bert", bert) if place == "alone" else write_adapter(read("bert"), bert[0], bert[0])
    load = partial(Embedder.load, backend="numpy")
    model = load(folder)
    assert model.info()["adapter"] == {
        "folder": str(folder),
        "base": str(bert[0]),
        "base_source": "folder" if place == "alone" else "beside the adapter",
    }
    model.save(tmp_path / "saved")
    saved = load(tmp_path / "saved")
    assert saved.info()["adapter"] is None
    np.testing.assert_array_equal(saved.encode(TEXTS), model.encode(TEXTS))
    np.testing.assert_array_equal(saved.params.layers[1].qkv.weight, model.params.layers[1].qkv.weight)
    result = CliRunner().invoke(command, [str(folder), str(tmp_path / "int8"), "--offline"])
    assert result.exit_code == 0, result.output
    np.testing.assert_array_equal(load(tmp_path / "int8").encode(TEXTS), load(folder, dtype="int8").encode(TEXTS))
    trainee = Trainee.load(folder)
    np.testing.assert_array_equal(trainee.embedder("numpy").encode(TEXTS), model.encode(TEXTS))
    trainee.save(tmp_path / "trained")
    np.testing.assert_array_equal(load(tmp_path / "trained").encode(TEXTS), model.encode(TEXTS))
    for written in ("saved", "int8", "trained"):
        assert not [path for path in (tmp_path / written).rglob("*adapter*")]


def test_an_adapter_without_a_tokenizer_has_that_of_its_base(bert, tmp_path):
    folder = adapter("bert", bert)
    before = Embedder.load(folder, backend="numpy").encode(TEXTS)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    model = Embedder.load(folder, backend="numpy")
    np.testing.assert_array_equal(model.encode(TEXTS), before)
    model.save(tmp_path / "saved")
    np.testing.assert_array_equal(Embedder.load(tmp_path / "saved", backend="numpy").encode(TEXTS), before)
    assert CliRunner().invoke(command, [str(folder), str(tmp_path / "int8"), "--offline"]).exit_code == 0
    Embedder.load(tmp_path / "int8", backend="numpy")


def test_what_peft_writes_alone_is_pooled_by_the_mean(bert):
    """Without modules.json: as sentence-transformers does, and said aloud."""
    folder = adapter("bert", bert)
    for name in ("modules.json", "1_Pooling/config.json"):
        (folder / name).unlink()
    with pytest.warns(ModelWarning, match="has no modules.json: mean pooling"):
        model = Embedder.load(folder, backend="numpy")
    np.testing.assert_allclose(vectors(model, read_family("bert")), read("bert")["vectors"], rtol=0, atol=VECTOR)


HALVES = {  # by the dtype of a file: its bytes, and what they mean in float32
    "F16": lambda array: (array.astype("<f2").tobytes(), array.astype("<f2").astype(np.float32)),
    "BF16": lambda array: ((bits := array.view("<u4") >> 16).astype("<u2").tobytes(), (bits << 16).view(np.float32)),
}


@pytest.mark.parametrize("dtype", HALVES)
def test_float16_and_bfloat16_adapters_are_merged_in_float32(bert, dtype):
    """The same bits as from a file that holds the same numbers in float32."""
    whole = tensors_of(read("bert"))
    halves = {name: HALVES[dtype](array) for name, array in whole.items()}
    expected = vectors(
        Embedder.load(adapter("bert", bert, {}, {name: half[1] for name, half in halves.items()}), backend="numpy"),
        read_family("bert"),
    )
    stored = {name: (dtype, array.shape, halves[name][0]) for name, array in whole.items()}
    write_raw(bert[1] / "adapter_model.safetensors", stored, metadata={"format": "pt"})
    found = vectors(Embedder.load(bert[1], backend="numpy"), read_family("bert"))
    assert found.tobytes() == expected.tobytes()
    within = 2**-7 if dtype == "BF16" else 2**-10  # the last place of a half, of numbers up to 1
    np.testing.assert_allclose(found, read("bert")["vectors"], rtol=0, atol=within)
    assert abs(found - read("bert")["vectors"]).max() > 1e-7  # the files are not those of float32


def test_large_tables_are_merged_a_block_at_a_time(bert, monkeypatch):
    before = Embedder.load(adapter("bert+embeddings", bert), backend="numpy").params.embeddings.word
    monkeypatch.setattr(adapters, "BLOCK", 100)
    after = Embedder.load(bert[1], backend="numpy").params.embeddings.word
    np.testing.assert_allclose(after, before, rtol=0, atol=1e-6)
