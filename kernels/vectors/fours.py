"""Four vectors at once, of four rows or of two: loading and storing values of the type `fours`.

vector.py explains why four.  The rows begin at a pointer and are `stride` elements apart.
"""

from typing import Any

from llvmlite import ir
from numba import types

from minembed.kernels.vectors.emit import (
    I32,
    VF,
    declare,
    first_mask,
    fold_each,
    join,
    larger,
    load_vector,
    move,
    parts_of,
    round_bfloat16,
    store_vector,
)
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.vector import FOUR, emitted, floats, fours

_pointer, _shorts = types.CPointer(types.float32), types.CPointer(types.uint16)


def _rows(builder: Any, pointer: Any, stride: Any) -> list[Any]:
    """Pointers to the rows."""
    return [move(builder, pointer, builder.mul(stride, ir.Constant(stride.type, r))) for r in range(FOUR)]


@emitted(fours, _pointer, types.int64)
def load_rows(builder: Any, pointer: Any, stride: Any) -> Any:
    """16 floats of each of four rows."""
    return join(builder, [load_vector(builder, row) for row in _rows(builder, pointer, stride)])


@emitted(fours, _pointer, types.int64, types.int64, floats)
def load_rows_part(builder: Any, pointer: Any, stride: Any, count: Any, other: Any) -> Any:
    """The first `count` floats of each of four rows, and the lanes of `other` beyond; nothing beyond is read."""
    mask = first_mask(builder, count)
    kinds = [VF.as_pointer(), I32, mask.type, VF]
    function = declare(builder, "llvm.masked.load.v16f32.p0", VF, kinds)
    rows = (builder.bitcast(row, VF.as_pointer()) for row in _rows(builder, pointer, stride))
    return join(builder, [builder.call(function, [row, ir.Constant(I32, 4), mask, other]) for row in rows])


@emitted(types.void, _pointer, types.int64, fours)
def store_rows(builder: Any, pointer: Any, stride: Any, value: Any) -> None:
    """Write 16 floats of each of four rows."""
    for row, part in zip(_rows(builder, pointer, stride), parts_of(builder, value), strict=True):
        store_vector(builder, row, part)


@emitted(types.void, _shorts, types.int64, fours)
def store_rows_bfloat16(builder: Any, pointer: Any, stride: Any, value: Any) -> None:
    """Write 16 floats of each of four rows as bfloat16, rounded to nearest even."""
    for row, part in zip(_rows(builder, pointer, stride), parts_of(builder, value), strict=True):
        store_vector(builder, row, round_bfloat16(builder, part))


def _square(builder: Any, pointer: Any, stride: Any) -> list[Any]:
    """Pointers to two vectors of each of two rows."""
    return [move(builder, row, column) for row in _rows(builder, pointer, stride)[:2] for column in (0, LANES)]


@emitted(fours, _pointer, types.int64)
def load_square(builder: Any, pointer: Any, stride: Any) -> Any:
    """32 floats of each of two rows."""
    return join(builder, [load_vector(builder, where) for where in _square(builder, pointer, stride)])


@emitted(types.void, _pointer, types.int64, fours)
def store_square(builder: Any, pointer: Any, stride: Any, value: Any) -> None:
    """Write 32 floats of each of two rows."""
    for where, part in zip(_square(builder, pointer, stride), parts_of(builder, value), strict=True):
        store_vector(builder, where, part)


@emitted(fours, floats)
def four_times(builder: Any, value: Any) -> Any:
    """The same vector four times."""
    return join(builder, [value] * FOUR)


@emitted(fours, fours, types.int64)
def first_lanes_of_rows(builder: Any, value: Any, count: Any) -> Any:
    """The first `count` lanes of each row, and zeros in the others."""
    mask, zeros = first_mask(builder, count), ir.Constant(VF, [0.0] * LANES)
    return join(builder, [builder.select(mask, part, zeros) for part in parts_of(builder, value)])


@emitted(fours, fours)
def max_of_rows(builder: Any, value: Any) -> Any:
    """The largest lane of each row, in all its lanes."""
    return fold_each(builder, value, lambda x, y: larger(builder, x, y))


@emitted(types.void, _pointer, fours)
def store_sums(builder: Any, pointer: Any, value: Any) -> None:
    """Write the sum of the lanes of each row, one after the other; in the order of sum_lanes."""
    for r, part in enumerate(parts_of(builder, fold_each(builder, value, builder.fadd))):
        builder.store(builder.extract_element(part, ir.Constant(I32, 0)), move(builder, pointer, r))
