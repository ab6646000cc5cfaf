"""Encoders of any architecture that the kernels support: every choice of Config, and of the parts of a layer."""

import dataclasses
import random
from dataclasses import dataclass

import numpy as np

from minembed.kernels.encoder import tier
from minembed.kernels.encoder.packing import pack
from minembed.kernels.encoder.tiled import tiled_encoder
from minembed.kernels.encoder.tiled.packing import widened
from minembed.transformer.config import ACTIVATIONS, Config
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.transformer.pooling import pool
from minembed.transformer.quantization import (
    QuantizedLinear,
    lower,
    quantize_weight,
    replace_weights,
    round_bfloat16,
)
from minembed.transformer.tokens import Tokens

WITHOUT = ("qkv", "attention_output", "intermediate", "output", "norm")
WIDTHS = (1, 2, 5, 8, 12, 16, 20, 31, 32, 32, 33, 40, 48, 64, 64, 66, 96, 100, 128, 130)


@dataclass(frozen=True)
class Architecture:
    """A Config, and what it does not say."""

    config: Config
    head_norms: bool = False
    post_norms: bool = False
    bare: bool = False  # no norm before the first layer's attention


def any_architecture(pick, positions=80):
    """pick(options) chooses one of some options; whatever is chosen, the architecture exists."""
    H, K, yes = pick(range(1, 6)), pick(WIDTHS), (False, True)
    G = pick([g for g in range(1, H + 1) if H % g == 0])
    where = pick(("absolute", "absolute", "rotary", "alibi", "none"))
    K += K % 2 if where == "rotary" else 0
    first = pick(yes)
    rms = first and pick(yes)
    config = Config(
        29, pick((H * K, pick(range(16, 150)))), pick((1, 1, 2, 3)), H, pick((1, 7, 31, 32, 33, 64, 100, 257, 900)),
        positions, pick((0, 2)), pick(ACTIVATIONS), pick((1e-12, 1e-5)),
        embedding_size=pick((None, None, 13)), head_dim=K, num_key_value_heads=G,
        norm_type="rms_norm" if rms else "layer_norm", pre_norm=first, gated=pick(yes), position_embedding_type=where,
        relative_attention_num_buckets=pick((0, 8)) if where == "absolute" else 0, causal=pick(yes),
        local_attention=pick((0, 0, 6, 40)), global_attn_every_n_layers=pick((1, 2)),
        without_bias=tuple(name for name in WITHOUT if pick(yes)),
    )  # fmt: skip
    found = Architecture(config, rms and pick(yes), first and pick(yes), first and pick(yes))
    # a norm of very few numbers, or of a column times one number, is as good as a division by 0
    narrow = {"hidden_size": max(16, config.hidden_size)}
    narrow["intermediate_size"] = max(31 if found.post_norms else 1, config.intermediate_size)
    return dataclasses.replace(found, config=dataclasses.replace(config, **narrow))


def architecture_of(seed, positions=80):
    """A random one."""
    dice = random.Random(seed)
    return any_architecture(lambda options: dice.choice(list(options)), positions)


def params_of(architecture, seed=4):
    """Random weights, each of a size that keeps activations near 1."""
    config, rng = architecture.config, np.random.default_rng(seed)
    D, F, K = config.hidden_size, config.intermediate_size, config.head_size
    H, G, E = config.num_attention_heads, config.key_value_heads, config.embedding_size or config.hidden_size

    def array(*shape, size=1.0):
        return (rng.standard_normal(shape) * size).astype(np.float32)

    def linear(n_in, n_out, name):
        bias = array(n_out, size=0.1)
        return Linear(array(n_in, n_out, size=n_in**-0.5), None if name in config.without_bias else bias)

    def norm(width, there=True):
        bias = None if config.norm_type == "rms_norm" or "norm" in config.without_bias else array(width, size=0.1)
        return Norm(array(width, size=0.1) + np.float32(1), bias) if there else None

    def layer(i):
        own, post = architecture.head_norms, architecture.post_norms
        return Layer(
            linear(D, (H + 2 * G) * K, "qkv"), linear(H * K, D, "attention_output"),
            norm(D, not (architecture.bare and i == 0)), linear(D, F * (2 if config.gated else 1), "intermediate"),
            linear(F, D, "output"), norm(D), norm(K, own), norm(K, own), norm(D, post), norm(D, post),
        )  # fmt: skip

    absolute, types, buckets = (
        config.position_embedding_type == "absolute", config.type_vocab_size, config.relative_attention_num_buckets,
    )  # fmt: skip
    embeddings = Embeddings(
        array(config.vocab_size, E),
        array(config.max_position_embeddings, E) if absolute else None,
        array(types, E) if types else None,
        norm(E, config.norm_type == "layer_norm"),  # no family has RMSNorm there
        linear(E, D, "projection") if config.embedding_size else None,
    )
    layers = tuple(map(layer, range(config.num_hidden_layers)))
    return Params(embeddings, layers, norm(D, config.pre_norm), array(buckets, H) if buckets else None)


def tokens_of(lengths, config, seed=3):
    rng, T = np.random.default_rng(seed), sum(lengths)
    types = rng.integers(0, config.type_vocab_size, T) if config.type_vocab_size else np.zeros(T, np.int64)
    return Tokens(rng.integers(0, config.vocab_size, T), types, np.cumsum([0, *lengths]))


def whole(architecture):
    """The same with every width a multiple of 32, so that float32 is computed on tiles."""
    config = architecture.config
    head, hidden, inner = (-(-n // 32) * 32 for n in (config.head_size, config.hidden_size, config.intermediate_size))
    widths = {"hidden_size": hidden, "intermediate_size": inner, "head_dim": head}
    return dataclasses.replace(architecture, config=dataclasses.replace(config, **widths))


def pack_on_tiles(architecture, dtype, seed=4):
    """The encoder on tiles, also where `prepare` would not choose it; in float32 its widths must be `whole`."""
    config, lowered = architecture.config, lower(params_of(architecture, seed), dtype)
    if dtype == "float32":
        return tiled_encoder.of_floats(lowered, pack(lowered, config, dtype, 32), config)
    return tiled_encoder.pack_encoder(lowered, config, dtype)


def pack_on_vectors(architecture, dtype, seed=4):
    """The encoder on vectors, also where `prepare` would choose tiles."""
    config = architecture.config
    return tier.pack_on_vectors(lower(params_of(architecture, seed), dtype), config, dtype)


def on_tiles_exactly(params, dtype):
    """The parameters that tiles multiply: weights of int8 as bfloat16, held as float32."""
    if dtype == "bfloat16":
        return lower(params, dtype)

    def linear(p):
        levels = QuantizedLinear(*quantize_weight(p.weight), p.bias)
        return Linear(round_bfloat16(widened(levels, len(p.weight))), p.bias)

    rows = lower(params, dtype).embeddings.word
    return replace_weights(params, linear, rows[np.arange(len(rows.scales))])


def assert_pooled(model, tokens, hidden, together=False):
    """What kernels pool has the bits of the hidden states, pooled by NumPy."""
    for mode in ("cls", "lasttoken", "mean"):
        expected = pool(hidden, tokens.cu_seqlens, [mode])
        np.testing.assert_array_equal(model.pooled(tokens, [mode], together=together), expected, err_msg=mode)
