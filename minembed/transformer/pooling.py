"""From the hidden states of a text's tokens to one vector: pooling, normalisation, truncation, quantisation."""

from collections.abc import Sequence

import numpy as np

from minembed.errors import InputError, UnsupportedModelError
from minembed.types import Array

BLOCK = 32  # rows whose sum is added at once: sums of sums are more exact


def _sums(x: Array, cu_seqlens: Array) -> Array:
    out = np.zeros((len(cu_seqlens) - 1, x.shape[1]), x.dtype)
    bounds = cu_seqlens.tolist()  # Tokens refuses a text without tokens
    for total, begin, end in zip(out, bounds, bounds[1:], strict=False):  # np.add.reduceat takes ten times as long
        for start in range(begin, end, BLOCK):
            total += np.add.reduce(x[start : min(start + BLOCK, end)], axis=0)
    return out


def _counts(x: Array, cu_seqlens: Array) -> Array:
    if len(cu_seqlens) == 2:  # one text, in few steps
        return x.dtype.type(len(x))
    return np.diff(cu_seqlens).astype(x.dtype)[:, None]  # an integer count would turn float32 into float64


def mean_pool(x: Array, cu_seqlens: Array) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Average the tokens of each text.

    >>> mean_pool(np.float32([[1, 1], [3, 5], [9, 9]]), np.array([0, 2, 3])).tolist()
    [[2.0, 3.0], [9.0, 9.0]]
    """
    return _sums(x, cu_seqlens) / _counts(x, cu_seqlens)


def cls_pool(x: Array, cu_seqlens: Array) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Take the first token of each text.

    >>> cls_pool(np.float32([[1], [3], [9]]), np.array([0, 2, 3])).tolist()
    [[1.0], [9.0]]
    """
    return x[cu_seqlens[:-1]]


def max_pool(x: Array, cu_seqlens: Array) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Take the largest value of each column.

    >>> max_pool(np.float32([[1, 7], [3, 5], [9, 9]]), np.array([0, 2, 3])).tolist()
    [[3.0, 7.0], [9.0, 9.0]]
    """
    return np.maximum.reduceat(x, cu_seqlens[:-1], axis=0)


def mean_sqrt_len_pool(x: Array, cu_seqlens: Array) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Divide the sum by the square root of the number of tokens.

    >>> mean_sqrt_len_pool(np.float32([[1], [1], [1], [5]]), np.array([0, 4])).tolist()
    [[4.0]]
    """
    return _sums(x, cu_seqlens) / np.sqrt(_counts(x, cu_seqlens))


def weighted_mean_pool(x: Array, cu_seqlens: Array, skipped: int = 0) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Average with weights 1, 2, 3, ... so that later tokens count more (Muennighoff, 2022).

    Weights begin after those of the `skipped` tokens at the beginning of each text.

    >>> weighted_mean_pool(np.float32([[3], [6], [9]]), np.array([0, 2, 3])).tolist()
    [[5.0], [9.0]]
    """
    counts = np.diff(cu_seqlens)
    place = np.arange(1, len(x) + 1) - np.repeat(cu_seqlens[:-1], counts) + skipped  # (T,): 1..N in each text
    total = (counts * (counts + 1 + 2 * skipped) // 2).astype(x.dtype)[:, None]
    return _sums(x * place.astype(x.dtype)[:, None], cu_seqlens) / total


def last_token_pool(x: Array, cu_seqlens: Array) -> Array:  # (T, D), (B+1,) -> (B, D)
    """Take the last token of each text.

    >>> last_token_pool(np.float32([[1], [3], [9]]), np.array([0, 2, 3])).tolist()
    [[3.0], [9.0]]
    """
    return x[cu_seqlens[1:] - 1]


POOLING = {  # sentence-transformers' names, in the order in which its old format concatenates them
    "cls": cls_pool,
    "max": max_pool,
    "mean": mean_pool,
    "mean_sqrt_len_tokens": mean_sqrt_len_pool,
    "weightedmean": weighted_mean_pool,
    "lasttoken": last_token_pool,
}


def drop_leading(x: Array, cu_seqlens: Array, n: int) -> tuple[Array, Array]:
    """Drop the first n tokens of every text, which are the prompt.

    Raises InputError if nothing would be left of a text.

    >>> rows, bounds = drop_leading(np.arange(5)[:, None], np.array([0, 2, 5]), 1)
    >>> rows[:, 0].tolist(), bounds.tolist()
    ([1, 3, 4], [0, 1, 3])
    """
    lengths = np.diff(cu_seqlens)
    if (lengths <= n).any():
        raise InputError(f"the prompt fills all {lengths.min()} tokens that are read: shorten it")
    place = np.arange(len(x)) - np.repeat(cu_seqlens[:-1], lengths)
    return x[place >= n], cu_seqlens - n * np.arange(len(cu_seqlens))


def pool(x: Array, cu_seqlens: Array, modes: Sequence[str], skipped: int = 0) -> Array:
    """Pool with each of the named modes and concatenate the results: (T, D), (B+1,) -> (B, len(modes) * D).

    The first `skipped` tokens of every text are ignored.  Raises UnsupportedModelError for an unknown mode.

    >>> pool(np.float32([[1], [3]]), np.array([0, 2]), ["mean", "max"]).tolist()
    [[2.0, 3.0]]
    """
    for mode in modes:
        if mode not in POOLING:
            raise UnsupportedModelError(f"pooling mode {mode!r} is unknown; known: {', '.join(POOLING)}")
    if skipped:
        x, cu_seqlens = drop_leading(x, cu_seqlens, skipped)
    pooled = [
        weighted_mean_pool(x, cu_seqlens, skipped) if mode == "weightedmean" else POOLING[mode](x, cu_seqlens)
        for mode in modes
    ]
    return pooled[0] if len(pooled) == 1 else np.concatenate(pooled, axis=1)
