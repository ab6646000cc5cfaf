"""Room for the activations: arrays of floats, cut into buffers that begin at cache lines."""

from numba import njit
from numba.extending import register_jitable

from minembed.kernels.encoder.architecture import POST_NORMS
from minembed.kernels.encoder.tiled.finish import SIDE, SLOT
from minembed.kernels.encoder.tiled.plan import HEAD, HEADS, WIDE, F
from minembed.kernels.encoder.tiled.products import DEPTH
from minembed.kernels.vectors.simd import address, as_shorts, at

SLICE = 1024  # columns of the feed-forward block's hidden layer, at most, that are computed before they are used
BAND = 512  # rows that block takes at a time
PANEL = DEPTH * SIDE // 2  # floats that a part of a panel takes, in bfloat16
SHARED_ROWS = 256  # up to so many rows two cores may share


@register_jitable
def stride_of(plan):
    """From a row of hidden states to the next: not a power of two, which would make rows share places in the cache.

    >>> stride_of((384, 384, 1536, 12, 32, 32, 6))
    400
    """
    return plan[WIDE] + 16


@register_jitable
def slice_of(plan):
    """How many columns a slice of the hidden layer has: slices of like size, in whole blocks.

    >>> slice_of((384, 384, 1536, 12, 32, 32, 6))
    768
    """
    slices = (plan[F] + SLICE - 1) // SLICE
    return (plan[F] // SIDE + slices - 1) // slices * SIDE


@register_jitable
def shared_sizes(rows, plan):
    """How many floats each buffer takes that cores share: x; ax; context; h; y; z.

    >>> shared_sizes(32, (384, 384, 1536, 12, 32, 32, 6))[0]
    25600
    """
    wide, across = plan[WIDE], plan[HEADS] * plan[HEAD]
    all_rows, band = (rows + SIDE - 1) // SIDE * SIDE + SIDE, BAND + SIDE
    hidden = max(min(all_rows, band) * slice_of(plan), min(all_rows, SHARED_ROWS) * plan[F])
    return (
        all_rows * (wide + 16), all_rows * wide // 2, all_rows * across // 2, hidden // 2,
        wide // SIDE * (band // SIDE) * SLOT, all_rows * (wide + 16),
    )  # fmt: skip


@register_jitable
def own_sizes(rows, plan):
    """How many floats each buffer takes that a core has to itself.

    q, k, v, keys, values of a head, in bfloat16; its columns; scores; weights; sums; blocks; a panel.

    >>> own_sizes(32, (384, 384, 1536, 12, 32, 32, 6))[0]
    1024
    """
    head, all_rows = plan[HEAD], (rows + SIDE - 1) // SIDE * SIDE + SIDE
    half = all_rows * head // 2
    square = SIDE * (all_rows + SIDE)
    return (
        half,
        half,
        half,
        half,
        half,
        all_rows * 3 * head,
        square,
        square,
        2 * SIDE,
        all_rows // SIDE * 2 * SLOT,
        PANEL,
    )


@njit(inline="always")
def lay_out_shared(floats, rows, plan):
    """Cut an array into the buffers that shared_sizes names."""
    s = shared_sizes(rows, plan)
    x = address(floats, 0)
    ax = at(x, s[0])
    context = at(ax, s[1])
    h = at(context, s[2])
    y = at(h, s[3])
    z = at(y, s[4])
    return x, as_shorts(ax), as_shorts(context), as_shorts(h), y, z


@njit(inline="always")
def lay_out_own(floats, rows, plan):
    """Cut an array into the buffers that own_sizes names: (q, k, v), columns, attention's room, blocks, a panel."""
    s = own_sizes(rows, plan)
    q = address(floats, 0)
    k = at(q, s[0])
    v = at(k, s[1])
    keys = at(v, s[2])
    values = at(keys, s[3])
    columns = at(values, s[4])
    scores = at(columns, s[5])
    weights = at(scores, s[6])
    sums = at(weights, s[7])
    c = at(sums, s[8])
    panel = as_shorts(at(c, s[9]))
    room = as_shorts(keys), as_shorts(values), scores, as_shorts(weights), sums, c
    return (as_shorts(q), as_shorts(k), as_shorts(v)), columns, room, c, panel


@njit
def sum_of(x, z, architecture):
    """Where blocks add what they found: to x, or, where they have post-norms, to zeros."""
    return z if architecture[POST_NORMS] else x
