"""The scan behind `top_k`: it scores all rows of a corpus, and writes down only the candidates.

The corpus is read once, some rows at a time, which are multiplied with all queries by the register tiles of tiles/
while they are in the cache.  Most rows cannot reach their query's threshold and are dropped at once; candidates.py
keeps the others.  scan_bytes.py is the same for a quantised corpus.  search/topk.py explains why this is exact, and is
the NumPy tier.
"""

import math

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import ZERO
from minembed.kernels.tiles.registers import tile_floats, tile_floats_streaming
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.topk.candidates import collect, has_room, pointers, push
from minembed.kernels.topk.lists import DONE, FULL, ROW_TERMS, ROWS, UNSAFE
from minembed.kernels.vectors.atomics import add
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.simd import (
    address,
    at,
    first_bit,
    fma,
    load,
    load_part,
    maximum,
    prefetch,
    reached,
    splat,
    square_root,
    store,
    sum_lanes,
)
from minembed.search.metrics import COSINE, EUCLIDEAN, LONGEST_ROW, MANHATTAN, SHORTEST_ROW

f32 = np.float32
PREFETCH_DISTANCE = 512  # numbers, half a page: the CPU's own prefetching stops at the end of a page
LARGEST_SQUARE, SMALLEST_SQUARE = f32(LONGEST_ROW**2), f32(1.001 * SHORTEST_ROW**2)


@njit
def is_zero(row, width):
    """Whether a row is all zeros."""
    for j in range(width):
        if row[j] != ZERO:
            return False
    return True


@njit
def write_terms(row, width, square, metric, terms):
    """Write the terms of a row with this squared length; False if that is out of float32's range."""
    number, square_margin = metric
    length = f32(math.sqrt(square))
    terms[0], terms[1], terms[2], terms[3], terms[4] = f32(1.0), ZERO, length, ZERO, ZERO
    if number == COSINE:
        terms[0] = ZERO if length == ZERO else f32(1.0) / length
        if length < SHORTEST_ROW:
            return is_zero(row, width)
    elif number == EUCLIDEAN:
        terms[0], terms[1], terms[4] = f32(2.0), -square, square * square_margin
    return length < LONGEST_ROW


@njit
def measure(rows, first, count, width, metric, terms):
    """Write the terms of some rows; False if float32 is not enough."""
    whole = width // 16 * 16
    for r in range(count):
        row, squares = at(rows, (first + r) * width), splat(ZERO)
        for j in range(0, whole, 16):
            v = load(at(row, j))
            squares = fma(v, v, squares)
        if whole < width:
            v = load_part(at(row, whole), width - whole, splat(ZERO))
            squares = fma(v, v, squares)
        if not write_terms(row, width, sum_lanes(squares), metric, at(terms, r * ROW_TERMS)):
            return False
    return True


@njit
def multiply_tile(rows, first, count, width, packed, queries, panel, wide, metric, zeros, tile):
    """Products of some rows with the queries of a panel; for the Manhattan distance, minus the distances."""
    a = at(rows, first * width)
    b = at(packed, panel * width * PANEL)
    if metric[0] == MANHATTAN:
        for r in range(count):
            for q in range(wide):
                total = ZERO
                for j in range(width):
                    total -= abs(a[r * width + j] - queries[(panel * PANEL + q) * width + j])
                tile[r * PANEL + q] = total
    elif wide <= 16:
        tile_floats_streaming(count, a, width, b, PANEL, width, zeros, tile, PANEL)
    else:
        tile_floats(count, a, width, b, PANEL, width, zeros, tile, PANEL)


@njit
def dot_and_square(x, y, width):
    """The dot product of a row with another, and with itself, in one pass."""
    whole, zero = width // 32 * 32, splat(ZERO)
    a = b = c = d = zero
    for j in range(0, whole, 32):
        prefetch(at(x, j + PREFETCH_DISTANCE))
        prefetch(at(x, j + 16 + PREFETCH_DISTANCE))
        v, w = load(at(x, j)), load(at(x, j + 16))
        a, b = fma(v, load(at(y, j)), a), fma(w, load(at(y, j + 16)), b)
        c, d = fma(v, v, c), fma(w, w, d)
    for j in range(whole, width, 16):
        rest = min(16, width - j)
        v = load_part(at(x, j), rest, zero)
        a, c = fma(v, load_part(at(y, j), rest, zero), a), fma(v, v, c)
    return sum_lanes(a + b), sum_lanes(c + d)


