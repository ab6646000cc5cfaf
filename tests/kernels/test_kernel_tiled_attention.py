"""Attention on tiles against float64, of the same queries, keys and values: head widths, lengths, distances."""

from dataclasses import replace

import numpy as np
import pytest
from any_encoder import Architecture, params_of, tokens_of
from emulated import slow_without_tiles
from examples import examples, heavy
from hypothesis import given
from hypothesis import strategies as st
from kernel_tiled import ATTEND, PROJECT, task

from minembed.kernels.encoder.tiled.packing import LOG2_E
from minembed.kernels.encoder.tiled.plan import B_QKV, HEAD
from minembed.kernels.encoder.tiled.tiled_encoder import pack_encoder
from minembed.transformer.config import Config
from minembed.transformer.positions import attention_patterns
from minembed.transformer.quantization import lower

pytestmark = slow_without_tiles
LONGEST = 300
LENGTHS = [1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 100, 127, 128, 129, 160, 255, 256, 257, LONGEST]
ROUNDED = 2.0**-8  # of a bfloat16: of each weight, and of the result
SHORT_EXP = 2.0**-12  # twice, with sums of float32
SUM = 2.0**-22  # of float32, of what is summed
NOTHING = 1e-6
DISTANCES = {
    "plain": {},
    "causal": {"causal": True},
    "window": {"local_attention": 6},
    "wide window": {"local_attention": 80},
    "causal window": {"causal": True, "local_attention": 40},
    "slopes": {"position_embedding_type": "alibi"},
    "slopes in a window": {"position_embedding_type": "alibi", "local_attention": 70},
    "learnt bias": {"relative_attention_num_buckets": 8},
    "causal learnt bias": {"relative_attention_num_buckets": 8, "causal": True},
}
WINDOW = {"global_attn_every_n_layers": 2, "first_global_layer": 1}  # so that layer 0 is a local one


def made(size, distances, heads=2):
    """An encoder of one layer, and what its heads see."""
    config = Config(29, 40, 1, heads, 32, LONGEST, 2, "gelu", 1e-5, head_dim=size, **WINDOW, **distances)
    params = lower(params_of(Architecture(config), seed=size), "bfloat16")
    return pack_encoder(params, config, "bfloat16"), attention_patterns(params, config)[0]


def expected(q, k, v, h, pattern):
    """A head's context of one text, and what of it may be lost by rounding; scores are powers of two."""
    q, k, v = (x.astype(np.float64) for x in (q, k, v))
    n = len(q)
    distance = np.arange(n) - np.arange(n)[:, None]
    scores = q @ k.T
    if pattern.bias is not None:
        scores += LOG2_E * pattern.bias[h][distance + pattern.bias.shape[1] // 2]
    far = np.zeros((n, n), bool)
    if pattern.back is not None:
        far |= distance < -pattern.back
    if pattern.ahead is not None:
        far |= distance > pattern.ahead
    scores[far] = -np.inf
    weights = np.exp2(scores - scores.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    summed = SUM * (np.abs(q) @ np.abs(k).T).max(axis=1, keepdims=True)  # of scores: relative, of their powers
    return weights @ v, (2 * ROUNDED + SHORT_EXP + summed) * (weights @ np.abs(v)) + NOTHING


def assert_attends(model, pattern, lengths, heads=2, seed=0, scale=1.0):
    x = np.zeros((sum(lengths), 64), np.float32)
    x[:, :40] = scale * np.random.default_rng(seed).standard_normal((len(x), 40))
    found = task(ATTEND, model, x, lengths=lengths)
    filled, ends = found.shape[1] // heads, np.cumsum(lengths)
    for h in range(heads):
        projected = task(PROJECT, model, x, (h, 0), lengths=lengths)
        for start, stop in zip(ends - lengths, ends, strict=True):
            exact, allowed = expected(*(part[start:stop] for part in projected), h, pattern)
            over = np.abs(found[start:stop, h * filled : (h + 1) * filled] - exact) / allowed
            assert over.max() <= 1, (stop - start, h, np.unravel_index(over.argmax(), over.shape))
    return x, found


@pytest.mark.parametrize("distances", DISTANCES)
@pytest.mark.parametrize("size", [1, 20, 32, 33, 64, 96, 130, *heavy(range(3, 130, 4))])
def test_every_width_and_distance(size, distances):
    model, pattern = made(size, DISTANCES[distances])
    lengths = LENGTHS if size in (32, 33) else LENGTHS[size % 3 :: 3]
    assert (pattern.back is not None) == ("window" in distances) and (pattern.bias is None) == (
        "bias" not in distances and "slopes" not in distances
    )
    assert_attends(model, pattern, lengths)


@examples(200, usual=25)
@given(
    size=st.integers(1, 130),
    distances=st.sampled_from([*DISTANCES.values()]),
    lengths=st.lists(st.integers(1, LONGEST), min_size=1, max_size=4),
)
def test_any_texts(size, distances, lengths):
    """And a text's bits do not depend on where it stands, nor on the others."""
    model, pattern = made(size, distances)
    x, found = assert_attends(model, pattern, lengths, seed=size)
    for start, n in zip(np.cumsum(lengths) - lengths, lengths, strict=True):
        alone = task(ATTEND, model, x[start : start + n], lengths=[n])
        np.testing.assert_array_equal(alone, found[start : start + n])


@pytest.mark.parametrize("moved", [0, 200, -200])
@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e3])
@pytest.mark.parametrize("distances", ["plain", "causal window", "slopes"])
def test_scores_that_are_very_small_or_large(distances, scale, moved):
    """All of a row moved so far that the sum of its powers overflows, or vanishes; and scores far apart."""
    model, pattern = made(24, DISTANCES[distances])
    vectors = model.packed.vectors.copy()
    for h in range(2):
        query = model.plan[B_QKV] + 3 * h * model.plan[HEAD]
        vectors[query] += moved / 10
        vectors[query + model.plan[HEAD]] += 10
    model = replace(model, packed=replace(model.packed, vectors=vectors))
    assert_attends(model, pattern, [3, 64, 33], scale=scale**0.5)


@pytest.mark.parametrize("value", [np.finfo(np.float32).min, np.finfo(np.float32).max, -1e30])
def test_a_bias_as_large_as_any_number(value):
    """The lowest number hides as -infinity does; but where all are hidden alike, all are seen alike, and not NaN."""
    config = Config(29, 40, 1, 2, 32, LONGEST, 2, "gelu", 1e-5, relative_attention_num_buckets=8)
    params = params_of(Architecture(config))
    everywhere = np.full_like(params.relative_attention_bias, value)
    tokens = tokens_of([9, 33], config)
    found, same = (
        pack_encoder(lower(replace(params, relative_attention_bias=bias), "bfloat16"), config, "bfloat16")(tokens)
        for bias in (everywhere, np.full_like(everywhere, np.copysign(1e30, value)))
    )
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(found, same)
