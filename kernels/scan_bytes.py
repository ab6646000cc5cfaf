"""scan.py on a quantised corpus (minembed/corpus.py), in two steps, since bytes are cheap and coarse.

Every row meets the queries rounded to bytes.  Where that leaves a row in question, what was rounded off the query is
multiplied too, so that only the row's own rounding is left in its interval.
"""

import numpy as np
from numba import njit

from minembed.kernels.bytes import SHIFT, dot_bytes
from minembed.kernels.cached import on_disk
from minembed.kernels.candidates import FACTS, LANES, ROWS, note, pointers, slack_of, thin, values_of
from minembed.kernels.elementwise import ZERO
from minembed.kernels.simd import address, at, first_bit, load, reached
from minembed.kernels.tiles import BYTE_ROWS, PANEL, TILE_ROWS, tile_bytes, tile_bytes_streaming
from minembed.topk import COSINE, EUCLIDEAN

FIRST, SECOND = 0, 3  # where margins begin: of queries rounded once, and twice
f32 = np.float32


@njit
def describe_bytes(lengths, errors, first, count, metric, square_margin, facts):
    """The facts of some quantised rows."""
    for r in range(count):
        length, error, own = lengths[first + r], errors[first + r], at(facts, r * FACTS)
        own[0], own[1], own[2], own[3], own[4] = f32(1.0), ZERO, length, error, ZERO
        if metric == COSINE:
            own[0] = ZERO if length == ZERO else f32(1.0) / length
            own[2], own[3] = f32(1.0), error * own[0]
        elif metric == EUCLIDEAN:
            own[0], own[1], own[4] = f32(2.0), -length * length, length * length * square_margin


@njit
def multiply_single(rows, scales, first, count, width, query, query_scale, query_sum, tile):
    """Products of some quantised rows with a single query."""
    for r in range(count):
        whole = dot_bytes(at(rows, (first + r) * width), query, width) + SHIFT * query_sum
        tile[r * PANEL] = f32(whole) * query_scale * scales[first + r]


@njit
def collect_bytes(
    tile, rows, scales, width, count, first_query, wide, first_row, facts, rest, margins, stride, lists, capacity
):  # fmt: skip
    """Note every row of a tile of products that may reach a query's threshold, with what was rounded off the query."""
    columns, column_scales, column_sums = rest
    first, second = at(margins, FIRST * stride), at(margins, SECOND * stride)
    for v in range(0, wide, LANES):
        threshold = load(at(lists[4], first_query + v))
        for r in range(count):
            own = at(facts, r * FACTS)
            value, slack = values_of(at(tile, r * PANEL + v), first, stride, first_query + v, own)
            hits = reached(value + slack, threshold)
            while hits:
                lane = v + first_bit(hits)
                query, row = first_query + lane, first_row + r
                whole = dot_bytes(at(rows, row * width), at(columns, query * width), width) + SHIFT * column_sums[query]
                product = tile[r * PANEL + lane] + f32(whole) * column_scales[query] * scales[row]
                value1, slack1 = product * own[0] + own[1], slack_of(second, stride, query, own)
                note(query, row, value1 - slack1, value1 + slack1, lists, capacity)
                hits &= hits - 1


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_bytes(
    levels, scales, lengths, errors, begin, end, width, packed, query_scales, query_sums, zero_points, once, rest,
    rest_scales, rest_sums, number, metric, k, margins, stride, square_margin, lists, capacity, room,
):  # fmt: skip
    """scan_rows on a quantised corpus and queries that are quantised, and packed as weights are; `once` as plain rows.

    What was rounded off the queries, quantised again, is in `rest` as plain rows.
    """
    a, p, m, z = address(levels, 0), address(packed, 0), address(margins, 0), address(room, 0)
    tile, facts = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    found, second = pointers(lists), (address(rest, 0), address(rest_scales, 0), address(rest_sums, 0))
    i = begin
    while i < end:
        count = min(ROWS, end - i)
        for query in range(number):
            if found[0][query] > found[5][query] and not thin(query, k, found, capacity):
                return i
        describe_bytes(lengths, errors, i, count, metric, square_margin, facts)
        for panel in range((number + PANEL - 1) // PANEL):
            wide, b = min(PANEL, number - panel * PANEL), at(p, panel * width * PANEL)
            for t in range(0, count, BYTE_ROWS):
                some = min(BYTE_ROWS, count - t)
                x, s, q = at(a, (i + t) * width), address(scales, i + t), panel * PANEL
                if number == 1:
                    multiply_single(
                        a, scales, i + t, some, width, address(once, 0), query_scales[0], query_sums[0], tile
                    )
                elif wide <= LANES:
                    tile_bytes_streaming(
                        some, x, width, b, width // 4, True, z, tile, PANEL, s, address(zero_points, 0), 1,
                        address(query_scales, q), address(query_sums, q),
                    )  # fmt: skip
                else:
                    tile_bytes(
                        some, x, width, b, width // 4, True, z, tile, PANEL, s, address(zero_points, 0), 1,
                        address(query_scales, q), address(query_sums, q),
                    )  # fmt: skip
                collect_bytes(
                    tile, a, scales, width, some, q, wide, i + t, at(facts, t * FACTS), second, m, stride, found,
                    capacity,
                )  # fmt: skip
        i += count
    return end
