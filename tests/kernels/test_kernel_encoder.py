"""The whole encoder on the vector units against the NumPy tier, against float64, and against itself: the same bits."""

import dataclasses

import corpus
import numpy as np
import pytest
from batchings import rebatched, texts_of, with_threads
from examples import heavy
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_encoders import DTYPES, encoder_of
from kernel_inputs import config_of, packed
from tiers import COMPILED, by_layer
from tiny import write_tiny_checkpoint

from minembed import Embedder
from minembed.kernels.encoder import tier
from minembed.kernels.encoder.selftest import random_params
from minembed.kernels.encoder.workspace import CHUNK
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.encoder import encode
from minembed.transformer.params import tree_map
from minembed.transformer.quantization import lower
from minembed.transformer.tier import OPERATIONS
from minembed.transformer.tokens import Tokens

KERNELS = COMPILED[0]  # Numba's, or, if only they are there, the native ones
# of hidden states, the largest difference from the NumPy tier, relative to the largest |h|
TIERS = {
    "float32": 1e-5,  # the contract of a layer; three layers of roundings of 6e-8 are near 2e-6
    "bfloat16": 5e-2,  # numbers on the edge of a bfloat16 (2^-8) fall to either side, three layers deep
    "int8": 1e-1,  # a level is 1/255 of what its group spans, and attention rounds to bfloat16 besides
}
NARROW = 64.0  # times NumPy's own distance from float64: LayerNorm of very few numbers is as good as a division by 0
ROUNDING = 1e-6  # of numbers near 1, ten roundings: no distance is expected to be below
FLOAT32_TIERS = 1e-6  # the contract, for vectors of the real model
MEAN_COSINE = {"bfloat16": 0.9999, "int8": 0.999}  # the contract, on ordinary sentences
LEAST_COSINE = {"bfloat16": 0.9995, "int8": 0.995}  # the contract; bfloat16's is 0.9999 and more
# mean cosine of the two tiers.  They round nearly the same numbers: what stands on an edge falls to either side.  In
# int8 a step is 1/255 of a group's range, and attention in bfloat16 moves numbers by a sixth of that, so that many
# levels differ by one; the tiers are no further from each other (0.99966) than each from float32 (0.9994).
LOWERED_TIERS = {"float32": 0.999999, "bfloat16": 0.9999, "int8": 0.9995}
SAME_FIDELITY = 1e-4  # by which the kernels' mean cosine to float32 may be below that of the NumPy tier

SETTINGS = settings(max_examples=61, deadline=None, derandomize=True, database=None)


def by_numpy(tokens, params, config, dtype, observe=None):
    with single_threaded_blas():  # as the engine does
        return encode(tokens, lower(params, dtype), config, observe, OPERATIONS[dtype])


def assert_as_numpy(config, lengths, dtype):
    params, tokens = random_params(config), packed(lengths, config)
    got = encoder_of(params, config, dtype)(tokens)
    assert got.dtype == np.float32 and got.shape == (len(tokens.ids), config.hidden_size)
    expected = by_numpy(tokens, params, config, dtype)
    assert np.abs(got - expected).max() <= TIERS[dtype] * np.abs(expected).max()


@pytest.mark.parametrize("dtype", DTYPES)
@SETTINGS
@given(
    heads=st.integers(1, 5),
    size=st.integers(8, 43),
    F=st.sampled_from([1, 2, 7, 31, 52, 64, 101, 200, 257, 300]),
    layers=st.integers(1, 3),
    lengths=st.lists(st.integers(1, 47), min_size=1, max_size=9),
)
def test_any_architecture_is_as_in_numpy(dtype, heads, size, F, layers, lengths):
    assert_as_numpy(config_of(heads, size, F, layers), lengths, dtype)


