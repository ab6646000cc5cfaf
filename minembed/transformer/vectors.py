"""Operations on finished vectors: normalise, truncate, quantize."""

from typing import get_args

import numpy as np

from minembed.errors import InputError
from minembed.runtime.checks import as_matrix, whole_number
from minembed.types import Array, Precision


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

    Lengths are not corrected: normalise again for a dot product.  None keeps all.
    Raises InputError if `dim` is not between 1 and the width.

    >>> truncate_embeddings(np.ones((2, 1536), np.float32), 256).shape
    (2, 256)
    """
    x = np.asarray(x)
    if dim is None:
        return x
    if not 1 <= (whole_number(dim) or 0) <= x.shape[-1]:
        raise InputError(
            f"cannot truncate vectors of width {x.shape[-1]} to {dim!r}: give a number from 1 to that width"
        )
    return x[..., :dim]


def quantize_embeddings(
    x: Array,
    precision: Precision,
    ranges: Array | None = None,
    calibration_embeddings: Array | None = None,
) -> Array:  # (N, D) -> (N, D) or, for the binary kinds, (N, D / 8)
    """Store vectors in fewer bits, number for number as sentence-transformers does.

    "int8" and "uint8" divide the range of each column into 255 steps; the range is `ranges` (2, D: minimum and
    maximum), else that of `calibration_embeddings`, else that of `x` itself.  "ubinary" keeps one bit per number
    (1 if it is positive) in uint8, "binary" the same minus 128 in int8.  "float32" changes nothing.
    Raises InputError for an unknown precision, ranges of another shape, a single vector without ranges, or vectors that
    are already quantized.

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
        raise InputError(f"precision {precision!r} is unknown; known: {', '.join(get_args(Precision))}")
    if ranges is None:
        own = calibration_embeddings is None
        name = f"the vectors that give precision {precision!r} its ranges"
        rows = "two rows: one has no range" if own else "one row"
        what = f"numbers of shape (N, D) with at least {rows} (or give ranges)"
        base = as_matrix(name, x if own else calibration_embeddings, what, least=(2 if own else 1, 0))
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
