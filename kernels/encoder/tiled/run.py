"""The whole encoder in one call without the GIL, on tile registers, as kernels/encoder/run.py on vectors.

Tiles are configured once per call, and released before it returns.
"""

from numba import njit

from minembed.kernels.encoder.architecture import ALL_ROWS, BARE, MEAN_ROWS
from minembed.kernels.encoder.heads import pattern_of
from minembed.kernels.encoder.layer import copy_rows
from minembed.kernels.encoder.pooling import write_kept
from minembed.kernels.encoder.run import chunk_end
from minembed.kernels.encoder.tiled.buffers import chunk_of, lay_out_own, lay_out_shared, stride_of, sum_of
from minembed.kernels.encoder.tiled.layer import transformer_layer
from minembed.kernels.encoder.tiled.lingering import begin_round, close_round
from minembed.kernels.encoder.tiled.norms import norm_row, place_in
from minembed.kernels.encoder.tiled.panels import at_layer
from minembed.kernels.encoder.tiled.plan import LAYERS, SIZE, WIDE, D
from minembed.kernels.tiles.amx import begin, end, on_tiles, registers
from minembed.kernels.vectors.simd import address, at


@njit
def enter(x, rows, plan, eps, ax, planes):
    """Write the first operand; the padding of rows is set to 0."""
    for r in range(rows):
        row = at(x, r * stride_of(plan))
        for j in range(plan[D], plan[WIDE]):
            row[j] = 0
        norm_row(row, plan[D], plan[WIDE], row, 0, eps, False, place_in(ax, r, plan[WIDE], planes), planes)


@on_tiles
@njit(nogil=True, boundscheck=False, error_model="numpy")
def run_tiled(
    config,
    cu_seqlens,
    weights,
    scales,
    vectors,
    bias,
    rotary,
    patterns,
    plan,
    architecture,
    eps,
    planes,
    keep,
    job,
    floats,
    own,
    rows,
    out,
):
    """Replace the embeddings of packed texts in `out` by their hidden states after the last layer.

    `keep` is as in kernels/encoder/run.py.
    """
    tmm, width, layers, model = registers(), plan[D], plan[LAYERS], (plan, architecture, eps, planes)
    begin(tmm, address(config, 0))
    x, ax, context, h, y, z = lay_out_shared(floats, rows, plan)
    work, stride = (x, ax, context, h, y, sum_of(x, z, architecture)), stride_of(plan)
    buffers, job_ = lay_out_own(own, rows, plan), address(job, 0)
    patterns_ = address(patterns, 0), address(bias, 0), address(rotary, 0), plan[SIZE] // 2
    cu, to = address(cu_seqlens, 0), address(out, 0)
    first, number = 0, len(cu_seqlens) - 1
    rows_kept = ALL_ROWS if keep == MEAN_ROWS else keep
    begin_round(job_)
    while first < number:
        last = chunk_end(cu, first, number, rows, chunk_of(plan))
        count, start = cu[last] - cu[first], cu[first]
        copy_rows(at(to, start * width), width, x, stride, count, width)
        enter(x, count, plan, eps, ax, planes)
        for layer in range(layers):
            kept = rows_kept if layer == layers - 1 else ALL_ROWS
            p = at_layer(weights, scales, vectors, plan, layer)
            pattern, bare = pattern_of(patterns_, layer), layer == 0 and architecture[BARE] != 0
            transformer_layer(tmm, job_, layer, (cu, first, last), kept, p, model, pattern, work, buffers, bare)
        write_kept(x, stride, cu, first, last, keep, width, to)
        first = last
    close_round(job_)
    end(tmm)
