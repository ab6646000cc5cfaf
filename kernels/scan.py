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
    store,
    sum_lanes,
)
from minembed.kernels.tiles import BYTE_ROWS, PANEL, TILE_ROWS, tile_bytes, tile_floats, tile_floats_narrow
from minembed.topk import COSINE, EUCLIDEAN, LANES, MANHATTAN, SMALLEST

ROWS = 8 * TILE_ROWS  # of the corpus, that stay in the second-level cache while all queries see them
AHEAD = 2048  # numbers, about two pages: the CPU's own prefetching stops where a page ends
UNSAFE = -1  # what scan_rows returns instead of a row
f32 = np.float32
LOWEST = f32(-np.inf)
ZERO64, ONE64 = np.float64(0), np.float64(1)


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


@njit
def collect(tile, count, first_query, wide, rest, first_row, factors, offsets, state, capacity):
    """Note every value of a tile that reaches its query's threshold.

    Where `rest` is not 0, what was rounded off a query stands so many columns after it.
    """
    counts, values, indices, thresholds = state
    for v in range(0, wide, 16):
        top = splat(LOWEST)
        for r in range(count):
            here = at(tile, r * PANEL + v)
            product = load(here) + load(at(here, rest)) if rest else load(here)
            value = fma(product, splat(factors[r]), splat(offsets[r]))
            store(here, value)
            top = maximum(value, top)
        if max_lanes(top - load(at(thresholds, first_query + v))) < ZERO:
            continue
        for r in range(count):
            for lane in range(v, min(v + 16, wide)):
                query, value = first_query + lane, tile[r * PANEL + lane]
                if value >= thresholds[query]:
                    place = query * capacity + counts[query]
                    values[place], indices[place] = value, first_row + r
                    counts[query] += 1


@njit
def largest_but(values, n, k, scratch):
    """The k-th largest of n values (Hoare's selection)."""
    for i in range(n):
        scratch[i] = values[i]
    low, high, wanted = 0, n - 1, k - 1
    while low < high:
        pivot, i, j = scratch[(low + high) // 2], low, high
        while i <= j:
            while scratch[i] > pivot:
                i += 1
            while scratch[j] < pivot:
                j -= 1
            if i <= j:
                scratch[i], scratch[j] = scratch[j], scratch[i]
                i, j = i + 1, j - 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return scratch[wanted]


@njit
def drop_beaten(query, k, margin, state, capacity, scratch):
    """Raise a query's threshold to what k rows surely reach, and drop what is below."""
    counts, values, indices, thresholds = state
    n, own, rows = counts[query], at(values, query * capacity), at(indices, query * capacity)
    if n >= k:
        thresholds[query] = max(thresholds[query], largest_but(own, n, k, scratch) - f32(2.0) * margin)
    kept = 0
    for i in range(n):
        if own[i] >= thresholds[query]:
            own[kept], rows[kept] = own[i], rows[i]
            kept += 1
    counts[query] = kept


@njit
def margin_of(margins, number, query, longest):
    """How far a value of a query may be off, for rows up to `longest`."""
    return margins[query] + longest * (margins[number + query] + longest * margins[2 * number + query])


@njit
def make_room(number, k, margins, longest, state, capacity, scratch):
    """See that every list has room for the next rows; False where one is full of rows that none surely beats."""
    counts = state[0]
    for query in range(number):
        if counts[query] > capacity - ROWS:
            drop_beaten(query, k, margin_of(margins, number, query, longest), state, capacity, scratch)
            if counts[query] > capacity - ROWS:
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
    i = begin
    while i < end:
        count = min(ROWS, end - i)
        if not make_room(number, k, address(margins, 0), longest[0], state, capacity, scratch):
            return i
        if number == 1 and metric != MANHATTAN:
            reach = scan_single(r, i, count, width, q, metric, offset + i, state)
        else:
            reach = measure(r, i, count, width, metric, lengths, factors, offsets)
        if not reach >= ZERO:
            return UNSAFE
        longest[0] = max(longest[0], reach)
        if number == 1 and metric != MANHATTAN:
            i += count
            continue
        for panel in range((number + PANEL - 1) // PANEL):
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


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def drop_all(number, k, margins, longest, counts, values, indices, thresholds, capacity, room):
    """drop_beaten for every query, after a scan."""
    state = address(counts, 0), address(values, 0), address(indices, 0), address(thresholds, 0)
    for query in range(number):
        margin = margin_of(address(margins, 0), number, query, longest[0])
        drop_beaten(query, k, margin, state, capacity, address(room, 0))


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def rescore_rows(rows, width, queries, metric, which, found, begin, end, room, scores):
    """The float64 scores of pairs of a query and a row: minembed.topk.exact_scores, summed in the same order."""
    for pair in range(begin, end):
        x, q, total = found[pair] * width, which[pair] * width, ZERO64
        if metric == MANHATTAN or metric == EUCLIDEAN:
            for lane in range(LANES):
                room[lane] = ZERO64
            for j in range(width):
                d = np.float64(rows[x + j]) - queries[q + j]
                room[j % LANES] += abs(d) if metric == MANHATTAN else d * d
            total = fold(room)
            scores[pair] = -total if metric == MANHATTAN else -math.sqrt(total)
            continue
        for lane in range(LANES):
            room[lane] = room[LANES + lane] = ZERO64
        for j in range(0, width - LANES + 1, LANES):
            for lane in range(LANES):
                v = np.float64(rows[x + j + lane])
                room[lane] += v * queries[q + j + lane]
                room[LANES + lane] += v * v
        for j in range(width // LANES * LANES, width):
            v = np.float64(rows[x + j])
            room[j % LANES] += v * queries[q + j]
            room[LANES + j % LANES] += v * v
        total = fold(room)
        if metric == COSINE:
            length = math.sqrt(fold(room[LANES:]))
            total = min(max(total / (ONE64 if length == ZERO64 else length), -ONE64), ONE64)
        scores[pair] = total


@njit
def fold(room):
    """Add the upper half of the partial sums to the lower, until one is left."""
    half = LANES // 2
    while half:
        for lane in range(half):
            room[lane] += room[half + lane]
        half //= 2
    return room[0]
