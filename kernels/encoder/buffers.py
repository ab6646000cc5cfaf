"""One array of floats, split into the buffers of the encoder (their sizes are in workspace.py)."""

from numba import njit
from numba.extending import register_jitable

from minembed.kernels.encoder import workspace
from minembed.kernels.vectors.simd import address, as_shorts, at

padded, operand_scales = register_jitable(workspace.padded), register_jitable(workspace.operand_scales)
operand_elements, sizes = register_jitable(workspace.operand_elements), register_jitable(workspace.sizes)


@njit(inline="always")
def lay_out(floats, rows, shape, gated, zeros):
    """Split an array into the buffers that `sizes` names: (x, qkv, context, y, h, buffers of attention), scales."""
    s = sizes(rows, shape, gated)
    x = address(floats, 0)
    qkv = at(x, s[0])
    context = at(qkv, s[1])
    y = at(context, s[2])
    h = at(y, s[3])
    keys = at(h, s[4])
    scores = at(keys, s[5])
    sums = at(scores, s[6])
    queries = at(sums, s[7])
    values = at(queries, s[8])
    weights = at(values, s[9])
    room = (keys, scores, sums, address(zeros, 0), as_shorts(queries), as_shorts(values), as_shorts(weights))
    return (x, qkv, context, y, h, room), at(weights, s[10])
