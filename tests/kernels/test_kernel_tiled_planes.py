"""float32 as three planes of bfloat16: nothing is lost, products are near; and which texts are computed so."""

import pickle

import numpy as np
from any_encoder import (
    Architecture,
    any_architecture,
    assert_pooled,
    pack_on_tiles,
    pack_on_vectors,
    params_of,
    tokens_of,
    whole,
)
from emulated import needs_tiles, slow_without_tiles
from examples import examples
from hypothesis import given
from hypothesis import strategies as st
from numba import njit

from minembed.kernels.encoder import tier
from minembed.kernels.encoder.by_length import SHORT, by_length
from minembed.kernels.encoder.tiled.planes import STEP_B, store_pairs_planes, store_planes
from minembed.kernels.vectors.simd import address, at, load
from minembed.transformer.config import Config

pytestmark = slow_without_tiles
THREE = (0, 1, 2)
EXACT = 2.0**-102  # from here on: the last plane of smaller numbers is denormal, and tiles take those for 0
numbers = st.floats(EXACT, 2.0**127, width=32) | st.floats(-(2.0**127), -EXACT, width=32) | st.just(0.0)


@njit
def split_row(x, out):
    store_planes(address(out, 0), 32, load(address(x, 0)), load(address(x, 16)), THREE)


@njit
def split_pairs(x, out):
    store_pairs_planes(address(out, 0), load(address(x, 0)), load(at(address(x, 0), 16)))


def as_floats(words):
    return (words.astype(np.uint32) << 16).view(np.float32)


@examples(2000, usual=200)
@given(st.lists(numbers, min_size=32, max_size=32))
def test_a_number_is_the_sum_of_its_planes(row):
    """Also as neighbours in a panel, where planes are cut and not rounded."""
    x = np.array(row, np.float32)
    out, pairs = np.zeros(96, np.uint16), np.zeros(3 * STEP_B, np.uint16)
    split_row(x, out), split_pairs(x, pairs)
    rounded = as_floats(out).reshape(3, 32)
    cut = np.stack([as_floats(pairs[plane * STEP_B :][:32].copy()) for plane in range(3)])
    for planes, wanted in ((rounded, x), (cut, x.reshape(2, 16).T.reshape(-1))):
        first, second, third = planes.astype(np.float64)
        np.testing.assert_array_equal(first + second + third, wanted)
        for smaller, larger, bits in ((second, first, 7), (third, second, 7)):
            assert (np.abs(smaller) <= np.abs(larger) * 2.0**-bits).all()
        assert (np.abs(third[third != 0]) >= 2.0**-126).all()  # not denormal


MINILM = Architecture(Config(29, 384, 1, 12, 1536, 512, 2, "gelu", 1e-12))
LENGTHS = [3, SHORT + 1, SHORT, 60, 1, 17, 40]


def joined(architecture):
    return by_length(pack_on_vectors(architecture, "float32"), pack_on_tiles(architecture, "float32"))


@examples(200, usual=20)
@given(choices=st.data(), lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_a_text_has_the_same_bits_whatever_it_is_with(choices, lengths):
    """Of any architecture, with embeddings that NumPy computes too."""
    architecture = whole(any_architecture(lambda options: choices.draw(st.sampled_from(list(options)))))
    model, tokens = joined(architecture), tokens_of(lengths, architecture.config)
    together, first, last = model(tokens), tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:]
    for i, (start, stop) in enumerate(zip(first, last, strict=True)):
        alone = model.encoders[int(stop - start > SHORT)](tokens.select([i]))
        np.testing.assert_array_equal(model(tokens.select([i])), alone)
        np.testing.assert_array_equal(together[start:stop], alone)
    assert_pooled(model, tokens, together)


def test_both_ways_differ_by_roundings_of_float32():
    model, tokens = joined(MINILM), tokens_of(LENGTHS, MINILM.config)
    vectors, tiles = (encoder(tokens) for encoder in model.encoders)
    assert 0 < np.abs(vectors - tiles).max() < 1e-5  # some twenty units in the last place of numbers up to 4
    long = np.repeat(tokens.lengths() > SHORT, tokens.lengths())
    np.testing.assert_array_equal(model(tokens), np.where(long[:, None], tiles, vectors))


@needs_tiles
def test_who_chooses():
    """Texts are computed by length where there are tiles, unless a width would have to be padded."""
    for hidden, kind in ((64, "ByLength"), (40, "Encoder")):
        config = Config(29, hidden, 1, 2, 64, 64, 2, "gelu", 1e-12)
        params = params_of(Architecture(config))
        assert type(tier.prepare(params, config, "float32")).__name__ == kind


@needs_tiles
def test_weights_of_a_prepared_model_are_held_once():
    config = Config(29, 64, 1, 2, 64, 64, 2, "gelu", 1e-12)
    model = tier.prepare(params_of(Architecture(config)), config, "float32")
    short, long = model.encoders
    assert short.packed.weights is long.packed.weights
    again = pickle.loads(pickle.dumps(model))
    assert again.encoders[0].packed.weights is again.encoders[1].packed.weights
    tokens = tokens_of(LENGTHS[:3], config)
    np.testing.assert_array_equal(again(tokens), model(tokens))
