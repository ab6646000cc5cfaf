"""Register tiles: the inner loop of every matrix product.

A tile is a few rows of A times a panel of B, accumulated in registers over all of K:

    C[r, :] = bias + sum over k of A[r, k] * B[k, :]        r = 0..rows-1, 16 or 32 columns

Each step loads one row of the panel (1 or 2 vectors), and for every row broadcasts one number of A and multiplies: with
14 rows and 2 vectors, 28 multiply-adds for 16 loads, so the multipliers never wait.  Rows of B have a constant stride:
packed weights, transposed keys, values in place.  A row's sum runs over k in order, in whatever tile the row is, so its
bits do not depend on the number of rows.

One intrinsic contains the tiles for every number of rows up to the target's and jumps to the right one: 9 rows do not
take the time of 14.  If numbers are split before they are multiplied, the largest tile has fewer rows, so that nothing
spills.  Metadata tells LLVM not to unroll the loop, which would spill the accumulators.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core.typing.templates import signature
from numba.extending import intrinsic, overload

from minembed.kernels.tiles.dot import minus_zero_point, multiply_bfloat16, multiply_bytes, multiply_floats
from minembed.kernels.tiles.shapes import BFLOAT16_ROWS, BYTE_ROWS, TILE_ROWS, TILE_VECTORS
from minembed.kernels.vectors.emit import (
    F32,
    I8,
    I32,
    I64,
    VF,
    VI,
    broadcast,
    call,
    declare,
    load_vector,
    move,
    store_vector,
)
from minembed.kernels.vectors.target import TARGET

AHEAD = 4096  # bytes of B between the load and the prefetch

_floats, _shorts, _bytes = types.CPointer(types.float32), types.CPointer(types.uint16), types.CPointer(types.uint8)
_ints, _signed = types.CPointer(types.int32), types.CPointer(types.int8)
Multiply = Callable[[Any, Any, Any, Any], Any]  # (builder, accumulator, broadcast of A, vector of B) -> accumulator


def fetch(builder: Any, row: Any, lines: int = 1, keep: int = 3) -> None:
    """Prefetch what is needed some steps later: weights are too large for the near caches, and are streamed.

    It saves a quarter of the time of a single query in float32, and as much in int8 if the cache is far; elsewhere
    rounded weights are so small that it costs time.
    """
    prefetch = declare(builder, "llvm.prefetch.p0", ir.VoidType(), [I8.as_pointer(), I32, I32, I32])
    for v in range(lines):
        where = move(builder, builder.bitcast(row, I8.as_pointer()), 64 * v)
        builder.call(prefetch, [where, *(ir.Constant(I32, n) for n in (0, keep, 1))])  # read; 3: in L1, 2: in L2; data


def follow(builder: Any, a: Any, stride_a: Any, rows: int) -> Callable[[Any], None]:
    """Prefetch the tile after next, one line per step: evenly, since a CPU has few slots for pending lines."""
    begin = builder.bitcast(move(builder, a, builder.mul(stride_a, ir.Constant(I64, 2 * rows))), I8.as_pointer())
    return lambda k: fetch(builder, move(builder, begin, builder.mul(k, ir.Constant(I64, 64))))


def switch_rows(builder: Any, rows: Any, most: int, emit: Callable[[int], None], least: int = 1) -> None:
    """Emit the code for each number of rows from `least` to `most`, and the jump to it."""
    end = builder.append_basic_block("tile.end")
    jump = builder.switch(rows, end)
    for count in range(least, most + 1):
        block = builder.append_basic_block(f"tile.{count}")
        jump.add_case(ir.Constant(I64, count), block)
        builder.position_at_end(block)
        emit(count)
        builder.branch(end)
    builder.position_at_end(end)


def accumulate(
    builder: Any, start: list[list[Any]], steps: Any, load_a: Callable[[int, Any], Any], load_b: Any, multiply: Multiply
) -> list[list[Any]]:
    """The loop over K: accumulators (rows, vectors) that begin at `start`."""
    before = builder.block
    loop, end = builder.append_basic_block("k"), builder.append_basic_block("k.end")
    builder.branch(loop)
    builder.position_at_end(loop)
    k = builder.phi(I64)
    k.add_incoming(ir.Constant(I64, 0), before)
    sums = [[builder.phi(value.type) for value in row] for row in start]
    for row, first in zip(sums, start, strict=True):
        for phi, value in zip(row, first, strict=True):
            phi.add_incoming(value, before)
    panel = load_b(k)
    made = []
    for r, row in enumerate(sums):
        a = load_a(r, k)
        made.append([multiply(builder, phi, a, b) for phi, b in zip(row, panel, strict=True)])
    following = builder.add(k, ir.Constant(I64, 1))
    k.add_incoming(following, loop)
    for row, values in zip(sums, made, strict=True):
        for phi, value in zip(row, values, strict=True):
            phi.add_incoming(value, loop)
    back = builder.cbranch(builder.icmp_signed("<", following, steps), loop, end)
    back.set_metadata("llvm.loop", _never_unroll(builder.module))
    builder.position_at_end(end)
    return made


def _never_unroll(module: Any) -> Any:
    """A loop's metadata: itself first, as LLVM requires, then the option."""
    wish = module.add_metadata(["llvm.loop.unroll.disable"])
    name = module.add_metadata([wish, ["minembed", str(len(module.metadata))]])
    name.operands = (name, wish)
    return name


