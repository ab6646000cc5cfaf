"""The backward pass against central differences in float64: every function by itself, and whole encoders."""

import dataclasses

import numpy as np
import pytest
from differences import CLOSE, numbers, slope
from examples import heavy, thinned

from minembed.train.backward import vjp
from minembed.train.backward.tape import Tape
from minembed.train.backward.trees import Rows, flat, flat_gradients
from minembed.transformer import ops
from minembed.transformer.attention import attend
from minembed.transformer.config import Config
from minembed.transformer.encoder import encode
from minembed.transformer.operations import Operations
from minembed.transformer.params import Linear, Norm
from minembed.transformer.positions import AttentionPattern, attention_patterns
from minembed.transformer.tokens import Tokens
from minembed.weights.layout import layout, map_named


def test_linear():
    x, p, dy = numbers(3, 4), Linear(numbers(4, 5, seed=1), numbers(5, seed=2)), numbers(3, 5, seed=3)
    dx, dp = vjp.linear_vjp(x, p, dy)
    for got, array in ((dx, x), (dp.weight, p.weight), (dp.bias, p.bias)):
        np.testing.assert_allclose(got, slope(lambda: (vjp.linear(x, p) * dy).sum(), array), **CLOSE)
    np.testing.assert_allclose(vjp.linear(x, p), ops.linear(x, p), rtol=1e-13)
    assert vjp.linear_vjp(x, Linear(p.weight), dy)[1].bias is None


@pytest.mark.parametrize("eps", [1e-12, 1e-5, 0.5])
@pytest.mark.parametrize(("f", "f_vjp"), [(ops.layer_norm, vjp.layer_norm_vjp), (ops.rms_norm, vjp.rms_norm_vjp)])
def test_norms(f, f_vjp, eps):
    x, p, dy = numbers(3, 2, 7), Norm(numbers(7, seed=1), numbers(7, seed=2)), numbers(3, 2, 7, seed=3)
    p = p if f is ops.layer_norm else Norm(p.weight)
    dx, dp = f_vjp(x, p, eps, dy)
    for got, array in ((dx, x), (dp.weight, p.weight), *([] if p.bias is None else [(dp.bias, p.bias)])):
        np.testing.assert_allclose(got, slope(lambda: (f(x, p, eps) * dy).sum(), array), **CLOSE)


def test_softmax():
    x, dy = numbers(3, 5), numbers(3, 5, seed=1)
    np.testing.assert_allclose(
        vjp.softmax_vjp(ops.softmax(x), dy), slope(lambda: (ops.softmax(x) * dy).sum(), x), **CLOSE
    )


@pytest.mark.parametrize("name", ops.ACTIVATION)
def test_activations(name):
    x = np.concatenate([numbers(40) * 3, [1e-3, -1e-3, 30, -30]])
    dy, f = numbers(44, seed=1), ops.ACTIVATION[name]
    np.testing.assert_allclose(vjp.ACTIVATION_VJP[name](x, dy), slope(lambda: (f(x) * dy).sum(), x), **CLOSE)


@pytest.mark.parametrize("name", ops.ACTIVATION)
def test_activations_in_float32(name):
    x = np.linspace(-12, 12, 200_001, dtype=np.float32)
    got = vjp.ACTIVATION_VJP[name](x, np.ones_like(x))
    assert got.dtype == np.float32
    exact = vjp.ACTIVATION_VJP[name](x.astype(np.float64), np.ones(len(x)))
    # of slopes up to 1.13, some roundings of float32; the tanh form multiplies them by x z', up to 10
    assert np.abs(got - exact).max() <= (2e-6 if "tanh" in name or "new" in name else 1e-6)


@pytest.mark.parametrize("name", ops.ACTIVATION)
def test_gates(name):
    x, dy, f = numbers(3, 8), numbers(3, 4, seed=1), ops.ACTIVATION[name]
    got = vjp.gate_vjp(x, f, vjp.ACTIVATION_VJP[name], dy)
    np.testing.assert_allclose(got, slope(lambda: (ops.gate(x, f) * dy).sum(), x), **CLOSE)


PATTERNS = {
    "all": AttentionPattern(),
    "window": AttentionPattern(back=1, ahead=2),
    "causal": AttentionPattern(ahead=0),
    "bias": AttentionPattern(bias=numbers(4, 2 * 9 - 1, seed=9)),
}


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("name", PATTERNS)
def test_attention(name, groups):
    pattern, cu_seqlens = PATTERNS[name], np.array([0, 3, 6, 7, 12])
    qkv, dy = numbers(12, (4 + 2 * groups) * 3), numbers(12, 12, seed=1)

    def loss():
        return (attend(qkv, cu_seqlens, 4, groups, pattern) * dy).sum()

    dqkv, dbias = vjp.attend_vjp(qkv, cu_seqlens, 4, groups, pattern, None, dy)
    np.testing.assert_allclose(dqkv, slope(loss, qkv), **CLOSE)
    if pattern.bias is not None:
        np.testing.assert_allclose(dbias, slope(loss, pattern.bias), **CLOSE)


@pytest.mark.parametrize(
    "pattern",
    [AttentionPattern(), AttentionPattern(back=3, ahead=40), AttentionPattern(bias=numbers(1, 2 * 1100 - 1, seed=5))],
)
def test_attention_over_long_texts(pattern):
    """Beyond UNSPLIT_LENGTH tokens a text goes by some queries at a time."""
    N = 1100
    qkv, dy = numbers(N, 6), numbers(N, 2, seed=1)

    def loss():
        return (attend(qkv, np.array([0, N]), 1, 1, pattern) * dy).sum()

    dqkv, dbias = vjp.attend_vjp(qkv, np.array([0, N]), 1, 1, pattern, None, dy)
    some = [(0, 0), (1, 3), (130, 5), (700, 2), (1099, 4)]
    for i in some:
        np.testing.assert_allclose(dqkv[i], slope(loss, qkv, [i])[i], rtol=1e-6, atol=1e-7)
    if dbias is not None:
        i = (0, 1099)
        np.testing.assert_allclose(dbias[i], slope(loss, pattern.bias, [i])[i], rtol=1e-6, atol=1e-7)


