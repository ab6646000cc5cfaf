"""The whole transformer encoder: from token ids to hidden states.  Read this file first, then ops.py.

All texts of a batch lie end to end, with no padding and no mask:

    ids         [101 7592 102 | 101 2088 2003 2307 102]       (T,)     token ids
    cu_seqlens  [0              3                    8]       (B+1,)   text b is rows cu_seqlens[b]:cu_seqlens[b+1]

T tokens of all texts, B texts, N tokens of one text, D hidden_size, F intermediate_size, H heads of queries of width K
that share G heads of keys and values (in most models G = H), E width of the embeddings where it is not D.

The architecture is BERT (Devlin et al., 2018): each layer is attention, then a feed-forward block, each added to its
input and normalised.  Where later models differ, `config` says so, or a parameter is None.

The argument `ops` (operations.py; not the module ops.py) holds the functions that compute the steps: linear, layer_norm
and the activations of ops.py, attend of attention.py, or those of another dtype.  `ops.see(name, x)` shows x to the
observer, if there is one, and returns it; `ops.drop(ops.place)` is dropout at a place such as "layer.3.", and None
except in training.
"""

from dataclasses import replace

import numpy as np

from minembed.transformer.attention import FULL_ATTENTION
from minembed.transformer.attention_seen import attend_seen
from minembed.transformer.config import Config
from minembed.transformer.operations import NUMPY, Observer, Operations
from minembed.transformer.ops import gate, linear, rms_norm
from minembed.transformer.params import Embeddings, Layer, Norm, Params
from minembed.transformer.positions import AttentionPattern, attention_patterns, positions, rotate
from minembed.transformer.tokens import Tokens
from minembed.types import Array


def normalize(x: Array, p: Norm | None, config: Config, ops: Operations = NUMPY, name: str = "") -> Array:
    """Bring each row to a common scale, (..., D) -> (..., D); without a norm, return x unchanged."""
    if p is None:
        return x
    y = (rms_norm if config.norm_type == "rms_norm" else ops.layer_norm)(x, p, config.layer_norm_eps)
    return ops.see(name, y) if name else y


def embed(tokens: Tokens, p: Embeddings, config: Config, ops: Operations = NUMPY) -> Array:
    """Add three rows for each token: one for the token, one for its position, one for its segment."""
    x: Array = ops.see("embeddings.word", p.word[tokens.ids])  # (T,) -> (T, D)
    if p.position is not None:
        x += ops.see("embeddings.position", p.position[positions(tokens, config.padding_idx)])
    if p.token_type is not None:
        x += ops.see("embeddings.token_type", p.token_type[tokens.types])
    x = normalize(ops.see("embeddings.sum", x), p.norm, config, ops)
    return x if p.projection is None else linear(ops.see("embeddings.norm", x), p.projection)  # (T, E) -> (T, D)


def self_attention(
    x: Array, p: Layer, tokens: Tokens, config: Config, pattern: AttentionPattern, ops: Operations
) -> Array:
    """Every token collects information from the other tokens of its text."""
    H, G = config.num_attention_heads, config.key_value_heads
    qkv = ops.see("qkv", ops.linear(x, p.qkv))  # (T, D) -> (T, (H + 2G) K)
    q, k, _ = np.split(qkv.reshape(len(x), H + 2 * G, -1), [H, H + G], axis=1)  # views: (T, H, K), twice (T, G, K)
    if p.query_norm is not None and p.key_norm is not None:
        q[...], k[...] = normalize(q, p.query_norm, config), normalize(k, p.key_norm, config)
    if pattern.rotary is not None:
        rotate(q, tokens.positions(), pattern.rotary)
        rotate(k, tokens.positions(), pattern.rotary)
    if ops.attention_seen:
        context = attend_seen(ops.see, qkv, tokens.cu_seqlens, H, G, pattern)  # the same result; also shows its parts
    else:
        context = ops.attend(qkv, tokens.cu_seqlens, H, G, pattern, ops.drop(ops.place))  # -> (T, H K)
    y = ops.linear(ops.see("context", context), p.attention_output)  # (T, H K) -> (T, D)
    return normalize(ops.see("attention", y), p.attention_post_norm, config, ops, "attention_post_norm")


def feed_forward(x: Array, p: Layer, config: Config, ops: Operations) -> Array:
    """For each token alone: widen, activate, narrow."""
    h = ops.see("intermediate", ops.linear(x, p.intermediate))  # (T, D) -> (T, F), or (T, 2F)
    activation = ops.activation[config.hidden_act]
    h = ops.see("activated", gate(h, activation) if config.gated else activation(h, out=h))  # -> (T, F)
    y = ops.linear(h, p.output)  # (T, F) -> (T, D)
    return normalize(ops.see("feed_forward", y), p.output_post_norm, config, ops, "output_post_norm")


def transformer_layer(
    x: Array,
    p: Layer,
    tokens: Tokens,
    config: Config,
    pattern: AttentionPattern = FULL_ATTENTION,
    ops: Operations = NUMPY,
) -> Array:  # (T, D) -> (T, D)
    """Attention, then feed-forward; the result of each is added to its input.

    post-norm, as in BERT: x = norm(x + block(x))        pre-norm (Xiong et al., 2020): x = x + block(norm(x))
    """
    if config.pre_norm:
        h = normalize(x, p.attention_norm, config, ops, "attention_norm")
        x = ops.see("attention.sum", x + self_attention(h, p, tokens, config, pattern, ops))
        h = normalize(x, p.output_norm, config, ops, "output_norm")
        return ops.see("feed_forward.sum", x + feed_forward(h, p, config, ops))
    x = ops.see("attention.sum", x + self_attention(x, p, tokens, config, pattern, ops))
    x = normalize(x, p.attention_norm, config, ops, "attention_norm")
    x = ops.see("feed_forward.sum", x + feed_forward(x, p, config, ops))
    return normalize(x, p.output_norm, config, ops)


def encode(
    tokens: Tokens,
    params: Params,
    config: Config,
    observe: Observer | None = None,
    ops: Operations = NUMPY,
    patterns: tuple[AttentionPattern, ...] | None = None,
) -> Array:
    """Compute the hidden states of every token: (T, D), in the dtype of the parameters.

    `observe(name, array)` is called for each intermediate result as it is computed, with its name in `ops.see`:
    "embeddings.word", ..., "embeddings", then for each layer "layer.0.qkv", ..., and "layer.0", the layer's result.  It
    must not write into the arrays, and must copy what it keeps.  To change a result, it returns another array, and the
    computation continues with that.  With `attention_seen` in `ops` it also sees the parts of each text's attention
    (attention_seen.py).  `ops` must be other functions if the weights are not float32.  `patterns` is
    `attention_patterns(params, config)`, if the caller has computed it already.
    """
    ops = replace(ops, observe=observe) if observe else ops
    patterns = attention_patterns(params, config) if patterns is None else patterns
    x = ops.see("embeddings", embed(tokens, params.embeddings, config, ops))  # (T,) -> (T, D)
    for i, (layer, pattern) in enumerate(zip(params.layers, patterns, strict=True)):
        x = transformer_layer(x, layer, tokens, config, pattern, replace(ops, place=f"layer.{i}."))  # -> (T, D)
        x = ops.see(f"layer.{i}", x)
    return normalize(x, params.final_norm, config, ops, "final_norm")
