"""The scan behind `top_k`: scores of all rows of a corpus, of which only the promising ones are ever written down.

The corpus streams by once, some rows at a time, which are multiplied with all queries by the register tiles of tiles.py
while they lie in the cache.  A row whose value is below its query's threshold, all but a few, leaves no trace.  Others
go to the query's list; when that is full, what k others surely beat is dropped, and the threshold rises.
minembed/topk.py says why this is exact, and is the NumPy tier.
"""

import math

import numpy as np
from numba import njit

from minembed.kernels.bytes import SHIFT, dot_bytes
from minembed.kernels.cached import on_disk
from minembed.kernels.candidates import ROWS, collect, make_room
from minembed.kernels.elementwise import ZERO
from minembed.kernels.simd import (
    absolute,
    address,
    at,
    fma,
    load,
    load_part,
    max_lanes,
    maximum,
    prefetch,
    splat,
    sum_lanes,
)
from minembed.kernels.tiles import BYTE_ROWS, PANEL, TILE_ROWS, tile_bytes, tile_floats, tile_floats_narrow
from minembed.topk import COSINE, EUCLIDEAN, MANHATTAN, SMALLEST

AHEAD = 512  # numbers, half a page: the CPU's own prefetching stops where a page ends
UNSAFE = -1  # what scan_rows returns instead of a row
f32 = np.float32


@njit
def measure(rows, first, count, width, metric, lengths, factors, offsets):
    """The lengths of some rows, and how a product becomes a value: times the factor, plus the offset.

    Returns the longest, or NaN where float32 cannot measure one.
    """
    longest, whole = ZERO, width // 16 * 16
    for r in range(count):
        row = at(rows, (first + r) * width)
        squares = largest = splat(ZERO)
        for j in range(0, whole, 16):
            v = load(at(row, j))
            squares, largest = fma(v, v, squares), maximum(absolute(v), largest)
        if whole < width:
            v = load_part(at(row, whole), width - whole, splat(ZERO))
            squares, largest = fma(v, v, squares), maximum(absolute(v), largest)
        square = sum_lanes(squares)
        length = f32(math.sqrt(square))
        if not length < f32(np.inf) or (metric == COSINE and length < SMALLEST and max_lanes(largest) > ZERO):
            return f32(np.nan)
        longest = max(longest, length)
        lengths[r], factors[r], offsets[r] = length, f32(1.0), ZERO
        if metric == COSINE:
            factors[r] = ZERO if length == ZERO else f32(1.0) / length
        elif metric == EUCLIDEAN:
            factors[r], offsets[r] = f32(2.0), -square
    return longest


@njit
def multiply_tile(rows, first, count, width, packed, queries, panel, wide, metric, zeros, tile):
    """Products of some rows with the queries of a panel; for the Manhattan distance, minus the distances."""
    a = at(rows, first * width)
    b = at(packed, panel * width * PANEL)
    if metric == MANHATTAN:
        for r in range(count):
            for q in range(wide):
                total = ZERO
                for j in range(width):
                    total -= abs(a[r * width + j] - queries[(panel * PANEL + q) * width + j])
                tile[r * PANEL + q] = total
    elif wide <= 16:
        tile_floats_narrow(count, a, width, b, PANEL, width, zeros, tile, PANEL)
    else:
        tile_floats(count, a, width, b, PANEL, width, zeros, tile, PANEL)


@njit
def dot_and_square(x, y, width):
    """The product of a row with another, and with itself, while it is read once."""
    whole, zero = width // 32 * 32, splat(ZERO)
    a = b = c = d = zero
    for j in range(0, whole, 32):
        prefetch(at(x, j + AHEAD))
        prefetch(at(x, j + 16 + AHEAD))
        v, w = load(at(x, j)), load(at(x, j + 16))
        a, b = fma(v, load(at(y, j)), a), fma(w, load(at(y, j + 16)), b)
        c, d = fma(v, v, c), fma(w, w, d)
    for j in range(whole, width, 16):
        rest = min(16, width - j)
        v = load_part(at(x, j), rest, zero)
        a, c = fma(v, load_part(at(y, j), rest, zero), a), fma(v, v, c)
    return sum_lanes(a + b), sum_lanes(c + d)


@njit
def scan_single(rows, first, count, width, query, metric, first_row, state):
    """Note every row whose value reaches the threshold of the only query, which waits for the memory alone.

    Returns the longest row, or NaN, as `measure`.
    """
    counts, values, indices, thresholds = state
    longest, held, threshold = ZERO, counts[0], thresholds[0]
    for r in range(count):
        row = at(rows, (first + r) * width)
        value, square = dot_and_square(row, query, width)
        length = f32(math.sqrt(square))
        if not length < f32(np.inf) or (metric == COSINE and length < SMALLEST and not is_zero(row, width)):
            return f32(np.nan)
        longest = max(longest, length)
        if metric == COSINE:
            value = ZERO if length == ZERO else value * (f32(1.0) / length)
        elif metric == EUCLIDEAN:
            value = f32(2.0) * value - square
        if value >= threshold:
            values[held], indices[held] = value, first_row + r
            held += 1
    counts[0] = held
    return longest


