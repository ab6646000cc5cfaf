"""Every checkpoint family against its reference: hidden states by stage, vectors, and the same bits in any batch."""

import dataclasses
import warnings

import golden_families as goldens
import numpy as np
import pytest
from examples import heavy, thinned
from tiers import by_layer

from minembed import Embedder
from minembed.errors import BackendWarning
from minembed.runtime import backend
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.encoder import encode
from minembed.transformer.params import tree_map
from minembed.transformer.pooling import pool
from minembed.transformer.vectors import l2_normalize
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, read_params

SERVED = [name for name in goldens.NAMES if goldens.family_of(name) in FAMILIES]
DTYPES = ["float32", "bfloat16", "int8"]
HIDDEN = 5e-6  # the contract, times the stage's largest |h|; torch's own float32 is 1.6e-6 away at most
# in float64: 1e-15 each, a few layers of sums; positions that are rounded to float32 first stay 6e-8 apart, and grow
FORMULA, FORMULA_POSITIONS = 1e-12, 2e-6
# a choice of an architecture, and another one that its golden must tell from it
CHOICES = [
    ("bert", {"hidden_act": "gelu_new"}),
    ("mpnet", {"padding_idx": None}),
    ("mpnet", {"layer_norm_eps": 1e-3}),
    ("roberta", {"padding_idx": None}),
    ("roberta", {"padding_idx": 0}),
    ("roberta+segments", {"padding_idx": 1}),
    ("camembert", {"padding_idx": None}),
    ("distilbert+relu", {"hidden_act": "gelu"}),
    ("albert", {"hidden_act": "gelu"}),
    ("nomic_bert", {"rope_theta": 10000.0}),
    ("nomic_bert", {"position_embedding_type": "absolute"}),
    ("modernbert", {"local_attention": 12}),
    ("modernbert", {"local_attention": 8}),
    ("modernbert", {"local_attention": 0}),
    ("modernbert", {"global_attn_every_n_layers": 2}),
    ("modernbert", {"local_rope_theta": 160000.0}),
    ("modernbert", {"rope_theta": 10000.0}),
    ("new", {"rope_scaling": 1.0}),
    ("new", {"rope_theta": 20000.0}),
    ("new+large", {"rope_scaling": 1.0}),
    ("gte", {"rope_theta": 160000.0}),
    ("jina_bert", {"position_embedding_type": "absolute"}),
    ("jina_bert", {"hidden_act": "relu"}),
    ("gemma3_text", {"hidden_act": "gelu"}),
    ("gemma3_text", {"local_attention": 12}),
    ("gemma3_text", {"local_attention": 8}),
    ("gemma3_text", {"first_global_layer": 0}),
    ("gemma3_text", {"global_attn_every_n_layers": 2}),
    ("gemma3_text", {"local_rope_theta": 1000000.0}),
    ("gemma3_text", {"rope_theta": 10000.0}),
    ("gemma3_text", {"causal": True}),
    ("qwen3", {"causal": False}),
    ("qwen3", {"rope_theta": 10000.0}),
]
NOTICED = 1e-4  # times the largest |h|: what telling apart means; twenty times what is allowed


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
    """The encoder of a folder on a tier, as a function that keeps BLAS on one thread as the engine does.

    Kernels show no steps: an observer gets what encoders of the first 0, 1, 2, ... layers compute.
    """
    checkpoint = read_checkpoint(folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)  # numbers of bfloat16 and int8 may be emulated
        found, compute = backend.prepare(tier, read_params(checkpoint), checkpoint.config, dtype)
    assert found == tier

    def run(tokens, observe=None):
        with single_threaded_blas():
            if observe is None or tier == "numpy":
                return compute(tokens) if observe is None else compute(tokens, observe=observe)
            for name, states in by_layer(compute, tokens).items():
                observe(name, states)
            return compute(tokens)

    return run


def stages_of(compute, golden):
    """Every stage of all texts by name; "final" where a norm follows the last layer."""
    stages = {}
    last = compute(goldens.tokens_of(golden), observe=lambda name, states: stages.update({name: np.array(states)}))
    names = [str(name) for name in golden["stages"]]
    stages = {name: states for name, states in stages.items() if name in names}
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
    assert np.abs(got - golden["pooled"]).max() <= goldens.VECTOR


@pytest.mark.parametrize("dtype", DTYPES[1:])
@pytest.mark.parametrize("name", thinned(SERVED, 2))
def test_vectors_in_fewer_bits(name, tier, dtype, folder_of):
    golden = goldens.read(name)
    got = vectors_of(prepared(folder_of(name), tier, dtype)(goldens.tokens_of(golden)), golden)
    cosines = (got * golden["pooled"]).sum(axis=1)
    assert cosines.mean() >= goldens.COSINE[dtype], cosines


FEWER = [(name, dtype) for name in SERVED for dtype in DTYPES[1:]]


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*thinned([(name, "float32") for name in SERVED], 2), *thinned(FEWER, 7)],
)
def test_any_batch_gives_the_same_bits(name, tier, dtype, folder_of):
    compute, tokens = prepared(folder_of(name), tier, dtype), goldens.tokens_of(goldens.read(name))
    together = compute(tokens)
    texts = [together[a:b] for a, b in zip(tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:], strict=True)]
    everything = list(range(len(tokens)))
    batches = [[i] for i in everything] + [everything[::-1], [3, 1, 5], [6 % len(tokens), 0], [2, 2, 4, 2]]
    for batch in batches:
        got = compute(tokens.select(batch))
        np.testing.assert_array_equal(got, np.concatenate([texts[i] for i in batch]))


@pytest.mark.parametrize("name", thinned(SERVED, 2))
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
        np.testing.assert_allclose(got, expected, rtol=0, atol=goldens.VECTOR)


TOLD = [(name, other) for name, other in CHOICES if name in SERVED]


@pytest.mark.parametrize(
    ("name", "other"), [*TOLD[::3], *heavy(x for i, x in enumerate(TOLD) if i % 3)], ids=str
)  # all when a golden is made anew: make fuzz
def test_the_golden_tells_choices_apart(name, other, folder_of):
    golden, checkpoint = goldens.read(name), read_checkpoint(folder_of(name))
    config = dataclasses.replace(checkpoint.config, **other)
    got = encode(goldens.tokens_of(golden), read_params(checkpoint), config)[golden["rows"]]
    assert np.abs(got - golden["hidden"][-1]).max() > NOTICED * golden["largest"][-1]
