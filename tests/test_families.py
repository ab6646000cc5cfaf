"""Every checkpoint family against its reference: hidden states by stage, vectors, bits, files and refusals."""

import json
import re
import warnings

import golden_families as goldens
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from minembed import Embedder, backend
from minembed.encoder import encode
from minembed.errors import BackendWarning, UnsupportedModelError, WeightsError
from minembed.params import tree_map
from minembed.pooling import l2_normalize, pool
from minembed.threads import single_threaded_blas
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, read_params

SERVED = [name for name in goldens.NAMES if name in FAMILIES]
DTYPES = ["float32", "bfloat16", "int8"]
HIDDEN = 5e-6  # the contract, times the stage's largest |h|; torch's own float32 is 1.6e-6 away at most
VECTOR = 2e-6  # the contract
# in float64: 1e-15 each, a few layers of sums; positions that are rounded to float32 first stay 6e-8 apart, and grow
FORMULA, FORMULA_POSITIONS = 1e-12, 2e-6
# of random weights, whose vectors bend with every rounding; trained ones are held to 0.9999 and 0.999
COSINE = {"bfloat16": 0.999, "int8": 0.99}
# settings that change the mathematics into something that is not computed
REFUSED = {
    "bert": [("hidden_act", "quick_gelu"), ("position_embedding_type", "relative_key"), ("is_decoder", True)],
    "mpnet": [("hidden_act", "quick_gelu")],
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
    "modernbert": [("hidden_activation", "quick_gelu"), ("rope_scaling", {"rope_type": "yarn", "factor": 2.0})],
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
        ("rope_scaling", {"rope_type": "yarn", "factor": 4.0}),
    ],
    "gemma3_text": [("attn_logit_softcapping", 50.0), ("hidden_activation", "quick_gelu")],
}


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """The checkpoint folder of a golden, in a spelling; read it, but copy it before changing it."""
    made = {}

    def folder(name, spelling="hub"):
        if (name, spelling) not in made:
            place = tmp_path_factory.mktemp(name)
            made[name, spelling] = goldens.write_checkpoint(goldens.read(name), place, spelling)
        return made[name, spelling]

    return folder


def prepared(folder, tier, dtype):
    """The encoder of a folder on a tier, as a function that keeps BLAS on one thread as the engine does."""
    checkpoint = read_checkpoint(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)  # numbers of bfloat16 and int8 may be emulated
        found, compute = backend.prepare(tier, read_params(checkpoint), checkpoint.config, dtype)
    if found != tier:
        pytest.skip(f"{tier} does not compute {checkpoint.family}")

    def run(tokens, observe=None):
        with single_threaded_blas():
            return compute(tokens, observe=observe)

    return run


def stages_of(compute, golden):
    """Every stage of all texts by name; "final" where a norm follows the last layer."""
    stages = {}
    last = compute(goldens.tokens_of(golden), observe=lambda name, states: stages.update({name: np.array(states)}))
    names = [str(name) for name in golden["stages"]]
    if names[-1] == "final":
        stages["final"] = last
    assert list(stages) == names
    np.testing.assert_array_equal(last, stages[names[-1]])
    return stages


def distances(stages, golden):
    """The largest difference of each stage from the reference, over the rows that were kept."""
    pairs = zip(stages.values(), golden["hidden"], strict=True)
    return np.array([np.abs(got[golden["rows"]] - expected).max() for got, expected in pairs])


def vectors_of(hidden, golden):
    return l2_normalize(pool(hidden, golden["cu_seqlens"], [goldens.about(golden)["pooling"]]))


# ---- numbers ----


def test_every_family_has_a_golden():
    assert set(FAMILIES) <= set(goldens.NAMES)


@pytest.mark.parametrize("name", SERVED)
def test_hidden_states_of_every_stage(name, tier, folder_of):
    golden = goldens.read(name)
    stages = stages_of(prepared(folder_of(name), tier, "float32"), golden)
    assert {states.dtype for states in stages.values()} == {np.dtype(np.float32)}
    distance = distances(stages, golden) / golden["largest"]
    assert (distance <= HIDDEN).all(), dict(zip(stages, distance, strict=True))


@pytest.mark.parametrize("name", SERVED)
def test_the_formula_in_float64(name, folder_of):
    golden, checkpoint = goldens.read(name), read_checkpoint(folder_of(name))
    params = tree_map(lambda a: a.astype(np.float64), read_params(checkpoint))
    stages = stages_of(lambda tokens, observe: encode(tokens, params, checkpoint.config, observe), golden)
    assert {states.dtype for states in stages.values()} == {np.dtype(np.float64)}
    distance = distances(stages, golden) / golden["largest"]
    exact = checkpoint.config.position_embedding_type == "absolute"
    assert (distance <= (FORMULA if exact else FORMULA_POSITIONS)).all(), dict(zip(stages, distance, strict=True))


