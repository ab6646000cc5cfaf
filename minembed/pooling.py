"""From the hidden states of a text's tokens to one vector: pooling, normalisation, truncation, quantisation."""

from collections.abc import Sequence

import numpy as np

from minembed.errors import InputError, UnsupportedModelError
from minembed.params import Array


def _sums(x: Array, cu_seqlens: Array) -> Array:
    return np.add.reduceat(x, cu_seqlens[:-1], axis=0)  # a text without tokens is refused where Tokens is built


def _counts(x: Array, cu_seqlens: Array) -> Array:
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

    The tokens that were `skipped` at the beginning of each text have had their weights.

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
    """Leave out the first n tokens of every text, which hold the prompt.

    Raises InputError where nothing would be left of a text.

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
    """Pool in each of the named modes and lay the results side by side: (T, D), (B+1,) -> (B, len(modes) * D).

    The first `skipped` tokens of every text are left out.  Raises UnsupportedModelError for an unknown mode.

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


def l2_normalize(x: Array) -> Array:  # (B, D) -> (B, D)
    """Scale each row to length 1; a row of zeros stays zero.

    >>> l2_normalize(np.float32([[3, 4], [0, 0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    norms = np.sqrt((x * x).sum(axis=-1, keepdims=True))
    norms += 0 * norms  # an overflow must end in NaN, not in a row of zeros
    return x / np.where(norms == 0, norms.dtype.type(1), norms)


def truncate_embeddings(x: Array, dim: int | None) -> Array:  # (..., D) -> (..., dim)
    """Keep the first `dim` numbers of each vector, as Matryoshka models allow (Kusupati et al., 2022).

    Lengths are left as they come out: normalise again for a dot product. None keeps all.
    Raises InputError if `dim` is not between 1 and the width.

    >>> truncate_embeddings(np.ones((2, 1536), np.float32), 256).shape
    (2, 256)
    """
    x = np.asarray(x)
    if dim is None:
        return x
    if isinstance(dim, bool) or not isinstance(dim, int | np.integer) or not 1 <= dim <= x.shape[-1]:
        raise InputError(
            f"cannot truncate vectors of width {x.shape[-1]} to {dim!r}: give a number from 1 to that width"
        )
    return x[..., :dim]


def quantize_embeddings(
    x: Array,
    precision: str,
    ranges: Array | None = None,
    calibration_embeddings: Array | None = None,
) -> Array:  # (N, D) -> (N, D) or, for the binary kinds, (N, D / 8)
    """Store vectors in fewer bits, number for number as sentence-transformers does.

    "int8" and "uint8" cut the range of each column into 255 steps; the range is `ranges` (2, D: minimum and
    maximum), else that of `calibration_embeddings`, else that of `x` itself.  "ubinary" keeps one bit a number
    (1 where it is positive) in uint8, "binary" the same minus 128 in int8.  "float32" changes nothing.
    Raises InputError for an unknown precision, ranges of another shape, or vectors that are quantized already.

    >>> quantize_embeddings(np.float32([[0, 10], [255, 265]]), "uint8").tolist()
    [[0, 0], [255, 255]]
    >>> quantize_embeddings(np.float32([[1, -1, 1, -1, -1, -1, -1, 1]]), "ubinary").tolist()
    [[161]]
    """
    x = np.asarray(x)
    if not np.issubdtype(x.dtype, np.floating):
        raise InputError(f"vectors to quantize must be of a float type, not {x.dtype}")
    if precision == "float32":
        return x.astype(np.float32, copy=False)
    if precision in ("binary", "ubinary"):
        bits = np.packbits(x > 0, axis=-1)
        return bits if precision == "ubinary" else (bits.astype(np.int16) - 128).astype(np.int8)
    if precision not in ("int8", "uint8"):
        raise InputError(f"precision {precision!r} is unknown; known: float32, int8, uint8, binary, ubinary")
    if ranges is None:
        base = x if calibration_embeddings is None else np.asarray(calibration_embeddings)
        if base.ndim != 2 or not len(base):
            raise InputError(
                f"precision {precision!r} needs ranges, or vectors to take them from; got shape {base.shape}"
            )
        ranges = np.stack([base.min(axis=0), base.max(axis=0)])
    try:
        ranges = np.asarray(ranges, dtype=np.float32)  # as the reference does
    except (TypeError, ValueError) as e:
        raise InputError(f"ranges must be numbers ({e})") from e
    if not np.isfinite(ranges).all():
        raise InputError("ranges hold NaN or infinity")
    if ranges.shape != (2, x.shape[-1]):
        raise InputError(
            f"ranges must have shape (2, {x.shape[-1]}): minimum and maximum of each column; got {ranges.shape}"
        )
    low, high = ranges
    steps = (high - low) / ranges.dtype.type(255)
    steps = np.where(steps == 0, steps.dtype.type(1), steps)
    levels = np.clip(np.floor((x - low) / steps), 0, 255)
    return levels.astype(np.uint8) if precision == "uint8" else (levels - 128).astype(np.int8)