BASE = Config(11, 8, 3, 2, 12, 16, 2, "gelu", 1e-5)
CHOICES = {
    "bert": (BASE, ()),
    "relu": (dataclasses.replace(BASE, hidden_act="relu"), ()),
    "narrow embeddings": (dataclasses.replace(BASE, embedding_size=6), ()),
    "padding": (dataclasses.replace(BASE, padding_idx=1), ()),
    "mpnet": (dataclasses.replace(BASE, relative_attention_num_buckets=8, type_vocab_size=0), ()),
    "alibi, gated": (
        dataclasses.replace(BASE, position_embedding_type="alibi", gated=True, hidden_act="gelu"),
        ("embeddings.position",),
    ),
    "rotary, pre-norm, window": (
        dataclasses.replace(
            BASE, position_embedding_type="rotary", pre_norm=True, gated=True, hidden_act="silu", local_attention=4,
            global_attn_every_n_layers=2, without_bias=("qkv", "attention_output", "intermediate", "output", "norm"),
        ),
        ("embeddings.position", "embeddings.token_type"),
    ),
    "grouped, rms, post-norms": (
        dataclasses.replace(
            BASE, position_embedding_type="rotary", norm_type="rms_norm", pre_norm=True, num_key_value_heads=1,
            gated=True, hidden_act="gelu_pytorch_tanh", causal=True, without_bias=("qkv", "norm"),
        ),
        ("embeddings.position", "embeddings.token_type", "embeddings.norm"),
    ),
}  # fmt: skip
NAMES = ["embeddings.position", "embeddings.token_type", "embeddings.norm"]


def weights_of(name):
    config, missing = CHOICES[name]
    names = dict.fromkeys([n for n in NAMES if n not in missing], ())
    if config.pre_norm:
        names["final_norm"] = ()
    if config.norm_type == "rms_norm":
        names |= dict.fromkeys(["layers.{}.query_norm", "layers.{}.output_post_norm"], ())
    rng = np.random.default_rng(3)
    return config, map_named(lambda _, a: rng.standard_normal(a.shape) * 0.5, layout(config, names))


def some_dropout(x, *place):
    """A quarter of the numbers left out, by place."""
    seed = [hash(part) % 2**32 if isinstance(part, int) else sum(part.encode()) for part in place]
    return x * (np.random.default_rng(seed).random(x.shape) < 0.75) / 0.75


TOKENS = Tokens(np.array([2, 5, 3, 7, 7, 4, 10, 6, 3]), np.array([0, 0, 1, 0, 1, 1, 0, 0, 0]), np.array([0, 3, 8, 9]))


@pytest.mark.parametrize(
    ("recompute", "dropout"), [(True, some_dropout), *heavy([(False, None), (False, some_dropout), (True, None)])]
)
@pytest.mark.parametrize("name", thinned(CHOICES, 2))
def test_whole_encoders(name, recompute, dropout):
    config, params = weights_of(name)
    dy = numbers(len(TOKENS.ids), config.hidden_size, seed=4)
    types = TOKENS if config.type_vocab_size else dataclasses.replace(TOKENS, types=np.zeros_like(TOKENS.types))

    def run(tape):
        seen = tuple(dataclasses.replace(s, bias=s.bias) for s in attention_patterns(params, config))
        watched = tape.watch(Operations(linear=vjp.linear))
        return encode(types, params, config, tape, watched, exact(seen)), exact(seen)

    def exact(seen):  # patterns are rounded to float32, which would hide a small step
        if params.relative_attention_bias is None:
            return seen
        buckets = vjp.relative_buckets(np.arange(1 - config.max_tokens, config.max_tokens), 8)
        bias = np.ascontiguousarray(params.relative_attention_bias[buckets].T)
        return tuple(dataclasses.replace(s, bias=bias) for s in seen)

    tape = Tape(dropout, recompute, post_norms=params.layers[0].output_post_norm is not None)
    _, seen = run(tape)
    got = vjp.encode_vjp(params, seen, vjp.Pass(types, config, Operations(linear=vjp.linear), vjp.Backward(), tape), dy)
    gradients = flat_gradients(params, got)
    assert gradients.keys() == flat(params).keys()
    rng = np.random.default_rng(7)
    for path, array in flat(params).items():
        gradient = gradients[path]
        if isinstance(gradient, Rows):
            whole = np.zeros(array.shape)
            whole[gradient.indices] = gradient.values
            gradient = whole
        assert gradient.shape == array.shape
        entries = {tuple(rng.integers(0, array.shape)) for _ in range(6)}
        expected = slope(lambda: (run(Tape(dropout))[0] * dy).sum(), array, entries)
        for i in entries:
            np.testing.assert_allclose(gradient[i], expected[i], err_msg=f"{path} {i}", **CLOSE)


def test_recompute_keeps_little():
    config, params = weights_of("bert")
    kept = []
    for recompute in (False, True):
        tape = Tape(recompute=recompute)
        encode(TOKENS, params, config, tape, tape.watch(Operations(linear=vjp.linear)))
        kept.append(sum(x.size for x in tape.seen.values()))
    T, D, F, layers = len(TOKENS.ids), config.hidden_size, config.intermediate_size, config.num_hidden_layers
    assert kept == [T * (2 * D + layers * (6 * D + F)), T * (2 * D + layers * D)]
