"""A corpus in a quarter of the bytes, for exact search: int8 rows with their distance from the true rows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.checks import as_matrix
from minembed.types import Array

BLOCK = 64  # rows: intermediate results stay in the cache
ZERO_POINT = 128  # of the stored bytes
STEP = 64  # bytes that are multiplied at once: rows are padded to a multiple


@dataclass(frozen=True, slots=True)
class QuantizedCorpus:
    """Rows x as scale (levels - 128), with lengths and errors for an error bound; made by `quantize_corpus`."""

    levels: Array  # (N, D padded to a multiple of 64) uint8
    scales: Array  # (N,) float32
    lengths: Array  # (N,) float32: |x|
    errors: Array  # (N,) float32: |x - scale (levels - 128)|, rounded up

    def __len__(self) -> int:
        return len(self.levels)


def quantize_corpus(rows: ArrayLike) -> QuantizedCorpus:  # (N, D)
    """Round every row to 255 steps, with its own step size.

    Raises InputError unless it is a matrix of numbers, and for rows that float32 cannot represent well: NaN, infinity,
    or a length above 1e18 or below 1e-18 (rows of zeros are fine).

    >>> small = quantize_corpus([[1.0, -0.5, 0.0]])
    >>> small.levels[:, :4].tolist(), small.lengths.round(3).tolist()
    ([[255, 64, 128, 128]], [1.1180000305175781])
    """
    x = as_matrix("corpus", rows)
    N, D = x.shape
    levels = np.full((N, padded_width(D)), ZERO_POINT, np.uint8)
    scales, lengths, errors = (np.empty(N, np.float32) for _ in range(3))
    for start in range(0, N, BLOCK):
        part = slice(start, start + BLOCK)
        levels[part, :D], scales[part], lengths[part], errors[part] = _quantize(x[part].astype(np.float64), start)
    return QuantizedCorpus(levels, scales, lengths, errors)


def padded_width(D: int) -> int:
    """The number of bytes of a row of D numbers.

    >>> padded_width(384), padded_width(385)
    (384, 448)
    """
    return -(-D // STEP) * STEP


def _quantize(x: Array, start: int) -> tuple[Array, ...]:
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.sqrt((x * x).sum(axis=1))
    wrong = ~((lengths < 1e18) & ((lengths > 1e-18) | ~x.any(axis=1)))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(f"row {start + row} of the corpus has length {lengths[row]:.3g}: it cannot be quantized")
    scales = (np.abs(x).max(axis=1, initial=0) / 127).astype(np.float32)
    steps = np.where(scales == 0, np.float32(1), scales).astype(np.float64)[:, None]
    whole = np.clip(np.rint(x / steps), -127, 127)
    errors = np.sqrt(((x - whole * steps) ** 2).sum(axis=1)) * (1 + 1e-9)
    up = np.nextafter(errors.astype(np.float32), np.float32(np.inf))
    return (whole + ZERO_POINT).astype(np.uint8), scales, lengths.astype(np.float32), up