def each_row(builder: Any, a: Any, stride_a: Any, count: int, words: Any) -> Callable[[int, Any], Any]:
    """A function that loads word k of row r of A into all lanes."""
    rows = [move(builder, a, builder.mul(stride_a, ir.Constant(I64, r))) for r in range(count)]
    rows = [builder.bitcast(row, words.as_pointer()) for row in rows]
    return lambda r, k: broadcast(builder, builder.load(move(builder, rows[r], k), align=1))


def _tile(
    most: int, vectors: int, element: Any, words: Any, multiply: Multiply, streaming: bool = False, asking: bool = False
) -> Any:
    """Make the tile for a type of number: `words` of A are broadcast, 16 words make a vector of B.

    `streaming` is for an A that is too large for any cache.  With `asking`, each step also prefetches a line from `ask`
    on; such a tile has at least half its rows.
    """
    vector = ir.VectorType(words, 16)

    @intrinsic
    def tile(typing_context, rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, ask):
        """Write C = bias + A B for `rows` rows; strides in elements, steps in words (1, 2 or 4 elements)."""
        i = types.int64
        sig = signature(types.void, i, element, i, element, i, i, _floats, _floats, i, element)

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, next_lines = args
            starts = [load_vector(builder, move(builder, bias, 16 * v)) for v in range(vectors)]
            ask = follow(builder, a, stride_a, most)

            def load_b(k: Any) -> list[Any]:
                row = builder.bitcast(move(builder, b, builder.mul(k, stride_b)), vector.as_pointer())
                if asking:
                    fetch(builder, move(builder, next_lines, builder.mul(k, ir.Constant(I64, 16))), keep=2)
                if streaming:
                    ask(k)
                elif words == F32 or TARGET.is_far:
                    fetch(builder, move(builder, row, AHEAD // 64), vectors)
                return [builder.load(move(builder, row, v), align=1) for v in range(vectors)]

            def emit(count: int) -> None:
                load_a, start = each_row(builder, a, stride_a, count, words), [list(starts) for _ in range(count)]
                for r, row in enumerate(accumulate(builder, start, steps, load_a, load_b, multiply)):
                    out = move(builder, c, builder.mul(stride_c, ir.Constant(I64, r)))
                    for v, value in enumerate(row):
                        store_vector(builder, move(builder, out, 16 * v), value)

            switch_rows(builder, rows, most, emit, most // 2 if asking else 1)
            return context.get_dummy_value()

        return sig, generate

    return tile


def add_scaled(builder: Any, whole: Any, scale_a: Any, scale_b: Any, before: Any, out: Any) -> None:
    """Write the value from before plus 16 integers times both scales."""
    scaled = builder.fmul(builder.sitofp(whole, VF), scale_b)
    store_vector(builder, out, call(builder, "llvm.fmuladd.v16f32", scaled, scale_a, load_vector(builder, before)))


def _bytes_tile(vectors: int, streaming: bool = False) -> Any:
    """Make the tile for bytes, which uses the first `vectors` vectors of a panel."""

    @intrinsic
    def tile(
        typing_context, rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b,
        sums_b,
    ):  # fmt: skip
        """See tile_bytes."""
        i = types.int64
        kinds = i, _bytes, i, _signed, i, types.boolean, _floats, _floats, i, _floats, _ints, i, _floats, _ints

        def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
            rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b = args
            panel, span = builder.bitcast(b, VI.as_pointer()), range(vectors)
            ask = follow(builder, a, stride_a, BYTE_ROWS)
            scales = [load_vector(builder, move(builder, scale_b, 16 * v)) for v in span]
            sums = [load_vector(builder, move(builder, sums_b, 16 * v), VI) for v in span]

            def load_b(k: Any) -> list[Any]:
                row = move(builder, panel, builder.mul(k, ir.Constant(I64, TILE_VECTORS)))
                if streaming:
                    ask(k)
                elif TARGET.is_far:
                    fetch(builder, move(builder, row, AHEAD // 64), vectors)
                return [builder.load(move(builder, row, v), align=1) for v in span]

            def emit(count: int) -> None:
                at = [ir.Constant(I64, r) for r in range(count)]
                load_a, start = each_row(builder, a, stride_a, count, I32), []
                for r in at:  # the zero point: sum (A - z) B = sum A B - z sum B, all in integers
                    zero = builder.load(move(builder, zero_a, builder.mul(stride_q, r)))
                    minus = broadcast(builder, minus_zero_point(builder, zero))
                    start.append([builder.mul(minus, sums[v]) for v in span])
                made = accumulate(builder, start, steps, load_a, load_b, multiply_bytes)
                for r, row in zip(at, made, strict=True):
                    scale = broadcast(builder, builder.load(move(builder, scale_a, builder.mul(stride_q, r))))
                    out = move(builder, c, builder.mul(stride_c, r))
                    for v, value in enumerate(row):
                        here, begin = move(builder, out, 16 * v), move(builder, bias, 16 * v)
                        add_scaled(builder, value, scale, scales[v], builder.select(first, begin, here), here)

            switch_rows(builder, rows, BYTE_ROWS, emit)
            return context.get_dummy_value()

        return signature(types.void, *kinds), generate

    return tile


_tile_floats = _tile(TILE_ROWS, TILE_VECTORS, _floats, F32, multiply_floats)
_tile_asking = _tile(TILE_ROWS, TILE_VECTORS, _floats, F32, multiply_floats, asking=True)
_tile_narrow = _tile(TILE_ROWS, 1, _floats, F32, multiply_floats)
_tile_bytes, _tile_bytes_streaming = _bytes_tile(TILE_VECTORS), _bytes_tile(1, streaming=True)
_tile_streaming = _tile(TILE_ROWS, 1, _floats, F32, multiply_floats, streaming=True)
_tile_bfloat16 = _tile(BFLOAT16_ROWS, TILE_VECTORS, _shorts, I32, multiply_bfloat16)


# separate functions, so that each tile is compiled once and not at every use
@njit
def tile_floats(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    """C = bias + A B in float32; a step is one k."""
    _tile_floats(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, b)


@njit
def tile_floats_asking(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, ask):
    """The same for at least half of a tile's rows; each step prefetches a line at `ask` to the second-level cache."""
    _tile_asking(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, ask)


@njit
def tile_floats_narrow(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    """The same for 16 columns: for keys of a short text."""
    _tile_narrow(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, b)


@njit
def tile_floats_streaming(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    """The same if A is streamed: its rows follow each other without a gap."""
    _tile_streaming(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, b)


@njit
def tile_bfloat16(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c):
    """The same for bfloat16, summed in float32; a step is two k, which are side by side in B."""
    _tile_bfloat16(rows, a, stride_a, b, stride_b, steps, bias, c, stride_c, b)


@njit
def tile_bytes(rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b):
    """Add one group of K to C: scale_a (A - zero_a) times B scale_b; if `first`, C starts from the bias.

    A has unsigned bytes, B signed ones, packed in fours along K.  scale_a and zero_a point to those of the first row,
    with stride `stride_q`; scale_b (float32) and sums_b (int32, of B over K) are those of the panel's columns.
    """
    _tile_bytes(rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b)


@njit
def tile_bytes_streaming(
    rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b
):
    """The same for the first 16 columns of a panel, if A is streamed."""
    _tile_bytes_streaming(
        rows, a, stride_a, b, steps, first, bias, c, stride_c, scale_a, zero_a, stride_q, scale_b, sums_b
    )


def count_tiles(rows, weight):
    """The smallest number of tiles for this many rows, with this type of weights."""
    raise NotImplementedError


@overload(count_tiles, inline="always")
def _choose_count(rows, weight):
    most = {types.float32: TILE_ROWS, types.uint16: BFLOAT16_ROWS, types.int8: BYTE_ROWS}[weight.dtype]
    return lambda rows, weight: (rows + most - 1) // most
