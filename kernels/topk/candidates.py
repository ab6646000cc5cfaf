"""Lists of the rows that could be among the best of a query.

A row is pushed with an interval that contains its value, if the upper bound reaches the query's threshold.  When a list
has grown, the threshold rises to what at least k of its rows reach, and rows that cannot reach it are dropped.

Lists are (counts, lows, highs, indices, thresholds, marks, capacity): for each query its number of rows; `capacity`
lower bounds, upper bounds and rows; the threshold; and the number of rows at which the list is pruned next.

What else the functions take, here and in both scans:
  terms = ROW_TERMS numbers of a row           value = product * [0] + [1]; its length, its error, the error of [1]
  margins = (pointer, stride)                  three numbers of each query, `stride` apart
  metric = (number, square_margin)             the metric, and the possible error of a square
"""

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.tiles.shapes import PANEL
from minembed.kernels.topk.lists import ROW_TERMS, ROWS
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.simd import (
    address,
    at,
    count_bits,
    first_bit,
    fma,
    load,
    load_part,
    max_lanes,
    maximum,
    min_lanes,
    minimum,
    reached,
    splat,
    store,
    where_reached,
)

f32 = np.float32
MINUS_INFINITY = f32(-np.inf)


@njit
def pointers(lists, capacity):
    """Lists in the form that the other functions take."""
    counts, lows, highs, indices, thresholds, marks = lists
    return (
        address(counts, 0), address(lows, 0), address(highs, 0), address(indices, 0), address(thresholds, 0),
        address(marks, 0), capacity,
    )  # fmt: skip


@njit
def slack_of(margins, query, terms):
    """The largest error of a row's value for a query."""
    of, stride = margins
    own = of[query] + terms[4]
    return own + terms[2] * of[stride + query] + terms[3] * of[2 * stride + query]


@njit
def values_of(tile, margins, query, terms):
    """The values of a row for 16 queries, and their largest errors."""
    of, stride = margins
    value = fma(load(tile), splat(terms[0]), splat(terms[1]))
    slack = load(at(of, query)) + splat(terms[4])
    slack = fma(splat(terms[2]), load(at(of, stride + query)), slack)
    return value, fma(splat(terms[3]), load(at(of, 2 * stride + query)), slack)


@njit
def push(query, row, low, high, lists):
    """Write a row to the end of a query's list, and count it if it may reach the threshold: without a branch."""
    counts, lows, highs, indices, thresholds, _, capacity = lists
    place = query * capacity + counts[query]
    lows[place], highs[place], indices[place] = low, high, row
    counts[query] += high >= thresholds[query]


@njit
def collect(tile, count, first_query, wide, first_row, terms, margins, lists, ends):
    """Push every row of a tile of products that may reach a query's threshold."""
    for v in range(0, wide, LANES):
        query = first_query + v
        threshold = load(at(lists[4], query))
        for r in range(count):
            value, slack = values_of(at(tile, r * PANEL + v), margins, query, at(terms, r * ROW_TERMS))
            hits = reached(value + slack, threshold)
            if hits:
                store(ends, value - slack)
                store(at(ends, LANES), value + slack)
            while hits:
                lane = first_bit(hits)
                push(query + lane, first_row + r, ends[lane], ends[LANES + lane], lists)
                hits &= hits - 1


@njit
def count_reaching(values, n, least):
    """The number of values, of n, that are at least `least`."""
    count, least = 0, splat(least)
    for i in range(0, n, LANES):
        count += count_bits(reached(load_part(at(values, i), min(LANES, n - i), splat(MINUS_INFINITY)), least))
    return count


@njit
def largest_but(values, n, k):
    """The k-th largest of n finite values, by bisection, which uses vectors and has no unpredictable branches."""
    bottom, top = splat(f32(np.inf)), splat(MINUS_INFINITY)
    for i in range(0, n, LANES):
        v = load_part(at(values, i), min(LANES, n - i), splat(values[0]))
        bottom, top = minimum(v, bottom), maximum(v, top)
    low, high = min_lanes(bottom), max_lanes(top)
    if count_reaching(values, n, high) >= k:
        return high
    while True:  # k values or more reach low, fewer reach high
        middle = low + f32(0.5) * (high - low)
        if not low < middle < high:
            return low
        count = count_reaching(values, n, middle)
        if count >= k:
            low = middle
        else:
            high = middle
        if count == k:
            break
    found = splat(high)
    for i in range(0, n, LANES):
        v = load_part(at(values, i), min(LANES, n - i), splat(high))
        found = minimum(where_reached(v, splat(low), splat(high)), found)
    return min_lanes(found)


@njit
def prune(query, k, lists):
    """Raise a query's threshold to what k rows reach, and drop rows below; False if the list is still full."""
    counts, lows, highs, indices, thresholds, marks, capacity = lists
    first, n, kept = query * capacity, counts[query], query * capacity
    if n >= k:
        thresholds[query] = max(thresholds[query], largest_but(at(lows, first), n, k))
    threshold = thresholds[query]
    for i in range(first, first + n):
        high = highs[i]
        lows[kept], highs[kept], indices[kept] = lows[i], high, indices[i]
        kept += high >= threshold
    n = counts[query] = kept - first
    marks[query] = min(3 * max(n, k, 32) // 2, capacity - ROWS)
    return n <= capacity - ROWS


@njit
def has_room(number, k, lists):
    """Prune the lists that have grown; False if one is still full."""
    for query in range(number):
        if lists[0][query] > lists[5][query] and not prune(query, k, lists):
            return False
    return True


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def join(slots, number, k, capacity, counts, lows, highs, indices, thresholds, stride, scratch, which, rows):
    """Merge the lists of all slots, without rows that k others beat: (query, row), by query.  Returns their number."""
    total = 0
    for query in range(number):
        n, threshold = 0, thresholds[query]
        for slot in range(slots):
            threshold = max(threshold, thresholds[slot * stride + query])
            place = (slot * number + query) * capacity
            for i in range(place, place + counts[slot * number + query]):
                scratch[n] = lows[i]
                n += 1
        threshold = max(threshold, largest_but(address(scratch, 0), n, k))
        for slot in range(slots):
            place = (slot * number + query) * capacity
            for i in range(place, place + counts[slot * number + query]):
                if highs[i] >= threshold:
                    which[total], rows[total] = query, indices[i]
                    total += 1
    return total