WIDTHS = [
    (2, 20, 52),
    (2, 100, 200),
    (2, 136, 300),
    (3, 21, 65),
    (5, 7, 37),
    (12, 32, 1536),
    (4, 125, 388),
    (3, 130, 999),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size", "F"), WIDTHS)
def test_widths_of_one_and_more_groups(heads, size, F, dtype):
    config = config_of(heads, size, F, 2)
    assert_as_numpy(config, [5, 12, 1, 23, 17], dtype)
    model, tokens = tier.prepare(random_params(config), config, dtype), packed([5, 12, 1, 23, 17], config)
    together = model(tokens)
    for i, (start, stop) in enumerate(zip(tokens.cu_seqlens, tokens.cu_seqlens[1:], strict=False)):
        np.testing.assert_array_equal(model(tokens.select([i])), together[start:stop])


@pytest.mark.parametrize(("heads", "size"), [(1, 1), (1, 2), (3, 1), (1, 5), (2, 3), (7, 1)])
def test_very_narrow_models(heads, size):
    config = config_of(heads, size, 3, 2)
    params, tokens = random_params(config), packed([1, 2, 7, 13], config)
    exact = encode(tokens, tree_map(lambda a: a.astype(np.float64), params), config)
    own = np.abs(tier.prepare(params, config, "float32")(tokens) - exact).max()
    numpy_tier = np.abs(encode(tokens, params, config) - exact).max()
    assert own <= NARROW * numpy_tier + ROUNDING * np.abs(exact).max()


@pytest.mark.parametrize("dtype", DTYPES)
def test_texts_longer_than_a_chunk(dtype):
    config = config_of(2, 16, 40, 1, positions=3 * CHUNK)
    lengths = [1, CHUNK - 1, 2, CHUNK, CHUNK + 1, 1, 1, 3 * CHUNK, 7, CHUNK // 2, CHUNK // 2, 449, 5]
    assert_as_numpy(config, lengths, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_text_and_one_token(dtype):
    config = config_of(2, 20, 52, 2)
    model = tier.prepare(random_params(config), config, dtype)
    assert model(packed([], config)).shape == (0, 40)
    assert model(packed([1], config)).shape == (1, 40)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_layer_can_be_watched(dtype):
    config = config_of(3, 17, 61, 3)
    params, tokens = random_params(config), packed([3, 1, 300], dataclasses.replace(config, vocab_size=29))
    tokens = Tokens(tokens.ids, tokens.types, np.array([0, 3, 4, 60, 64, 120, 180, 240, 304]))
    model, expected = tier.prepare(params, config, dtype), {}
    last, seen = model(tokens), by_layer(model, tokens)
    by_numpy(tokens, params, config, dtype, lambda n, s: expected.update({n: s.copy()}))
    assert list(seen) == ["embeddings", "layer.0", "layer.1", "layer.2"]
    assert [name for name in expected if name in seen] == list(seen)
    for name, states in seen.items():
        assert np.abs(states - expected[name]).max() <= TIERS[dtype] * np.abs(expected[name]).max(), name
    np.testing.assert_array_equal(last, seen["layer.2"])
    np.testing.assert_array_equal(last, model(tokens))


@pytest.mark.parametrize("dtype", DTYPES)
def test_nan_in_a_text_leaves_the_others_alone(dtype):
    config = config_of(3, 17, 61, 2)
    params, tokens = lower(random_params(config), dtype), packed([5, 1, 9, 17, 2], config)
    ids = tokens.ids % 28  # keeps clear of the poisoned row of the table
    poison = params.embeddings.word.scales if dtype == "int8" else params.embeddings.word
    poison[28] = np.nan
    model = tier.prepare(params, config, dtype)
    clean = model(Tokens(ids, tokens.types, tokens.cu_seqlens))
    assert np.isfinite(clean).all()
    for start, stop in zip(tokens.cu_seqlens, tokens.cu_seqlens[1:], strict=False):
        poisoned = ids.copy()
        poisoned[(start + stop) // 2] = 28
        got = model(Tokens(poisoned, tokens.types, tokens.cu_seqlens))
        others = np.delete(np.arange(len(ids)), np.arange(start, stop))
        assert np.isnan(got[start:stop]).all()  # attention spreads it over the text
        np.testing.assert_array_equal(got[others], clean[others])


# ---- texts ----


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tiny_checkpoint_in_every_type(tiny_checkpoint, dtype):
    texts = texts_of(80, 30, seed=2)
    vectors = {
        backend: Embedder.load(tiny_checkpoint, backend=backend, dtype=dtype).encode(texts, truncation="silent")
        for backend in ("numpy", KERNELS)
    }
    cosines = (vectors["numpy"].astype(np.float64) * vectors[KERNELS]).sum(axis=1)
    assert cosines.mean() >= LOWERED_TIERS[dtype]
    if dtype == "float32":
        assert np.abs(vectors["numpy"] - vectors[KERNELS]).max() <= FLOAT32_TIERS


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", [*range(3), *heavy(range(3, 6))])
def test_any_batch_gives_the_same_bits(tiny_checkpoint, dtype, seed):
    model, texts = Embedder.load(tiny_checkpoint, backend=KERNELS, dtype=dtype), texts_of(200, 40, seed=0)
    expected = with_threads(model, 1).encode(texts, truncation="silent")
    assert len(np.unique(expected, axis=0)) > 100
    assert rebatched(model, texts, seed).tobytes() == expected.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size", "F"), [(3, 4, 20), (4, 50, 300), (12, 32, 1536)])
def test_any_width_gives_the_same_bits(tmp_path, heads, size, F, dtype):
    sizes = {"hidden_size": heads * size, "num_attention_heads": heads, "intermediate_size": F}
    folder = write_tiny_checkpoint(tmp_path, num_hidden_layers=1, **sizes)
    model, texts = Embedder.load(folder, backend=KERNELS, dtype=dtype), texts_of(60, 30, seed=7)
    expected = with_threads(model, 1).encode(texts, truncation="silent")
    for seed in range(4):
        assert rebatched(model, texts, seed).tobytes() == expected.tobytes()


# ---- the real model ----


def sentences(count):
    """Distinct sentences of ordinary English, 4 to 30 words: the beginning of one, the end of another."""
    dice, found = corpus.Dice(20260101), dict.fromkeys(corpus.ENGLISH)
    while len(found) < count:
        first, second = dice.pick(corpus.ENGLISH).split(), dice.pick(corpus.ENGLISH).split()
        cut = 2 + dice.below(len(first) - 2)
        found[" ".join(first[:cut] + second[min(cut, len(second) - 2) :])] = None
    return list(found)


@pytest.mark.weights
@pytest.mark.parametrize("step", [78, *heavy([13, 39])])
def test_float32_of_the_real_model_is_as_in_numpy(minilm_as, step):
    """Of ordinary and odd texts, up to the longest; against the goldens both are held by test_parity.py."""
    texts = corpus.texts()[5::step]
    vectors = [minilm_as(backend).encode(texts, truncation="silent") for backend in ("numpy", KERNELS)]
    assert np.abs(vectors[0] - vectors[1]).max() <= FLOAT32_TIERS


def mean_and_least(a, b):
    cosines = (a.astype(np.float64) * b).sum(axis=1)
    return cosines.mean(), cosines.min()


@pytest.mark.weights
@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("number", [151, *heavy([337, 1009])])
def test_fidelity_of_the_real_model(minilm_as, dtype, number):
    texts = sentences(number)
    exact, vectors = minilm_as(KERNELS).encode(texts), minilm_as(KERNELS, dtype).encode(texts)
    mean, least = mean_and_least(exact, vectors)
    assert mean >= MEAN_COSINE[dtype] and least >= LEAST_COSINE[dtype], (mean, least)
    numpy_tier = minilm_as("numpy", dtype).encode(texts[:113])
    assert mean_and_least(numpy_tier, vectors[:113])[0] >= LOWERED_TIERS[dtype]
    fidelities = [mean_and_least(exact[:113], x)[0] for x in (numpy_tier, vectors[:113])]
    assert fidelities[1] >= fidelities[0] - SAME_FIDELITY  # on tiles int8 loses less: activations stay bfloat16


@pytest.mark.weights
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("short", "long", "seeds"), [(140, 5, 1), *heavy([(280, 20, 4)])])
def test_any_batch_of_the_real_model_gives_the_same_bits(minilm_as, dtype, short, long, seeds):
    texts = texts_of(short, 12, seed=1) + texts_of(long, 300, seed=2)
    model = minilm_as(KERNELS, dtype)
    expected = with_threads(model, 1).encode(texts, truncation="silent")
    for seed in range(seeds):
        found = rebatched(model, texts, seed)
        assert found.tobytes() == expected.tobytes(), (seed, np.flatnonzero((found != expected).any(axis=1)))