@njit
def intervals_of(values, squares, metric, margins):
    """Lower and upper bounds of the values of 16 rows for a single query, from their products and squares."""
    number, square_margin = metric
    of, stride = margins
    product, square = load(values), load(squares)
    length, own, slack = square_root(square), splat(ZERO), splat(of[0])
    if number == COSINE:
        product = product / maximum(length, splat(SHORTEST_ROW))
    elif number == EUCLIDEAN:
        product, own = fma(splat(f32(2.0)), product, splat(ZERO) - square), square * splat(square_margin)
    slack = fma(length, splat(of[stride]), slack + own)
    return product - slack, product + slack


@njit
def scan_single(rows, first, count, width, query, metric, margins, first_row, lists, room):
    """Push every row that may reach the threshold of a single query; the speed is limited by memory.

    Returns False if float32 is not enough.
    """
    values, squares, ends = room, at(room, LANES), at(room, 2 * LANES)
    for i in range(0, count, LANES):
        n = min(LANES, count - i)
        for r in range(n):
            values[r], squares[r] = dot_and_square(at(rows, (first + i + r) * width), query, width)
        every = (1 << n) - 1
        if every & ~reached(splat(LARGEST_SQUARE), load(squares)):
            return False
        if metric[0] == COSINE:
            short = every & ~reached(load(squares), splat(SMALLEST_SQUARE))
            while short:
                if not is_zero(at(rows, (first + i + first_bit(short)) * width), width):
                    return False
                short &= short - 1
        low, high = intervals_of(values, squares, metric, margins)
        hits = every & reached(high, splat(lists[4][0]))
        if hits:
            store(ends, low)
            store(at(ends, LANES), high)
        while hits:
            r = first_bit(hits)
            push(0, first_row + i + r, ends[r], ends[LANES + r], lists)
            hits &= hits - 1
    return True


@njit
def next_rows(turn, piece, end, place):
    """Take the next rows that no thread has taken; False if there are none."""
    place[0] = add(address(turn, 0), piece)
    place[1] = min(place[0] + piece, end)
    return place[0] < end


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_rows(
    rows, turn, piece, end, place, offset, width, packed, queries, number, metric, k, margins, stride, square_margin,
    lists, capacity, room,
):  # fmt: skip
    """Scan rows 0..end-1, whose indices are higher by `offset`; `margins` as in candidates.py.

    Threads share the rows: each takes `piece` of them at a time, by the counter `turn`, and works on those from
    `place[0]` to `place[1]`.  Returns DONE when all are taken; FULL if a list is full of rows that cannot be dropped:
    with more space, the scan can be continued; or UNSAFE if float32 is not enough.
    """
    r, q, p, m, z = address(rows, 0), address(queries, 0), address(packed, 0), address(margins, 0), address(room, 0)
    tile, terms = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    ends, found = at(terms, ROW_TERMS * ROWS), pointers(lists, capacity)
    slack, compared, single = (m, stride), (metric, square_margin), number == 1 and metric != MANHATTAN
    while place[0] < place[1] or next_rows(turn, piece, end, place):
        i = place[0]
        count = min(ROWS, place[1] - i)
        if not has_room(number, k, found):
            return FULL
        if single and not scan_single(r, i, count, width, q, compared, slack, offset + i, found, terms):
            return UNSAFE
        for panel in range(0 if single else (number + PANEL - 1) // PANEL):
            wide = min(PANEL, number - panel * PANEL)
            for t in range(0, count, TILE_ROWS):
                some, own = min(TILE_ROWS, count - t), at(terms, t * ROW_TERMS)
                if panel == 0 and not measure(r, i + t, some, width, compared, own):
                    return UNSAFE
                multiply_tile(r, i + t, some, width, p, q, panel, wide, compared, z, tile)
                collect(tile, some, panel * PANEL, wide, offset + i + t, own, slack, found, ends)
        place[0] += count
    return DONE
