"""Attention again, step by step and text by text, for an observer: with the same functions and the same bits.

H heads, N tokens of one text, K width of a head; heads that share keys and values each see a copy.
"""

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from minembed.transformer.attention import add_distance, blocks, by_heads
from minembed.transformer.ops import softmax
from minembed.transformer.positions import AttentionPattern
from minembed.types import Array

See = Callable[[str, Array], Array]


def attend_seen(
    see: See, qkv: Array, cu_seqlens: Array, num_heads: int, num_key_value_heads: int, pattern: AttentionPattern
) -> Array:  # (T, (H + 2G) K), (B+1,) -> (T, H K)
    """Compute `attend`, and show "query.b", "key.b", "value.b", "scores.b" and "probabilities.b" of each text b.

    Queries, keys and values are (H, N, K), as they are used: queries are divided by sqrt(K).  Scores and probabilities
    are (H, N, N), with a row for each query; keys that a query does not reach have the score -inf.

    >>> from minembed.transformer.attention import FULL_ATTENTION
    >>> def see(name, x):
    ...     print(name, x.tolist())
    ...     return x
    >>> attend_seen(see, np.float32([[0, 1, 3], [0, 2, 5]]), np.array([0, 2]), 1, 1, FULL_ATTENTION).tolist()
    query.0 [[[0.0], [0.0]]]
    key.0 [[[1.0], [2.0]]]
    value.0 [[[3.0], [5.0]]]
    scores.0 [[[0.0, 0.0], [0.0, 0.0]]]
    probabilities.0 [[[0.5, 0.5], [0.5, 0.5]]]
    [[4.0], [4.0]]
    """
    H, bounds = num_heads, cu_seqlens.tolist()
    out = np.empty((len(qkv), qkv.shape[1] // (H + 2 * num_key_value_heads) * H), qkv.dtype)
    for text, (start, stop) in enumerate(pairwise(bounds)):
        q, k, v = by_heads(qkv[start:stop], 1, H, num_key_value_heads)
        q = see(f"query.{text}", q)
        k = np.ascontiguousarray(see(f"key.{text}", k.transpose(0, 2, 1)).transpose(0, 2, 1))
        v = see(f"value.{text}", v)
        p = see(f"scores.{text}", scores(q, k, pattern))
        p = see(f"probabilities.{text}", over_keys(p, pattern))
        out[start:stop] = mix(p, v, pattern)
    return out


def scores(q: Array, k: Array, pattern: AttentionPattern) -> Array:  # (H, N, K), (H, K, N) -> (H, N, N)
    """The score of each key for each query: Q K^T and the bias of distance, -inf for keys out of reach.

    >>> from minembed.transformer.attention import FULL_ATTENTION
    >>> scores(np.ones((1, 2, 1)), np.float64([[[1, 2]]]), FULL_ATTENTION).tolist()
    [[[1.0, 2.0], [1.0, 2.0]]]
    """
    out = np.full((len(q), q.shape[1], q.shape[1]), -np.inf, q.dtype)
    for heads, queries, keys in blocks(len(q), q.shape[1], pattern):
        out[heads, queries, keys] = add_distance(q[heads, queries] @ k[heads, :, keys], heads, queries, keys, pattern)
    return out


def over_keys(x: Array, pattern: AttentionPattern) -> Array:  # (H, N, N) -> (H, N, N)
    """Softmax over the keys; keys that a block of queries does not reach are left out of its sums.

    >>> from minembed.transformer.attention import FULL_ATTENTION
    >>> over_keys(np.zeros((1, 2, 2)), FULL_ATTENTION).tolist()
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    out = np.zeros_like(x)
    for heads, queries, keys in blocks(len(x), x.shape[1], pattern):
        out[heads, queries, keys] = softmax(x[heads, queries, keys])
    return out


def mix(p: Array, v: Array, pattern: AttentionPattern) -> Array:  # (H, N, N), (H, N, K) -> (N, H K)
    """The weighted sums of values: P V, with the heads side by side.

    >>> from minembed.transformer.attention import FULL_ATTENTION
    >>> mix(np.float64([[[1, 0], [0.5, 0.5]]]), np.float64([[[3], [5]]]), FULL_ATTENTION).tolist()
    [[3.0], [4.0]]
    """
    out = np.empty_like(v)
    for heads, queries, keys in blocks(len(v), v.shape[1], pattern):
        out[heads, queries] = np.ascontiguousarray(p[heads, queries, keys]) @ v[heads, keys]
    return out.transpose(1, 0, 2).reshape(v.shape[1], -1)
