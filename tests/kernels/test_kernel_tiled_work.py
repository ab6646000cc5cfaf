"""The pieces of work of an encoder on tiles, each by itself, against float64: products with every finish."""

import math

import numpy as np
import oracle
import pytest
from any_encoder import Architecture, on_tiles_exactly, params_of
from emulated import slow_without_tiles
from kernel_tiled import NARROW, OUTPUT, PROJECT, WIDEN, task

from minembed.kernels.encoder.tiled.packing import LOG2_E
from minembed.kernels.encoder.tiled.plan import W_LAYER
from minembed.kernels.encoder.tiled.tiled_encoder import pack_encoder
from minembed.transformer.config import Config
from minembed.transformer.quantization import lower, round_bfloat16

pytestmark = slow_without_tiles
ROWS = 33  # two blocks, of which the second has one row
EPS = 2.0**-24  # half a unit in the last place of float32
ROUNDED = 2.0**-8 + 2 * EPS  # of a bfloat16
SHORT_GELU = 9e-4  # its error
ACTIVATIONS = {
    "gelu": (oracle.gelu, SHORT_GELU),
    "gelu_new": (lambda x: 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), 1e-6),
    "silu": (lambda x: x / (1 + np.exp(-x)), 1e-6),
    "relu": (lambda x: np.maximum(x, 0), 1e-6),
}


DTYPES = ["bfloat16", "int8"]


def made(dtype="bfloat16", D=70, heads=2, F=104, head_norms=False, hidden_act="gelu", **choices):
    """An encoder of one layer, the parameters that it multiplies by, and its config.

    Heads are whole tiles, unless said otherwise: so weights of int8 stay bytes until they are used.
    """
    config = Config(29, D, 1, heads, F, 64, 2, hidden_act, 1e-5, **({"head_dim": 32} | choices))
    params = params_of(Architecture(config, head_norms=head_norms))
    model = pack_encoder(lower(params, dtype), config, dtype)
    assert (model.packed.weights.nbytes < 2 * model.plan[W_LAYER]) == (dtype == "int8" and config.head_size % 32 == 0)
    return model, on_tiles_exactly(params, dtype).layers[0], config


def rows_of(width, filled, rows=ROWS, seed=0):
    """Random rows, and beyond their width zeros."""
    x = np.zeros((rows, filled), np.float32)
    x[:, :width] = round_bfloat16(np.random.default_rng(seed).standard_normal((rows, width), dtype=np.float32))
    return x


