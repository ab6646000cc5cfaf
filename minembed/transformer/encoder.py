"""A transformer encoder, whole: from token ids to hidden states.  Read this file first, then ops.py.

All texts of a batch lie end to end, with no padding and no mask:

    ids         [101 7592 102 | 101 2088 2003 2307 102]       (T,)     token ids
    cu_seqlens  [0              3                    8]       (B+1,)   text b is rows cu_seqlens[b]:cu_seqlens[b+1]

T tokens of all texts, B texts, N tokens of one text, D hidden_size, F intermediate_size, H heads of width K, of which G
have keys and values of their own (in most models all).

The architecture is BERT (Devlin et al., 2018): each layer is attention, then a feed-forward block, each added to its
input and normalised.  What later models do otherwise is said by `config`, or by a parameter that is not there.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from minembed.transformer.attention import FULL_ATTENTION, Drop, attend
from minembed.transformer.config import Config
from minembed.transformer.ops import ACTIVATION, gate, layer_norm, linear, rms_norm
from minembed.transformer.params import Embeddings, Layer, Norm, Params
from minembed.transformer.positions import AttentionPattern, attention_patterns, positions, rotate
from minembed.transformer.tokens import Tokens
from minembed.types import Array

Observer = Callable[[str, Array], Array | None]
Multiply = Callable[..., Array]  # (x, p) -> x @ p.weight + p.bias, in float32, bfloat16 or int8


def keep_all(place: str) -> Drop | None:
    """Nothing is left out.

    >>> keep_all("layer.0.") is None
    True
    """
    return None


@dataclass(frozen=True, slots=True)
class Operations:
    """What computes the steps, each another function where another tier or compute type does it; and who watches."""

    linear: Multiply = linear
    layer_norm: Callable[..., Array] = layer_norm
    activation: Mapping[str, Callable[..., Array]] = field(default_factory=lambda: ACTIVATION)
    attend: Callable[..., Array] = attend
    drop: Callable[[str], Drop | None] = keep_all  # what training leaves out of attention, by place
    observe: Observer | None = None
    place: str = ""

    def see(self, name: str, x: Array) -> Array:
        """Show an intermediate result to the observer; what he returns, if anything, takes its place."""
        seen = self.observe(self.place + name, x) if self.observe else None
        return x if seen is None else seen


NUMPY = Operations()


def embed(tokens: Tokens, p: Embeddings, config: Config, ops: Operations = NUMPY) -> Array:
    """What the token is, where it stands in its text, and which segment it belongs to: three rows, added."""
    x: Array = p.word[tokens.ids]  # (T,) -> (T, D)
    if p.position is not None:
        x += p.position[positions(tokens, config.padding_idx)]
    if p.token_type is not None:
        x += p.token_type[tokens.types]
    x = normalize(ops.see("embeddings.sum", x), p.norm, config, ops)
    return x if p.projection is None else linear(x, p.projection)  # (T, E) -> (T, D), where they differ


def normalize(x: Array, p: Norm | None, config: Config, ops: Operations = NUMPY) -> Array:
    """Bring each row to a common scale."""
    if p is None:
        return x
    return (rms_norm if config.norm_type == "rms_norm" else ops.layer_norm)(x, p, config.layer_norm_eps)


def feed_forward(x: Array, p: Layer, config: Config, ops: Operations) -> Array:
    """Every token by itself: widen, activate, narrow."""
    h = ops.see("intermediate", ops.linear(x, p.intermediate))  # (T, D) -> (T, F), or (T, 2F)
    activation = ops.activation[config.hidden_act]
    h = gate(h, activation) if config.gated else activation(h, out=h)  # -> (T, F)
    return ops.linear(h, p.output)  # (T, F) -> (T, D)


def self_attention(
    x: Array, p: Layer, tokens: Tokens, config: Config, pattern: AttentionPattern, ops: Operations
) -> Array:
    """Every token gathers what it needs from the other tokens of its text."""
    H, G = config.num_attention_heads, config.key_value_heads
    qkv = ops.see("qkv", ops.linear(x, p.qkv))  # (T, D) -> (T, (H + 2G) K)
    q, k, _ = np.split(qkv.reshape(len(x), H + 2 * G, -1), [H, H + G], axis=1)  # views
    if p.query_norm is not None and p.key_norm is not None:
        q[...], k[...] = normalize(q, p.query_norm, config), normalize(k, p.key_norm, config)
    if pattern.rotary is not None:
        rotate(q, tokens.positions(), pattern.rotary)
        rotate(k, tokens.positions(), pattern.rotary)
    context = ops.attend(qkv, tokens.cu_seqlens, H, G, pattern, ops.drop(ops.place))  # -> (T, H K)
    context = ops.see("context", context)
    return ops.linear(context, p.attention_output)  # (T, H K) -> (T, D)


def transformer_layer(
    x: Array,
    p: Layer,
    tokens: Tokens,
    config: Config,
    pattern: AttentionPattern = FULL_ATTENTION,
    ops: Operations = NUMPY,
) -> Array:  # (T, D) -> (T, D)
    """Attention, then feed-forward; each adds what it found to its input."""

    def attention(x: Array) -> Array:
        return self_attention(x, p, tokens, config, pattern, ops)

    def by_itself(x: Array) -> Array:
        return feed_forward(x, p, config, ops)

    x = add(x, "attention", attention, p.attention_norm, p.attention_post_norm, config, ops)
    return add(x, "feed_forward", by_itself, p.output_norm, p.output_post_norm, config, ops)


def add(
    x: Array,
    name: str,
    block: Callable[[Array], Array],
    norm: Norm | None,
    behind: Norm | None,
    config: Config,
    ops: Operations,
) -> Array:
    """Add what a block makes of x to x; the sum is normalised ("post-norm"), or what enters the block ("pre-norm").

    Where a norm stands `behind` the block, what it makes is normalised too.
    """
    y = ops.see(name, block(normalize(x, norm, config, ops) if config.pre_norm else x))
    y = normalize(y, behind, config, ops)
    y += x
    y = ops.see(f"{name}.sum", y)
    return y if config.pre_norm else normalize(y, norm, config, ops)


def encode(
    tokens: Tokens,
    params: Params,
    config: Config,
    observe: Observer | None = None,
    ops: Operations = NUMPY,
    patterns: tuple[AttentionPattern, ...] | None = None,
) -> Array:
    """Compute the hidden states of every token; `ops` are other ones where the weights are not float32.

    Returns (T, D) in the dtype of the parameters.  `observe(name, array)` is handed "embeddings" and then
    "layer.0", "layer.1", ... as they are computed, and before each what it is made of: "embeddings.sum",
    "layer.0.qkv", "layer.0.context", "layer.0.attention", "layer.0.attention.sum", "layer.0.intermediate",
    "layer.0.feed_forward", "layer.0.feed_forward.sum".  It must not change them, and copies what it keeps; an array
    that it returns is gone on with in place of the one that it was given.  `patterns` is
    `attention_patterns(params, config)`, where it is known already.
    """
    ops = replace(ops, observe=observe) if observe else ops
    x = ops.see("embeddings", embed(tokens, params.embeddings, config, ops))  # (T,) -> (T, D)
    patterns = attention_patterns(params, config) if patterns is None else patterns
    for i, (layer, pattern) in enumerate(zip(params.layers, patterns, strict=True)):
        x = transformer_layer(x, layer, tokens, config, pattern, replace(ops, place=f"layer.{i}."))  # -> (T, D)
        x = ops.see(f"layer.{i}", x)
    return normalize(x, params.final_norm, config, ops)
