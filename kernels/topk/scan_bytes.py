"""scan.py on a quantised corpus (minembed/search/quantized.py), in two steps, since bytes are cheap and coarse.

Every row meets the queries rounded to bytes.  Where that leaves a row in question, what was rounded off the query is
multiplied too, so that only the row's own rounding is left in its interval.
"""

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import ZERO
from minembed.kernels.tiles.registers import BYTE_ROWS, PANEL, TILE_ROWS, tile_bytes, tile_bytes_streaming
from minembed.kernels.topk.candidates import FACTS, LANES, ROWS, has_room, note, pointers, slack_of, values_of
from minembed.kernels.topk.dot_bytes import SHIFT, dot_bytes
from minembed.kernels.topk.scan import DONE, FULL, next_rows
from minembed.kernels.vectors.simd import address, at, first_bit, fma, load, load_part, maximum, reached, splat
from minembed.search.topk import COSINE, EUCLIDEAN

f32 = np.float32
SECOND = 3  # where the margins of queries begin that are rounded twice
SHORTEST = f32(1e-30)  # below any row that is not all zeros


@njit
def describe_bytes(rows, first, count, metric, square_margin, facts):
    """The facts of some quantised rows."""
    for r in range(count):
        length, error, own = rows[2][first + r], rows[3][first + r], at(facts, r * FACTS)
        own[0], own[1], own[2], own[3], own[4] = f32(1.0), ZERO, length, error, ZERO
        if metric == COSINE:
            own[0] = ZERO if length == ZERO else f32(1.0) / length
            own[2], own[3] = f32(1.0), error * own[0]
        elif metric == EUCLIDEAN:
            own[0], own[1], own[4] = f32(2.0), -length * length, length * length * square_margin


@njit
def note_closer(query, row, product, rows, width, facts, rest, margins, stride, lists, capacity):
    """Note a row that may reach a query's threshold when what was rounded off the query is multiplied too."""
    columns, scales, sums = rest
    whole = dot_bytes(at(rows[0], row * width), at(columns, query * width), width) + SHIFT * sums[query]
    value = (product + f32(whole) * scales[query] * rows[1][row]) * facts[0] + facts[1]
    slack = slack_of(at(margins, SECOND * stride), stride, query, facts)
    note(query, row, value - slack, value + slack, lists, capacity)


@njit
def collect_bytes(
    tile, count, first_query, wide, rows, width, first_row, facts, rest, margins, stride, lists, capacity
):  # fmt: skip
    """Note every row of a tile of products that may reach a query's threshold."""
    for v in range(0, wide, LANES):
        threshold = load(at(lists[4], first_query + v))
        for r in range(count):
            products, own = at(tile, r * PANEL + v), at(facts, r * FACTS)
            value, slack = values_of(products, margins, stride, first_query + v, own)
            hits = reached(value + slack, threshold)
            while hits:
                lane = first_bit(hits)
                note_closer(
                    first_query + v + lane, first_row + r, products[lane], rows, width, own, rest, margins, stride,
                    lists, capacity,
                )  # fmt: skip
                hits &= hits - 1


@njit
def highest_of(products, rows, first, count, metric, square_margin, margins, stride):
    """The upper ends of where the values of up to 16 rows lie for the only query."""
    none = splat(ZERO)
    scale, length, error = (
        load_part(at(rows[1], first), count, none), load_part(at(rows[2], first), count, none),
        load_part(at(rows[3], first), count, none),
    )  # fmt: skip
    value, own = load(products) * scale, none
    if metric == COSINE:
        length = maximum(length, splat(SHORTEST))
        value, error, length = value / length, error / length, splat(f32(1.0))
    elif metric == EUCLIDEAN:
        square = length * length
        value, own = fma(splat(f32(2.0)), value, none - square), square * splat(square_margin)
    slack = fma(length, splat(margins[stride]), splat(margins[0]) + own)
    return value + fma(error, splat(margins[2 * stride]), slack)


@njit
def scan_single_bytes(
    rows, width, first, count, query, query_scale, query_sum, metric, square_margin, rest, margins, stride, lists, room
):  # fmt: skip
    """Note every row that may reach the threshold of the only query."""
    products, facts = room, at(room, LANES)
    for i in range(first, first + count, LANES):
        n = min(LANES, first + count - i)
        for r in range(n):
            whole = dot_bytes(at(rows[0], (i + r) * width), query, width) + SHIFT * query_sum
            products[r] = f32(whole) * query_scale
        highest = highest_of(products, rows, i, n, metric, square_margin, margins, stride)
        hits = ((1 << n) - 1) & reached(highest, splat(lists[4][0]))
        while hits:
            r = first_bit(hits)
            describe_bytes(rows, i + r, 1, metric, square_margin, facts)
            note_closer(0, i + r, products[r] * rows[1][i + r], rows, width, facts, rest, margins, stride, lists, 0)
            hits &= hits - 1


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_bytes(
    levels, scales, lengths, errors, turn, piece, end, place, width, packed, once, once_scales, once_sums, left,
    left_scales, left_sums, zero_points, number, metric, k, margins, stride, square_margin, lists, capacity, room,
):  # fmt: skip
    """scan_rows on a quantised corpus and queries that are quantised: `packed` as weights are, and `once` as rows.

    What was rounded off the queries, quantised again, is in `left` as rows.
    """
    p, m, z, none = address(packed, 0), address(margins, 0), address(room, 0), address(zero_points, 0)
    tile, facts = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    rows = address(levels, 0), address(scales, 0), address(lengths, 0), address(errors, 0)
    found, rest = pointers(lists), (address(left, 0), address(left_scales, 0), address(left_sums, 0))
    while place[0] < place[1] or next_rows(turn, piece, end, place):
        i = place[0]
        count = min(ROWS, place[1] - i)
        if not has_room(number, k, found, capacity):
            return FULL
        if number == 1:
            scan_single_bytes(
                rows, width, i, count, address(once, 0), once_scales[0], once_sums[0], metric, square_margin, rest, m,
                stride, found, tile,
            )  # fmt: skip
        else:
            describe_bytes(rows, i, count, metric, square_margin, facts)
        for panel in range(0 if number == 1 else (number + PANEL - 1) // PANEL):
            q, b = panel * PANEL, at(p, panel * width * PANEL)
            wide, by_column = min(PANEL, number - q), (address(once_scales, q), address(once_sums, q))
            for t in range(0, count, BYTE_ROWS):
                some = min(BYTE_ROWS, count - t)
                x, scale = at(rows[0], (i + t) * width), at(rows[1], i + t)
                if wide <= LANES:
                    tile_bytes_streaming(
                        some, x, width, b, width // 4, True, z, tile, PANEL, scale, none, 1, by_column[0], by_column[1]
                    )
                else:
                    tile_bytes(
                        some, x, width, b, width // 4, True, z, tile, PANEL, scale, none, 1, by_column[0], by_column[1]
                    )
                collect_bytes(
                    tile, some, q, wide, rows, width, i + t, at(facts, t * FACTS), rest, m, stride, found, capacity
                )
        place[0] += count
    return DONE
