"""Attention in plain NumPy, the only step that mixes tokens: each token attends to the tokens of its own text.

T tokens of all texts end to end, N tokens of one text, H heads, G heads of keys and values, K width of a head.  The
float32 tier of kernels/encoder/attention.py computes the same.
"""

import math
from collections.abc import Callable, Iterator
from itertools import groupby

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minembed.transformer.ops import softmax
from minembed.transformer.positions import AttentionPattern
from minembed.types import Array

SCORES_BLOCK = 1 << 17  # elements: the scores of a few heads at a time stay in a core's second-level cache
UNSPLIT_LENGTH = 1024  # tokens; longer texts are computed in blocks of queries, so that memory does not grow with N^2
FULL_ATTENTION = AttentionPattern()
Drop = Callable[[Array, tuple[int, int, int]], Array]
Softmax = Callable[[Array], Array]


def attend(
    qkv: Array,
    cu_seqlens: Array,
    num_heads: int,
    num_key_value_heads: int | None = None,
    pattern: AttentionPattern = FULL_ATTENTION,
    drop: Drop | None = None,
    softmax: Softmax = softmax,
) -> Array:  # (T, (H + 2G) K), (B+1,) -> (T, H K)
    """Let every token attend to the tokens of its own text (Vaswani et al., 2017): softmax(Q K^T / sqrt(K) + bias) V.

    Consecutive texts of equal length share one call of matmul: NumPy multiplies the small matrices one by one, so this
    only saves overhead, and does not change the result.  `pattern` says which keys a query reaches, and the bias that
    distance adds to a score.  In training, `drop(probabilities, where)` sets some to zero; `where` is three numbers
    that differ between calls.

    >>> qkv = np.tile(np.float32([0, 0, 1]), (3, 1))               # equal scores: the average of the values
    >>> attend(qkv, np.array([0, 1, 3]), num_heads=1).tolist()
    [[1.0], [1.0], [1.0]]
    """
    H, G = num_heads, num_key_value_heads or num_heads
    out = np.empty((len(qkv), qkv.shape[1] // (H + 2 * G) * H), qkv.dtype)
    for n, N, start, stop in runs_of_equal_length(cu_seqlens):
        q, k, v = by_heads(qkv[start:stop], n, H, G)
        context = np.empty_like(v)
        for heads, queries, keys in blocks(n * H, N, pattern):
            p = probabilities(q, k, heads, queries, keys, pattern, softmax)  # (., queries, keys)
            if drop is not None:
                p = drop(p, (start, heads.start, queries.start))
            context[heads, queries] = p @ v[heads, keys]  # (., queries, K)
        out[start:stop] = context.reshape(n, H, N, -1).transpose(0, 2, 1, 3).reshape(n * N, -1)
    return out


def runs_of_equal_length(cu_seqlens: Array) -> Iterator[tuple[int, int, int, int]]:
    """Runs of consecutive texts of equal length: their number, their length, their first row, the row after the last.

    >>> list(runs_of_equal_length(np.array([0, 2, 4, 7])))
    [(2, 2, 0, 4), (1, 3, 4, 7)]
    """
    start = 0
    for N, texts in groupby(np.diff(cu_seqlens).tolist()):
        n = sum(1 for _ in texts)
        yield n, N, start, start + n * N
        start += n * N


def by_heads(qkv: Array, n: int, H: int, G: int) -> tuple[Array, Array, Array]:
    """Queries, divided by sqrt(K), keys and values of n texts of one length N: for each text and head, a matrix.

    (n N, (H + 2G) K) -> (n H, N, K), (n H, K, N), (n H, N, K); keys are transposed.

    >>> q, k, v = by_heads(np.arange(12).reshape(2, 6) * 1.0, n=1, H=2, G=2)
    >>> q.tolist(), k.tolist()
    ([[[0.0], [6.0]], [[1.0], [7.0]]], [[[2.0, 8.0]], [[3.0, 9.0]]])
    """
    rows = qkv.reshape(n, len(qkv) // n, H + 2 * G, -1)
    q = _matrices(rows[:, :, :H].transpose(0, 2, 1, 3))
    k = _matrices(rows[:, :, H : H + G].transpose(0, 2, 3, 1).repeat(H // G, axis=1))
    v = _matrices(rows[:, :, H + G :].transpose(0, 2, 1, 3).repeat(H // G, axis=1))
    q /= math.sqrt(q.shape[-1])
    return q, k, v


def _matrices(x: Array) -> Array:  # (n, H, ., .) -> (n H, ., .), contiguous, which is fastest for BLAS
    return np.array(x, order="C").reshape(-1, *x.shape[2:])


def blocks(matrices: int, N: int, pattern: AttentionPattern) -> Iterator[tuple[slice, slice, slice]]:
    """Split the work into blocks: the matrices of each, some of their queries, and the keys that these reach.

    How a text is split depends only on its length.

    >>> list(blocks(2, 3, FULL_ATTENTION))
    [(slice(0, 2, None), slice(0, 3, None), slice(0, 3, None))]
    """
    step = max(1, SCORES_BLOCK // N**2)
    for first_head in range(0, matrices, step):
        heads = slice(first_head, min(first_head + step, matrices))
        if N <= UNSPLIT_LENGTH:
            yield heads, slice(0, N), slice(0, N)
            continue
        rows = SCORES_BLOCK // UNSPLIT_LENGTH
        for first in range(0, N, rows):
            last = min(first + rows, N)
            begin = 0 if pattern.back is None else max(0, first - pattern.back)
            end = N if pattern.ahead is None else min(N, last + pattern.ahead)
            yield heads, slice(first, last), slice(begin, end)


def probabilities(
    q: Array, k: Array, heads: slice, queries: slice, keys: slice, pattern: AttentionPattern, softmax: Softmax = softmax
) -> Array:
    """The weights with which each token attends to others: softmax(Q K^T + bias) -> (heads, queries, keys).

    >>> q, k, _ = by_heads(np.zeros((2, 3)), n=1, H=1, G=1)
    >>> probabilities(q, k, *next(blocks(1, 2, FULL_ATTENTION)), FULL_ATTENTION).tolist()
    [[[0.5, 0.5], [0.5, 0.5]]]
    """
    return softmax(add_distance(q[heads, queries] @ k[heads, :, keys], heads, queries, keys, pattern))


def add_distance(scores: Array, heads: slice, queries: slice, keys: slice, pattern: AttentionPattern) -> Array:
    """Add to scores, in place, what depends only on distance: the bias, and -inf for keys that a query does not reach.

    >>> add_distance(np.zeros((1, 2, 2)), *[slice(0, n) for n in (1, 2, 2)], AttentionPattern(ahead=0)).tolist()
    [[[0.0, -inf], [0.0, 0.0]]]
    """
    if pattern.bias is not None:
        scores += _bias(pattern.bias, heads, queries, keys)
    if pattern.back is not None or pattern.ahead is not None:
        scores[:, ~_reached(queries, keys, pattern)] = -np.inf
    return scores


def _bias(bias: Array, heads: slice, queries: slice, keys: slice) -> Array:  # -> (heads, queries, keys)
    """The bias that distance adds to the scores: row i is bias[:, keys - i + N-1]."""
    which = np.arange(heads.start, heads.stop) % len(bias)
    first = bias.shape[1] // 2 + keys.start - queries.start  # the column of distance 0 is in the middle
    starts = np.arange(first, first - (queries.stop - queries.start), -1)
    return sliding_window_view(bias, keys.stop - keys.start, axis=1)[which[:, None], starts]


def _reached(queries: slice, keys: slice, pattern: AttentionPattern) -> Array:  # -> (queries, keys)
    """Which keys are within reach of each query."""
    distance = np.arange(keys.start, keys.stop) - np.arange(queries.start, queries.stop)[:, None]
    far = keys.stop + queries.stop  # larger than any distance
    return (distance >= -(far if pattern.back is None else pattern.back)) & (
        distance <= (far if pattern.ahead is None else pattern.ahead)
    )
