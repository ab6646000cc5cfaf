"""A transformer encoder, whole: from token ids to hidden states.  Read this file first, then ops.py.

All texts of a batch lie end to end, with no padding and no mask:

    ids         [101 7592 102 | 101 2088 2003 2307 102]       (T,)     token ids
    cu_seqlens  [0              3                    8]       (B+1,)   text b is rows cu_seqlens[b]:cu_seqlens[b+1]

T tokens of all texts, B texts, N tokens of one text, D hidden_size, F intermediate_size, H heads of width K, of which G
have keys and values of their own (in most models all).

The architecture is BERT (Devlin et al., 2018): each layer is attention, then a feed-forward block, each added to its
input and normalised.  What later models do otherwise is said by `config`, or by a parameter that is not there.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from minembed.attention import EVERYWHERE, attend
from minembed.config import Config
from minembed.ops import ACTIVATION, gate, layer_norm, linear, rms_norm
from minembed.params import Array, Embeddings, Layer, Norm, Params
from minembed.positions import Sight, positions, rotate, sights
from minembed.quantization import linear_bfloat16, linear_int8, lower
from minembed.tokens import Tokens

Observer = Callable[[str, Array], None]
Multiply = Callable[..., Array]  # (x, p) -> x @ p.weight + p.bias, in float32, bfloat16 or int8
LINEAR: dict[str, Multiply] = {"float32": linear, "bfloat16": linear_bfloat16, "int8": linear_int8}


def embed(tokens: Tokens, p: Embeddings, config: Config) -> Array:
    """What the token is, where it stands in its text, and which segment it belongs to: three rows, added."""
    x: Array = p.word[tokens.ids]  # (T,) -> (T, D)
    if p.position is not None:
        x += p.position[positions(tokens, config.padding_idx)]
    if p.token_type is not None:
        x += p.token_type[tokens.types]
    x = normalize(x, p.norm, config)
    return x if p.projection is None else linear(x, p.projection)  # (T, E) -> (T, D), where they differ


def normalize(x: Array, p: Norm | None, config: Config) -> Array:
    """Bring each row to a common scale."""
    if p is None:
        return x
    return (rms_norm if config.norm_type == "rms_norm" else layer_norm)(x, p, config.layer_norm_eps)


def feed_forward(x: Array, p: Layer, config: Config, linear: Multiply) -> Array:
    """Every token by itself: widen, bend, narrow."""
    h = linear(x, p.intermediate)  # (T, D) -> (T, F), or (T, 2F)
    h = gate(h, config.hidden_act) if config.gated else ACTIVATION[config.hidden_act](h, out=h)  # -> (T, F)
    return linear(h, p.output)  # (T, F) -> (T, D)


def self_attention(x: Array, p: Layer, tokens: Tokens, config: Config, sight: Sight, linear: Multiply) -> Array:
    """Every token gathers what it needs from the other tokens of its text."""
    H, G = config.num_attention_heads, config.key_value_heads
    qkv = linear(x, p.qkv)  # (T, D) -> (T, (H + 2G) K)
    q, k, _ = np.split(qkv.reshape(len(x), H + 2 * G, -1), [H, H + G], axis=1)  # views
    if p.query_norm is not None and p.key_norm is not None:
        q[...], k[...] = normalize(q, p.query_norm, config), normalize(k, p.key_norm, config)
    if sight.rotary is not None:
        rotate(q, tokens.positions(), sight.rotary)
        rotate(k, tokens.positions(), sight.rotary)
    context = attend(qkv, tokens.cu_seqlens, H, G, sight)  # -> (T, H K)
    return linear(context, p.attention_output)  # (T, H K) -> (T, D)


def transformer_layer(
    x: Array, p: Layer, tokens: Tokens, config: Config, sight: Sight = EVERYWHERE, linear: Multiply = linear
) -> Array:  # (T, D) -> (T, D)
    """Attention, then feed-forward; each adds what it found to its input."""

    def attention(x: Array) -> Array:
        return self_attention(x, p, tokens, config, sight, linear)

    def by_itself(x: Array) -> Array:
        return feed_forward(x, p, config, linear)

    x = add(x, attention, p.attention_norm, p.attention_post_norm, config)
    return add(x, by_itself, p.output_norm, p.output_post_norm, config)


def add(x: Array, block: Callable[[Array], Array], norm: Norm | None, behind: Norm | None, config: Config) -> Array:
    """Add what a block makes of x to x; the sum is normalised ("post-norm"), or what enters the block ("pre-norm").

    Where a norm stands `behind` the block, what it makes is normalised too.
    """
    y = normalize(block(normalize(x, norm, config) if config.pre_norm else x), behind, config)
    y += x
    return y if config.pre_norm else normalize(y, norm, config)


def encode(
    tokens: Tokens,
    params: Params,
    config: Config,
    observe: Observer | None = None,
    linear: Multiply = linear,
    seen: tuple[Sight, ...] | None = None,
) -> Array:
    """Compute the hidden states of every token; `linear` is another one where the weights are not float32.

    Returns (T, D) in the dtype of the parameters.  `observe(name, array)` is handed "embeddings" and then
    "layer.0", "layer.1", ... as they are computed; it must not change them.  `seen` is `sights(params, config)`,
    where it is known already.
    """
    x = embed(tokens, params.embeddings, config)  # (T,) -> (T, D)
    if observe:
        observe("embeddings", x)
    for i, (layer, sight) in enumerate(zip(params.layers, seen or sights(params, config), strict=True)):
        x = transformer_layer(x, layer, tokens, config, sight, linear)  # (T, D) -> (T, D)
        if observe:
            observe(f"layer.{i}", x)
    return normalize(x, params.final_norm, config)


def prepare(params: Params, config: Config, dtype: str) -> Callable[..., Array]:
    """Make the NumPy tier ready: a function of tokens (and, if wanted, an observer) to hidden states.

    Raises InputError for a compute type that does not exist.
    """
    seen = sights(params, config)
    return partial(encode, params=lower(params, dtype), config=config, linear=LINEAR[dtype], seen=seen)
