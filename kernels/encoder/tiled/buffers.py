"""Arrays of floats, split into buffers that begin at cache lines (their sizes are in workspace.py)."""

from numba import njit
from numba.extending import register_jitable

from minembed.kernels.encoder.architecture import POST_NORMS
from minembed.kernels.encoder.tiled import workspace
from minembed.kernels.vectors.simd import address, as_shorts, at

number_of_planes, chunk_of = register_jitable(workspace.number_of_planes), register_jitable(workspace.chunk_of)
stride_of, slice_of = register_jitable(workspace.stride_of), register_jitable(workspace.slice_of)
shared_sizes, own_sizes = register_jitable(workspace.shared_sizes), register_jitable(workspace.own_sizes)


@njit(inline="always")
def lay_out_shared(floats, rows, plan):
    """Split an array into the buffers that shared_sizes names."""
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
    """Split an array into the buffers that own_sizes names: (q, k, v), columns, attention buffers, blocks, a panel."""
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
    """The array to which blocks add their output: x, or, with post-norms, zeros."""
    return z if architecture[POST_NORMS] else x
