"""Panels of a weight in each stored type: 32 columns of bfloat16, or of numbers that become bfloat16.

    bfloat16    [panel][K / 2][32][2]
    int8        the same with bytes, and scales [panel][group][32][2], each column's twice, in the order of the bytes
    float32     [panel][K][32]

Bytes are widened, and float32 split into planes (planes.py), when they are needed, a part of K at a time, into the
first-level cache.  Products of a few hundred rows take no longer; those of a few rows do (docs/kernels.md has the
times).
"""

from numba import njit

from minembed.kernels.encoder.tiled.plan import EACH, LINE, S_LAYER, SIDE, V_LAYER, W_LAYER
from minembed.kernels.encoder.tiled.planes import STEP_B, store_pairs_planes
from minembed.kernels.vectors.simd import (
    address,
    as_numbers,
    as_words,
    at,
    load,
    load_signed_bytes,
    prefetch,
    store_bfloat16,
)


@njit
def at_layer(weights, scales, vectors, plan, layer):
    """Pointers to a layer's parameters: (weights, scales, vectors)."""
    weight = address(weights, layer * plan[W_LAYER] * plan[EACH])
    return weight, address(scales, layer * plan[S_LAYER]), address(vectors, layer * plan[V_LAYER])


@njit
def panel_of(p, plan, place, scales, depth, group, panel):
    """A panel of a weight with K = `depth`: pointers to it and its scales, bytes per number, rows of K per scale."""
    groups = (depth + group - 1) // group
    start = (place + panel * SIDE * depth) * plan[EACH]
    return at(p[0], start), at(p[1], scales + panel * groups * 2 * SIDE), plan[EACH], group


@njit
def rows_of(panel, k):
    """A pointer to the rows of K from k on."""
    return at(panel[0], k * SIDE * panel[2])


@njit
def as_operand(panel, k, depth, room, soon, planes):
    """`depth` rows of K from k on, as an operand: in place, or, unless they are bfloat16, in the buffer `room`.

    Rows that are needed `soon` are prefetched meanwhile, a line for each line that is read.
    """
    start, scales, each, group = panel
    if len(planes) > 1:
        split_rows(as_numbers(rows_of(panel, k)), depth, room, soon)
        return room
    if each == 2:
        return as_words(rows_of(panel, k))
    widen_rows(start, scales, group, k, depth, room, soon)
    return room


@njit
def split_rows(w, depth, room, soon):
    """Float32 rows in three planes; half of what is needed soon is prefetched meanwhile."""
    for pair in range(0, depth, 2):
        prefetch(at(soon, pair * LINE)), prefetch(at(soon, pair * LINE + LINE))
        row, to = at(w, pair * SIDE), at(room, pair // SIDE * 3 * STEP_B + pair % SIDE * SIDE)
        store_pairs_planes(to, load(row), load(at(row, SIDE)))
        store_pairs_planes(at(to, SIDE), load(at(row, 16)), load(at(row, SIDE + 16)))


@njit
def widen_rows(start, scales, group, k, depth, room, soon):
    """Rows of bytes as bfloat16."""
    row, until = k, k + depth
    while row < until:
        stop = min(until, (row // group + 1) * group)
        factors = at(scales, row // group * 2 * SIDE)
        a, b, c, d = load(factors), load(at(factors, 16)), load(at(factors, 32)), load(at(factors, 48))
        for pair in range(row, stop, 2):
            source, to = at(start, pair * SIDE), at(room, (pair - k) * SIDE)
            prefetch(at(soon, (pair - k) * SIDE))
            store_bfloat16(to, load_signed_bytes(source) * a)
            store_bfloat16(at(to, 16), load_signed_bytes(at(source, 16)) * b)
            store_bfloat16(at(to, 32), load_signed_bytes(at(source, 32)) * c)
            store_bfloat16(at(to, 48), load_signed_bytes(at(source, 48)) * d)
        row = stop