def fill(width):
    return -(-width // 32) * 32


def product(x, weight, bias):
    """x weight + bias in float64, and by how much sums in float32 may differ from it."""
    x, weight = x[:, : len(weight)].astype(np.float64), weight.astype(np.float64)
    added = 0 if bias is None else bias
    return x @ weight + added, (len(weight) + 2) * EPS * (np.abs(x) @ np.abs(weight) + np.abs(added))


def lost(x, weight):
    """What roundings of all weights make together, most of the time, times theirs."""
    return 3 * np.sqrt(x[:, : len(weight)].astype(np.float64) ** 2 @ weight.astype(np.float64) ** 2)


def assert_near(found, exact, allowed):
    assert found.shape == exact.shape
    over = np.abs(found - exact) / allowed
    assert over.max() <= 1, np.unravel_index(over.argmax(), over.shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("act", ACTIVATIONS)
@pytest.mark.parametrize("D", [70, 500])
def test_widening(D, act, gated, dtype):
    model, p, config = made(dtype, D=D, hidden_act=act, gated=gated)
    x, F = rows_of(config.hidden_size, fill(config.hidden_size)), config.intermediate_size
    (exact, error), (activation, short) = product(x, p.intermediate.weight, p.intermediate.bias), ACTIVATIONS[act]
    beside = exact[:, F:] if gated else np.ones((ROWS, F))
    error = error[:, :F] * np.abs(beside) + (np.abs(exact[:, :F]) * error[:, F:] if gated else 0)
    exact = activation(exact[:, :F]) * beside
    found = task(WIDEN, model, x, (0, fill(F)))
    assert not found[:, F:].any()
    assert_near(found[:, :F], exact, ROUNDED * np.abs(exact) + short * np.abs(beside) + 1.2 * error)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", [(0, 32), (32, 64), (96, 32), (64, 64)])
def test_a_part_of_the_hidden_layer_has_its_columns(part, dtype):
    model, _, config = made(dtype, gated=True)
    x = rows_of(config.hidden_size, fill(config.hidden_size))
    whole = task(WIDEN, model, x, (0, 128))
    np.testing.assert_array_equal(task(WIDEN, model, x, part), whole[:, part[0] : sum(part)])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [32, 96, 384, 832])
def test_narrowing_in_parts(width, dtype):
    """Sums of later parts of K go on from those before, and join the hidden states once."""
    model, p, _ = made(dtype, F=810)
    x, states = rows_of(810, 832), rows_of(70, 70, seed=1)
    exact, error = product(x, p.output.weight, p.output.bias)
    found = task(NARROW, model, x, (0, width), states=states)
    assert not found[:, 70:].any()
    assert_near(found[:, :70], states + exact, error + 2 * EPS * np.abs(states + exact))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size"), [(2, 35), (3, 8), (3, 64), (30, 32)])
def test_output_of_attention(heads, size, dtype):
    """The last has a K of 960: more than a panel's part that stays in the first-level cache."""
    model, p, _ = made(dtype, heads=heads, head_dim=size)
    filled, states = rows_of(heads * size, heads * size), rows_of(70, 70, seed=1)
    x = np.zeros((ROWS, heads, fill(size)), np.float32)
    x[:, :, :size] = filled.reshape(ROWS, heads, size)
    exact, error = product(filled, p.attention_output.weight, p.attention_output.bias)
    found = task(OUTPUT, model, x.reshape(ROWS, -1), states=states)
    assert_near(found[:, :70], states + exact, error + 2 * EPS * np.abs(states + exact))


PLACED = [
    {},
    {"position_embedding_type": "rotary"},
    {"head_norms": True, "norm_type": "rms_norm", "pre_norm": True},
    {"head_norms": True, "norm_type": "rms_norm", "pre_norm": True, "position_embedding_type": "rotary"},
]


@pytest.mark.parametrize("choices", PLACED, ids=["plain", "rotary", "norms", "both"])
@pytest.mark.parametrize(("D", "size"), [(70, 20), (500, 34), (40, 96), (500, 32)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_queries_keys_and_values(dtype, D, size, choices):
    model, p, config = made(dtype, D=D, heads=4, head_dim=size, num_key_value_heads=2, **choices)
    x, scale = rows_of(D, fill(D)), np.float32(LOG2_E / math.sqrt(size))
    for h in (0, 3):
        found = task(PROJECT, model, x, (h, 0), lengths=[3, 30])
        for i, column in enumerate((h, 4 + h // 2, 6 + h // 2)):
            part = slice(column * size, (column + 1) * size)
            before = scale if i == 0 and not config.norm_type == "rms_norm" else np.float32(1)
            exact, error = product(x, round_bfloat16(p.qkv.weight[:, part] * before), p.qkv.bias[part] * before)
            if i == 0:  # the weights hold the scale, which int8 has in its own: a bfloat16 may fall to either side
                error = error + (2.0**-8 * before * lost(x, p.qkv.weight[:, part]) if dtype == "int8" else 0)
            if i < 2 and p.query_norm is not None:
                weight = (p.query_norm, p.key_norm)[i].weight * (scale if i == 0 else 1)
                root = np.sqrt((exact**2).mean(axis=1, keepdims=True) + config.layer_norm_eps)
                exact, error = exact / root * weight, 4 * error / root * np.abs(weight)
            if i < 2 and config.position_embedding_type == "rotary":
                cos, sin = model.patterns[1][: 64 * size].reshape(2, 64, size // 2)[:, [*range(3), *range(30)]]
                (a, b), (e, g) = np.split(exact, 2, axis=1), np.split(error, 2, axis=1)
                exact, error = np.hstack([a * cos - b * sin, b * cos + a * sin]), np.hstack([e + g, e + g])
            assert not found[i][:, size:].any()
            assert_near(found[i][:, :size], exact, ROUNDED * np.abs(exact) + 2 * error + 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("which", [WIDEN, NARROW, OUTPUT, PROJECT])
def test_rows_do_not_depend_on_how_many_there_are(which, dtype):
    model, *_ = made(dtype, position_embedding_type="rotary", head_dim=64, gated=True)
    width, part = {WIDEN: (96, (0, 128)), NARROW: (128, (0, 64)), OUTPUT: (128, (0, 0)), PROJECT: (96, (1, 0))}[which]
    x, states = rows_of(width, width), rows_of(70, 70, seed=1) if which in (NARROW, OUTPUT) else None
    lengths = np.ones(ROWS, int) if which == PROJECT else None  # each row begins a text: where it stands turns it

    def rows(first, last):
        own = None if states is None else states[first:last]
        found = task(which, model, x[first:last], part, None if lengths is None else lengths[first:last].tolist(), own)
        return found if which != PROJECT else found.transpose(1, 0, 2)

    whole = rows(0, ROWS)
    for count in range(1, ROWS):
        np.testing.assert_array_equal(rows(0, count), whole[:count])
        np.testing.assert_array_equal(rows(ROWS - count, ROWS), whole[ROWS - count :])
