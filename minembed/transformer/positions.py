"""Where a token stands, and which tokens it attends to: positions, rotations, and scores that depend on distance.

N tokens of the longest text, H heads, K width of a head.
"""

from dataclasses import dataclass

import numpy as np

from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.transformer.tokens import Tokens
from minembed.types import Array

MAX_DISTANCE = 128  # from which on all distances share MPNet's last bucket


@dataclass(frozen=True, slots=True)
class AttentionPattern:
    """What the tokens of a layer attend to: all of their text alike, unless said otherwise."""

    rotary: Array | None = None  # (2, N, K/2): cosine and sine of the angles by which a position turns
    bias: Array | None = None  # (H, 2N-1): added to the score of a token `column - (N-1)` places further on
    back: int | None = None  # how many places back a token attends to; None: all
    ahead: int | None = None


def attention_patterns(params: Params, config: Config) -> tuple[AttentionPattern, ...]:
    """The pattern of each layer, for texts of up to max_tokens.

    >>> config = Config(9, 4, 3, 2, 8, 16, 0, "gelu", 1e-5, local_attention=6, global_attn_every_n_layers=2)
    >>> params = Params(None, ())
    >>> [(pattern.back, pattern.ahead) for pattern in attention_patterns(params, config)]
    [(None, None), (3, 3), (None, None)]
    """
    everywhere = _pattern(params, config, config.rope_theta, None)
    if not config.local_attention:
        return (everywhere,) * config.num_hidden_layers
    nearby = _pattern(params, config, config.local_rope_theta, config.local_attention // 2)
    return tuple(nearby if config.is_local(i) else everywhere for i in range(config.num_hidden_layers))


def _pattern(params: Params, config: Config, theta: float, window: int | None) -> AttentionPattern:
    N = config.max_tokens
    rotary = rotary_table(config, theta, N) if config.position_embedding_type == "rotary" else None
    ahead = 0 if config.causal else window
    distance = np.arange(1 - N, N)  # of the token that is seen, from the token that sees it
    parts = []
    if params.relative_attention_bias is not None:
        buckets = relative_buckets(distance, config.relative_attention_num_buckets)
        parts.append(params.relative_attention_bias[buckets].T)  # (2N-1,) -> (H, 2N-1)
    if config.position_embedding_type == "alibi":
        parts.append(-alibi_slopes(config.num_attention_heads)[:, None] * np.abs(distance))
    bias = sum(parts[1:], parts[0]).astype(np.float32) if parts else None
    return AttentionPattern(rotary, None if bias is None else np.ascontiguousarray(bias), window, ahead)


def positions(tokens: Tokens, padding_idx: int | None) -> Array:  # -> (T,)
    """Count the tokens of each text from 0; with a padding_idx, from padding_idx + 1, skipping tokens with that id.

    >>> tokens = Tokens(np.array([5, 1, 7, 8]), np.zeros(4, int), np.array([0, 3, 4]))
    >>> positions(tokens, None).tolist(), positions(tokens, 1).tolist()
    ([0, 1, 2, 0], [2, 1, 3, 2])
    """
    if padding_idx is None:
        return tokens.positions()
    counted = tokens.ids != padding_idx
    so_far = np.cumsum(counted)
    before = np.concatenate([[0], so_far])[tokens.cu_seqlens[:-1]]
    return (so_far - np.repeat(before, tokens.lengths())) * counted + padding_idx


def rotary_table(config: Config, theta: float, N: int) -> Array:  # -> (2, N, K/2)
    """Cosine and sine of position times frequency (Su et al., 2021), rounded to float32 where the reference rounds.

    `rope_scaling` divides the positions.

    >>> rotary_table(Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5), 10000.0, 2).round(4).tolist()
    [[[1.0], [0.5403000116348267]], [[0.0], [0.8414999842643738]]]
    """
    exponents = np.arange(0, config.head_size, 2, dtype=np.float32) / np.float32(config.head_size)
    frequencies = np.float32(1) / np.float32(theta) ** exponents / np.float32(config.rope_scaling)
    angles = np.arange(N, dtype=np.float32)[:, None] * frequencies
    return np.stack([np.cos(angles), np.sin(angles)])


def relative_buckets(distance: Array, buckets: int) -> Array:
    """Number the ranges of distances (buckets) of MPNet and T5 (Raffel et al., 2020): half of them back, half ahead.

    Each small distance has its own bucket; larger ones share buckets, whose width grows exponentially.

    >>> relative_buckets(np.array([-200, -9, -1, 0, 1, 9, 200]), 32).tolist()
    [15, 8, 1, 0, 17, 24, 31]
    """
    half = buckets // 2
    exact = half // 2
    far = np.abs(distance)
    logarithm = np.log(np.maximum(far, 1).astype(np.float32) / np.float32(exact)) / np.float32(
        np.log(MAX_DISTANCE / exact)
    )
    large = exact + (logarithm * np.float32(half - exact)).astype(np.int64)
    return np.where(distance > 0, half, 0) + np.where(far < exact, far, np.minimum(large, half - 1))


def alibi_slopes(heads: int) -> Array:  # -> (H,)
    """How fast the score of each head falls with distance (Press et al., 2022).

    >>> alibi_slopes(4).tolist()
    [0.25, 0.0625, 0.015625, 0.00390625]
    """
    whole = 1 << (heads.bit_length() - 1)  # the largest power of 2 up to heads
    slopes = [2.0 ** (-8 * (i + 1) / whole) for i in range(whole)]
    between = [2.0 ** (-4 * (i + 1) / whole) for i in range(0, 2 * (heads - whole), 2)]
    return np.array(slopes + between, dtype=np.float64)


def rotate(x: Array, places: Array, rotary: Array) -> None:  # (T, heads, K), (T,)
    """Rotate the two halves of each head by the angles of the token's position, in place.

    >>> x = np.float32([[[1, 0]]])
    >>> rotate(x, np.array([1]), np.float32([[[1], [0.6]], [[0], [0.8]]]))
    >>> x.tolist()
    [[[0.6000000238418579, 0.800000011920929]]]
    """
    cos, sin = rotary[:, places, None].astype(x.dtype, copy=False)  # (T, 1, K/2) each
    a, b = np.split(x, 2, axis=-1)
    turned = a * cos - b * sin, b * cos + a * sin
    a[...], b[...] = turned
