"""A transformer encoder, whole: from token ids to hidden states.  Read this file first, then ops.py.

All texts of a batch lie end to end, with no padding and no mask:

    ids         [101 7592 102 | 101 2088 2003 2307 102]       (T,)     token ids
    cu_seqlens  [0              3                    8]       (B+1,)   text b is rows cu_seqlens[b]:cu_seqlens[b+1]

T tokens of all texts, B texts, N tokens of one text, D hidden_size, F intermediate_size, H heads.
The architecture is BERT (Devlin et al., 2018): each layer is attention, then a feed-forward block, each added to
its input and normalised ("post-norm").
"""

from collections.abc import Callable
from functools import partial

from minembed.config import Config
from minembed.ops import attend, gelu, layer_norm, linear
from minembed.params import Array, Embeddings, Layer, Params
from minembed.quantization import linear_bfloat16, linear_int8, lower
from minembed.tokens import Tokens

Observer = Callable[[str, Array], None]
Multiply = Callable[..., Array]  # (x, p) -> x @ p.weight + p.bias, in float32, bfloat16 or int8
LINEAR: dict[str, Multiply] = {"float32": linear, "bfloat16": linear_bfloat16, "int8": linear_int8}


def embed(tokens: Tokens, p: Embeddings, config: Config) -> Array:
    """What the token is, where it stands in its text, and which segment it belongs to: three rows, added."""
    x: Array = p.word[tokens.ids]  # (T,) -> (T, D)
    x += p.position[tokens.positions()]
    x += p.token_type[tokens.types]
    return layer_norm(x, p.norm, config.layer_norm_eps)


def feed_forward(x: Array, p: Layer, linear: Multiply) -> Array:
    """Every token by itself: widen, bend, narrow."""
    h = linear(x, p.intermediate)  # (T, D) -> (T, F)
    gelu(h, out=h)
    return linear(h, p.output)  # (T, F) -> (T, D)


def self_attention(x: Array, p: Layer, cu_seqlens: Array, config: Config, linear: Multiply) -> Array:
    """Every token gathers what it needs from the other tokens of its text."""
    qkv = linear(x, p.qkv)  # (T, D) -> (T, 3D)
    context = attend(qkv, cu_seqlens, config.num_attention_heads)  # (T, 3D) -> (T, D)
    return linear(context, p.attention_output)  # (T, D) -> (T, D)


def transformer_layer(
    x: Array, p: Layer, cu_seqlens: Array, config: Config, linear: Multiply = linear
) -> Array:  # (T, D) -> (T, D)
    """Attention, then feed-forward; each adds what it found to its input, and the sum is normalised."""
    y = self_attention(x, p, cu_seqlens, config, linear)  # (T, D)
    y += x
    x = layer_norm(y, p.attention_norm, config.layer_norm_eps)
    y = feed_forward(x, p, linear)  # (T, D)
    y += x
    return layer_norm(y, p.output_norm, config.layer_norm_eps)


def encode(
    tokens: Tokens, params: Params, config: Config, observe: Observer | None = None, linear: Multiply = linear
) -> Array:
    """Compute the hidden states of every token; `linear` is another one where the weights are not float32.

    Returns (T, D) in the dtype of the parameters.  `observe(name, array)` is handed "embeddings" and then
    "layer.0", "layer.1", ... as they are computed; it must not change them.
    """
    x = embed(tokens, params.embeddings, config)  # (T,) -> (T, D)
    if observe:
        observe("embeddings", x)
    for i, layer in enumerate(params.layers):
        x = transformer_layer(x, layer, tokens.cu_seqlens, config, linear)  # (T, D) -> (T, D)
        if observe:
            observe(f"layer.{i}", x)
    return x


def prepare(params: Params, config: Config, dtype: str) -> Callable[..., Array]:
    """Make the NumPy tier ready: a function of tokens (and, if wanted, an observer) to hidden states.

    Raises InputError for a compute type that does not exist.
    """
    return partial(encode, params=lower(params, dtype), config=config, linear=LINEAR[dtype])
