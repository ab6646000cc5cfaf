"""Dot products of two rows of bytes: for a single query, and for single rows.

A tile would multiply each byte of a row with a whole panel of columns, of which only one would be used.
"""

from typing import Any

from numba import njit, types

from minembed.kernels.encoder.elementwise import ZERO
from minembed.kernels.tiles.dot import multiply_bytes
from minembed.kernels.vectors.emit import VI, fold, load_vector
from minembed.kernels.vectors.simd import at, prefetch, splat, to_int
from minembed.kernels.vectors.target import TARGET
from minembed.kernels.vectors.vector import emitted, ints

STEP = 64  # bytes
PREFETCH_DISTANCE = 2048  # bytes to prefetch ahead: the CPU's own prefetching stops at the end of a page
# subtracts the zero point 128 of the rows times the sum of the other row; NEON has subtracted it already
SHIFT = 0 if TARGET.dot_bytes == "sdot" else -128


@emitted(ints, types.CPointer(types.uint8))
def load_words(builder: Any, pointer: Any) -> Any:
    """64 bytes, as 16 words."""
    return load_vector(builder, pointer, VI)


@emitted(ints, ints, ints, ints)
def add_products(builder: Any, total: Any, a: Any, b: Any) -> Any:
    """Unsigned bytes of a times signed bytes of b, four products per lane."""
    return multiply_bytes(builder, total, a, b)


@emitted(types.int32, ints)
def sum_words(builder: Any, a: Any) -> Any:
    """The sum of all lanes."""
    return fold(builder, a, builder.add)


@njit
def dot_bytes(row, query, width):
    """The dot product of a row of unsigned bytes, as TARGET takes them, with a signed one; width in steps of 64."""
    total = to_int(splat(ZERO))
    for j in range(0, width, STEP):
        prefetch(at(row, j + PREFETCH_DISTANCE))
        total = add_products(total, load_words(at(row, j)), load_words(at(query, j)))
    return sum_words(total)
