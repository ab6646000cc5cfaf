"""scan.py on a quantised corpus (minembed/search/quantized.py), in two steps, since bytes are cheap but coarse.

Every row is multiplied with the queries rounded to bytes.  If that does not exclude a row, the remainder of the query
is multiplied too, so that only the row's own rounding error is left in its interval.

`corpus` = (levels, scales, lengths, errors, width); queries in bytes, and their remainders (`rest`), are
(levels, scales, sums); terms, margins, metric and lists as in candidates.py.
"""

import numpy as np
from numba import njit

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import ZERO
from minembed.kernels.tiles.registers import tile_bytes, tile_bytes_streaming
from minembed.kernels.tiles.shapes import BYTE_ROWS, PANEL, TILE_ROWS
from minembed.kernels.topk.candidates import has_room, pointers, push, slack_of, values_of
from minembed.kernels.topk.dot_bytes import SHIFT, dot_bytes
from minembed.kernels.topk.lists import DONE, FULL, ROW_TERMS, ROWS
from minembed.kernels.topk.scan import next_rows
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.kernels.vectors.simd import address, at, first_bit, fma, load, load_part, maximum, reached, splat
from minembed.search.metrics import COSINE, EUCLIDEAN

f32 = np.float32
REST_MARGINS = 3  # the index of the margins for queries that are rounded twice
SHORTEST_LENGTH = f32(1e-30)  # shorter than any row that is not all zeros


@njit
def write_terms_bytes(corpus, first, count, metric, terms):
    """Write the terms of some quantised rows."""
    number, square_margin = metric
    for r in range(count):
        length, error, own = corpus[2][first + r], corpus[3][first + r], at(terms, r * ROW_TERMS)
        own[0], own[1], own[2], own[3], own[4] = f32(1.0), ZERO, length, error, ZERO
        if number == COSINE:
            own[0] = ZERO if length == ZERO else f32(1.0) / length
            own[2], own[3] = f32(1.0), error * own[0]
        elif number == EUCLIDEAN:
            own[0], own[1], own[4] = f32(2.0), -length * length, length * length * square_margin


@njit
def push_closer(query, row, product, corpus, terms, rest, margins, lists):
    """Push a row if it may still reach a query's threshold with the remainder of the query included."""
    columns, scales, sums = rest
    width = corpus[4]
    whole = dot_bytes(at(corpus[0], row * width), at(columns, query * width), width) + SHIFT * sums[query]
    value = (product + f32(whole) * scales[query] * corpus[1][row]) * terms[0] + terms[1]
    slack = slack_of((at(margins[0], REST_MARGINS * margins[1]), margins[1]), query, terms)
    push(query, row, value - slack, value + slack, lists)


@njit
def collect_bytes(tile, count, first_query, wide, corpus, first_row, terms, rest, margins, lists):
    """Push every row of a tile of products that may reach a query's threshold."""
    for v in range(0, wide, LANES):
        threshold = load(at(lists[4], first_query + v))
        for r in range(count):
            products, own = at(tile, r * PANEL + v), at(terms, r * ROW_TERMS)
            value, slack = values_of(products, margins, first_query + v, own)
            hits = reached(value + slack, threshold)
            while hits:
                lane = first_bit(hits)
                push_closer(first_query + v + lane, first_row + r, products[lane], corpus, own, rest, margins, lists)
                hits &= hits - 1


@njit
def highest_of(products, corpus, first, count, metric, margins):
    """Upper bounds of the values of up to 16 rows for a single query."""
    number, square_margin = metric
    of, stride = margins
    none = splat(ZERO)
    scale, length, error = (
        load_part(at(corpus[1], first), count, none), load_part(at(corpus[2], first), count, none),
        load_part(at(corpus[3], first), count, none),
    )  # fmt: skip
    value, own = load(products) * scale, none
    if number == COSINE:
        length = maximum(length, splat(SHORTEST_LENGTH))
        value, error, length = value / length, error / length, splat(f32(1.0))
    elif number == EUCLIDEAN:
        square = length * length
        value, own = fma(splat(f32(2.0)), value, none - square), square * splat(square_margin)
    slack = fma(length, splat(of[stride]), splat(of[0]) + own)
    return value + fma(error, splat(of[2 * stride]), slack)


@njit
def scan_single_bytes(corpus, first, count, query, metric, rest, margins, lists, room):
    """Push every row that may reach the threshold of a single query."""
    products, terms, width = room, at(room, LANES), corpus[4]
    levels, scale, total = query[0], query[1][0], query[2][0]
    for i in range(first, first + count, LANES):
        n = min(LANES, first + count - i)
        for r in range(n):
            whole = dot_bytes(at(corpus[0], (i + r) * width), levels, width) + SHIFT * total
            products[r] = f32(whole) * scale
        highest = highest_of(products, corpus, i, n, metric, margins)
        hits = ((1 << n) - 1) & reached(highest, splat(lists[4][0]))
        while hits:
            r = first_bit(hits)
            write_terms_bytes(corpus, i + r, 1, metric, terms)
            push_closer(0, i + r, products[r] * corpus[1][i + r], corpus, terms, rest, margins, lists)
            hits &= hits - 1


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def scan_bytes(
    levels, scales, lengths, errors, turn, piece, end, place, width, packed, once, once_scales, once_sums, left,
    left_scales, left_sums, zero_points, number, metric, k, margins, stride, square_margin, lists, capacity, room,
):  # fmt: skip
    """scan_rows on a quantised corpus and quantised queries: `packed` like weights, and `once` as rows.

    The remainders of the queries, also quantised, are in `left` as rows.
    """
    p, m, z, none = address(packed, 0), address(margins, 0), address(room, 0), address(zero_points, 0)
    tile, terms = at(z, 2 * PANEL), at(z, 2 * PANEL + TILE_ROWS * PANEL)
    corpus = address(levels, 0), address(scales, 0), address(lengths, 0), address(errors, 0), width
    query = address(once, 0), address(once_scales, 0), address(once_sums, 0)
    slack, compared = (m, stride), (metric, square_margin)
    found, rest = pointers(lists, capacity), (address(left, 0), address(left_scales, 0), address(left_sums, 0))
    while place[0] < place[1] or next_rows(turn, piece, end, place):
        i = place[0]
        count = min(ROWS, place[1] - i)
        if not has_room(number, k, found):
            return FULL
        if number == 1:
            scan_single_bytes(corpus, i, count, query, compared, rest, slack, found, tile)
        else:
            write_terms_bytes(corpus, i, count, compared, terms)
        for panel in range(0 if number == 1 else (number + PANEL - 1) // PANEL):
            q, b = panel * PANEL, at(p, panel * width * PANEL)
            wide, scales_b, sums_b = min(PANEL, number - q), at(query[1], q), at(query[2], q)
            for t in range(0, count, BYTE_ROWS):
                some = min(BYTE_ROWS, count - t)
                x, scale = at(corpus[0], (i + t) * width), at(corpus[1], i + t)
                if wide <= LANES:
                    tile_bytes_streaming(
                        some, x, width, b, width // 4, True, z, tile, PANEL, scale, none, 1, scales_b, sums_b
                    )
                else:
                    tile_bytes(some, x, width, b, width // 4, True, z, tile, PANEL, scale, none, 1, scales_b, sums_b)
                collect_bytes(tile, some, q, wide, corpus, i + t, at(terms, t * ROW_TERMS), rest, slack, found)
        place[0] += count
    return DONE
