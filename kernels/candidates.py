"""Lists of the rows that could be among the best of a query: what reaches its threshold is noted, and when a list is
full, what k others surely beat is dropped, and the threshold rises.

A state is four arrays: how many entries each query has, their values and indices, `capacity` for each query, and the
thresholds.
"""

import numpy as np
from numba import njit

from minembed.kernels.cached import on_disk
from minembed.kernels.elementwise import ZERO
from minembed.kernels.simd import address, at, fma, load, max_lanes, maximum, splat, store
from minembed.kernels.tiles import PANEL, TILE_ROWS

ROWS = 8 * TILE_ROWS  # of the corpus, that stay in the second-level cache while all queries see them
f32 = np.float32
LOWEST = f32(-np.inf)


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
def drop_all(number, k, margins, longest, counts, values, indices, thresholds, capacity, room):
    """drop_beaten for every query, after a scan."""
    state = address(counts, 0), address(values, 0), address(indices, 0), address(thresholds, 0)
    for query in range(number):
        margin = margin_of(address(margins, 0), number, query, longest[0])
        drop_beaten(query, k, margin, state, capacity, address(room, 0))