@njit
def is_zero(row, width):
    """Whether a row is all zeros."""
    for j in range(width):
        if row[j] != ZERO:
            return False
    return True


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_rows(
    rows, begin, end, offset, width, packed, queries, number, metric, k, margins, longest, counts, values, indices,
    thresholds, capacity, room,
):  # fmt: skip
    """Scan rows begin..end-1, whose indices are `offset` more; margins are as in Search.margins, flat.

    Returns the row where it stopped: `end`, or where a list was full of rows that none of the others surely beat; or
    UNSAFE where float32 is not enough.
    """
    r, q, p, z = address(rows, 0), address(queries, 0), address(packed, 0), address(room, 0)
    tile, lengths = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    factors, offsets, scratch = at(lengths, ROWS), at(lengths, 2 * ROWS), at(lengths, 3 * ROWS)
    state = address(counts, 0), address(values, 0), address(indices, 0), address(thresholds, 0)
    single = number == 1 and metric != MANHATTAN
    i = begin
    while i < end:
        count = min(ROWS, end - i)
        if not make_room(number, k, address(margins, 0), longest[0], state, capacity, scratch):
            return i
        if single:
            reach = scan_single(r, i, count, width, q, metric, offset + i, state)
        else:
            reach = measure(r, i, count, width, metric, lengths, factors, offsets)
        if not reach >= ZERO:
            return UNSAFE
        longest[0] = max(longest[0], reach)
        for panel in range(0 if single else (number + PANEL - 1) // PANEL):
            wide = min(PANEL, number - panel * PANEL)
            for t in range(0, count, TILE_ROWS):
                some = min(TILE_ROWS, count - t)
                multiply_tile(r, i + t, some, width, p, q, panel, wide, metric, z, tile)
                own = at(factors, t), at(offsets, t)
                collect(tile, some, panel * PANEL, wide, 0, offset + i + t, own[0], own[1], state, capacity)
        i += count
    return end


@njit
def multiply_single(rows, scales, first, count, width, plain, query_scales, query_sums, rest, tile):
    """Products of some quantised rows with a single query, and with what was rounded off it."""
    for r in range(count):
        row, scale = at(rows, (first + r) * width), scales[first + r]
        for column, query in ((0, 0), (rest, width)):
            whole = dot_bytes(row, address(plain, query), width) + SHIFT * query_sums[column]
            tile[r * PANEL + column] = f32(whole) * query_scales[column] * scale


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_bytes(
    levels, scales, lengths, begin, end, width, packed, plain, query_scales, query_sums, zero_points, number, rest,
    metric, k, margins, longest, counts, values, indices, thresholds, capacity, room,
):  # fmt: skip
    """scan_rows on a quantised corpus (minembed/corpus.py) and queries that are quantised and packed as weights are.

    A single query is in `plain` too, as rows.  What was rounded off a query is in the column that stands `rest` columns
    after its own.
    """
    a, p, z = address(levels, 0), address(packed, 0), address(room, 0)
    tile, factors = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    offsets, scratch = at(factors, ROWS), at(factors, 3 * ROWS)
    state = address(counts, 0), address(values, 0), address(indices, 0), address(thresholds, 0)
    i = begin
    while i < end:
        count = min(ROWS, end - i)
        if not make_room(number, k, address(margins, 0), longest[0], state, capacity, scratch):
            return i
        for r in range(count):
            length = lengths[i + r]
            factors[r], offsets[r] = f32(1.0), ZERO
            if metric == COSINE:
                factors[r] = ZERO if length == ZERO else f32(1.0) / length
            elif metric == EUCLIDEAN:
                factors[r], offsets[r] = f32(2.0), -length * length
        for panel in range((number + PANEL - 1) // PANEL):
            wide = min(PANEL, number - panel * PANEL)
            b = at(p, panel * width * PANEL)
            for t in range(0, count, BYTE_ROWS):
                some, own = min(BYTE_ROWS, count - t), (at(factors, t), at(offsets, t))
                if number == 1:
                    multiply_single(a, scales, i + t, some, width, plain, query_scales, query_sums, rest, tile)
                    collect(tile, some, 0, 1, rest, i + t, own[0], own[1], state, capacity)
                    continue
                tile_bytes(
                    some, at(a, (i + t) * width), width, b, width // 4, True, z, tile, PANEL, address(scales, i + t),
                    address(zero_points, 0), 1, address(query_scales, panel * PANEL),
                    address(query_sums, panel * PANEL),
                )  # fmt: skip
                collect(tile, some, panel * PANEL, wide, rest, i + t, own[0], own[1], state, capacity)
        i += count
    return end