@pytest.mark.parametrize("name", SERVED)
def test_vectors(name, tier, folder_of):
    golden = goldens.read(name)
    got = vectors_of(prepared(folder_of(name), tier, "float32")(goldens.tokens_of(golden)), golden)
    assert np.abs(got - golden["pooled"]).max() <= VECTOR


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("name", SERVED)
def test_vectors_in_fewer_bits(name, tier, dtype, folder_of):
    golden = goldens.read(name)
    got = vectors_of(prepared(folder_of(name), tier, dtype)(goldens.tokens_of(golden)), golden)
    cosines = (got * golden["pooled"]).sum(axis=1)
    assert cosines.mean() >= COSINE[dtype], cosines


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SERVED)
def test_any_batch_gives_the_same_bits(name, tier, dtype, folder_of):
    compute, tokens = prepared(folder_of(name), tier, dtype), goldens.tokens_of(goldens.read(name))
    together = compute(tokens)
    texts = [together[a:b] for a, b in zip(tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:], strict=True)]
    everything = list(range(len(tokens)))
    batches = [[i] for i in everything] + [everything[::-1], [3, 1, 5], [6 % len(tokens), 0], [2, 2, 4, 2]]
    for batch in batches:
        got = compute(tokens.select(batch))
        np.testing.assert_array_equal(got, np.concatenate([texts[i] for i in batch]))


@pytest.mark.parametrize("name", SERVED)
def test_the_whole_way(name, tier, folder_of):
    golden = goldens.read(name)
    texts = ["the cat", "", "un believ able rain, and more of it " * 3, "test [PAD] [UNK] test"]
    compute = prepared(folder_of(name), tier, "float32")
    vectors = {s: Embedder.load(folder_of(name, s), backend=tier).encode(texts) for s in goldens.spellings(golden)}
    model = Embedder.load(folder_of(name), backend=tier)
    tokens = model.tokenize(texts)
    expected = l2_normalize(pool(compute(tokens), tokens.cu_seqlens, [goldens.about(golden)["pooling"]]))
    np.testing.assert_array_equal(vectors["hub"], expected)
    assert len(np.unique(vectors["hub"].round(3), axis=0)) == len(texts)
    for got in vectors.values():  # spellings of one number may differ in a rounding
        np.testing.assert_allclose(got, expected, rtol=0, atol=VECTOR)


# ---- files ----


@pytest.mark.parametrize("name", [name for name in SERVED if name != "new"])  # transformers has other words for NTK
def test_both_spellings_are_one_architecture(name, folder_of):
    configs = [read_checkpoint(folder_of(name, s)).config for s in goldens.spellings(goldens.read(name))]
    assert len(set(configs)) == 1, configs


def changed(name, tmp_path, **tensors):
    """The parameters of a golden's folder in which some tensors were replaced (None: removed)."""
    return read_params(read_checkpoint(goldens.write_checkpoint(goldens.read(name), tmp_path, tensors=tensors)))


@pytest.mark.parametrize("name", SERVED)
def test_each_tensor_missing_or_misshapen_in_turn(name, tmp_path, folder_of):
    folder = goldens.write_checkpoint(goldens.read(name), tmp_path)
    tensors = load_file(folder / "model.safetensors")
    for stored, array in tensors.items():
        rest = {other: tensor for other, tensor in tensors.items() if other != stored}
        longer = np.concatenate([array, array])
        for faulty, message in ((rest, "is missing"), (tensors | {stored: longer}, "has shape")):
            save_file(faulty, folder / "model.safetensors")
            if goldens.is_unused(stored):
                read_params(read_checkpoint(folder))
                continue
            with pytest.raises(WeightsError, match=r"1 fault") as caught:
                read_params(read_checkpoint(folder))
            assert message in str(caught.value) and stored.split(".")[-2] in str(caught.value)


@pytest.mark.parametrize("name", SERVED)
def test_tensors_that_nothing_needs_are_named(name, tmp_path):
    with pytest.raises(WeightsError, match=r"encoder\.surprise\.weight is unknown"):
        changed(name, tmp_path, **{"encoder.surprise.weight": np.ones((2, 2), np.float32)})


@pytest.mark.parametrize("name", SERVED)
def test_heads_are_left_aside(name, tmp_path, folder_of):
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
