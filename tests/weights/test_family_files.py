"""The files of every checkpoint family: both spellings of config.json, tensors by any name, faults and refusals."""

import json
import re

import examples
import golden_families as goldens
import numpy as np
import pytest
from faults import assert_same
from safetensors.numpy import load_file, save_file

from minembed.errors import UnsupportedModelError, WeightsError
from minembed.transformer.params import tree_map
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, read_params

SERVED = [name for name in goldens.NAMES if goldens.family_of(name) in FAMILIES]
# settings that change the mathematics into something that is not computed
REFUSED = {
    "bert": [("hidden_act", "quick_gelu"), ("position_embedding_type", "relative_key"), ("is_decoder", True)],
    "mpnet": [("hidden_act", "quick_gelu"), ("relative_attention_num_buckets", 48)],
    "roberta": [("hidden_act", "quick_gelu"), ("position_embedding_type", "relative_key_query")],
    "xlm-roberta": [("position_embedding_type", "relative_key"), ("is_decoder", True)],
    "camembert": [("position_embedding_type", "relative_key")],
    "distilbert": [("activation", "quick_gelu")],
    "electra": [("hidden_act", "quick_gelu"), ("position_embedding_type", "relative_key")],
    "albert": [("hidden_act", "quick_gelu"), ("num_hidden_groups", 3), ("inner_group_num", 2)],
    "nomic_bert": [
        ("activation_function", "quick_gelu"),
        ("rotary_emb_fraction", 0.5),
        ("rotary_emb_interleaved", True),
        ("rotary_emb_scale_base", 512.0),
        ("parallel_block", True),
        ("scale_attn_by_inverse_layer_idx", True),
    ],
    "modernbert": [
        ("hidden_activation", "quick_gelu"),
        ("rope_scaling", {"rope_type": "yarn", "factor": 2.0}),
        ("rope_parameters", {"full_attention": {"rope_type": "yarn", "rope_theta": 1e4, "factor": 2.0}}),
        ("layer_types", ["full_attention", "full_attention", "sliding_attention", "full_attention", "full_attention"]),
    ],
    "new": [
        ("hidden_act", "quick_gelu"),
        ("rope_scaling", {"type": "yarn", "factor": 2.0}),
        ("rope_scaling", {"type": "ntk", "factor": 8.0, "mixed_b": 0.6}),
        ("logn_attention_scale", True),
        ("position_embedding_type", "relative_key"),
    ],
    "jina_bert": [("hidden_act", "quick_gelu"), ("feed_forward_type", "mystery")],
    "qwen3": [
        ("hidden_act", "quick_gelu"),
        ("use_sliding_window", True),
        ("layer_types", ["full_attention", "sliding_attention", "full_attention"]),
        ("rope_parameters", {"rope_type": "yarn", "rope_theta": 1e6, "factor": 4.0}),
        ("rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
    ],
    "gemma3_text": [
        ("attn_logit_softcapping", 50.0),
        ("hidden_activation", "quick_gelu"),
        ("use_bidirectional_attention", False),
        ("layer_types", ["sliding_attention", "full_attention", "full_attention", "sliding_attention"]),
        ("layer_types", ["sliding_attention", "sliding_attention", "full_attention"]),
        ("rope_scaling", {"rope_type": "linear", "factor": 8.0}),
    ],
}
# what stands in front of all names in some checkpoints of a family
PREFIXES = {
    "bert": ["", "bert."],
    "mpnet": ["", "mpnet."],
    "roberta": ["", "roberta."],
    "xlm-roberta": ["", "roberta."],
    "camembert": ["", "roberta."],
    "distilbert": ["", "distilbert."],
    "electra": ["", "electra."],
    "albert": ["", "albert."],
    "nomic_bert": ["", "bert."],
    "modernbert": ["", "model."],
    "new": ["", "new."],
    "gte": ["", "new."],
    "jina_bert": ["", "bert."],
    "qwen3": ["", "model."],
    "gemma3_text": ["", "model."],
}


@pytest.mark.parametrize("name", SERVED)
def test_both_spellings_are_one_architecture(name, tmp_path):
    golden = goldens.read(name)
    folders = [goldens.write_checkpoint(golden, tmp_path / s, s) for s in goldens.spellings(golden)]
    configs = [read_checkpoint(folder).config for folder in folders]
    assert len(set(configs)) == 1, configs


def changed(name, tmp_path, **tensors):
    """The parameters of a golden's folder in which some tensors were replaced (None: removed)."""
    return read_params(read_checkpoint(goldens.write_checkpoint(goldens.read(name), tmp_path, tensors=tensors)))


@pytest.mark.fuzz
@pytest.mark.parametrize("name", SERVED)
def test_each_tensor_missing_or_misshapen_in_turn(name, tmp_path):
    folder = goldens.write_checkpoint(goldens.read(name), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    for i, (stored, array) in enumerate(tensors.items()):
        rest = {other: tensor for other, tensor in tensors.items() if other != stored}
        longer = np.concatenate([array, array])
        faults = (rest, "is missing"), (tensors | {stored: longer}, "has shape")
        for faulty, message in faults if examples.FULL else faults[i % 2 :][:1]:
            save_file(faulty, folder / "model.safetensors")
            if goldens.is_unused(stored):
                read_params(read_checkpoint(folder))
                continue
            with pytest.raises(WeightsError, match=r"1 fault") as caught:
                read_params(read_checkpoint(folder))
            assert message in str(caught.value) and stored.split(".")[-2] in str(caught.value)


@pytest.mark.parametrize("name", SERVED)
def test_prefixes(name, tmp_path):
    expected = changed(name, tmp_path)
    tensors = goldens.tensors_of(goldens.read(name))
    own = next((p for p in PREFIXES[goldens.family_of(name)] if p and any(n.startswith(p) for n in tensors)), "")
    for prefix in [*PREFIXES[goldens.family_of(name)], "auto_model.", "0.auto_model."]:
        renamed = {re.sub(f"^{re.escape(own)}", prefix, n): a for n, a in tensors.items() if not goldens.is_unused(n)}
        params = changed(name, tmp_path, **dict.fromkeys(tensors) | renamed)
        assert_same(params, expected)


@pytest.mark.parametrize("name", SERVED)
def test_tensors_that_nothing_needs_are_named(name, tmp_path):
    with pytest.raises(WeightsError, match=r"encoder\.surprise\.weight is unknown"):
        changed(name, tmp_path, **{"encoder.surprise.weight": np.ones((2, 2), np.float32)})


@pytest.mark.parametrize("name", SERVED)
def test_heads_are_left_aside(name, tmp_path):
    tensors = goldens.tensors_of(goldens.read(name))
    unused = {n: np.full_like(a, np.nan) for n, a in tensors.items() if goldens.is_unused(n) and a.dtype == np.float32}
    params = changed(name, tmp_path, **unused)
    tree_map(lambda a: np.testing.assert_array_equal(np.isfinite(a), True) or a, params)


@pytest.mark.parametrize(
    ("name", "key", "value"), [(name, *setting) for name in SERVED for setting in REFUSED.get(name, [])], ids=str
)
def test_settings_that_are_not_computed(name, key, value, tmp_path):
    folder = goldens.write_checkpoint(goldens.read(name), tmp_path, config={key: value})
    with pytest.raises(UnsupportedModelError, match=re.escape(str(folder))) as caught:
        read_checkpoint(folder)
    assert key in str(caught.value) or str(value) in str(caught.value)


@pytest.mark.parametrize("name", SERVED)
def test_goldens_say_what_made_them(name):
    golden = goldens.read(name)
    about = goldens.about(golden)
    assert set(about["versions"]) >= {"torch", "transformers"}
    assert (goldens.FOLDER / f"{name}.npz").stat().st_size < 300_000
    assert all(json.loads(str(golden[f"config/{s}"]))["model_type"] for s in goldens.spellings(golden))
