"""A second core for a single query: the tasks of a phase are shared between the caller and a helper.

kernels/encoder/sharing.py describes how tasks are offered, taken and counted.  Here a job contains the phase, the layer
and the number of rows; everything else is known to both, and each has separate buffers.
"""

from numba import njit

from minembed.kernels.encoder.heads import pattern_of
from minembed.kernels.encoder.job import CLOSED, DONE, FIELDS, TICKET
from minembed.kernels.encoder.sharing import caller_begins, open_tasks, relax, take_task, wait_for_helper, word
from minembed.kernels.encoder.tiled.buffers import lay_out_own, lay_out_shared, sum_of
from minembed.kernels.encoder.tiled.panels import at_layer
from minembed.kernels.encoder.tiled.plan import HEADS, SIDE, SIZE, WIDE, F
from minembed.kernels.encoder.tiled.tasks import head, narrow, output, widen
from minembed.kernels.tiles.amx import begin, end, on_tiles, registers
from minembed.kernels.vectors.atomics import add, read, swap
from minembed.kernels.vectors.simd import address

HEAD_PHASE, OUTPUT_PHASE, WIDEN_PHASE, NARROW_PHASE = 0, 1, 2, 3


@njit
def tasks_of(phase, plan):
    """The number of tasks of a phase."""
    if phase == HEAD_PHASE:
        return plan[HEADS]
    return (plan[F] if phase == WIDEN_PHASE else plan[WIDE]) // SIDE


@njit
def do_task(tmm, phase, task, rows, texts, p, model, pattern, work, own):
    """One task of a phase, over all rows."""
    part = 0, 0, model[0][F]
    if phase == HEAD_PHASE:
        head(tmm, task, rows, texts, p, model, pattern, work, own)
    elif phase == OUTPUT_PHASE:
        output(tmm, task, task + 1, rows, p, model, work, own)
    elif phase == WIDEN_PHASE:
        widen(tmm, task, task + 1, rows, part, p, model, work, own)
    else:
        narrow(tmm, task, task + 1, rows, part, p, model, work, own)


@njit
def do_phase(tmm, job, phase, layer, rows, texts, p, model, pattern, work, own):
    """All tasks of a phase, shared with the helper if there is one."""
    tasks = tasks_of(phase, model[0])
    job[FIELDS], job[FIELDS + 1], job[FIELDS + 2] = phase, layer, rows
    done_before, mine = open_tasks(job, tasks), 0
    task = take_task(job, tasks)
    while task < tasks:
        do_task(tmm, phase, task, rows, texts, p, model, pattern, work, own)
        mine += 1
        task = take_task(job, tasks)
    wait_for_helper(job, done_before, tasks - mine)


@on_tiles
@njit(nogil=True, boundscheck=False, error_model="numpy")
def assist_tiled(
    job,
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
    floats,
    own,
    rows,
    own_rows,
):
    """The helper: take tasks until the job is closed."""
    tmm, job_, model = registers(), address(job, 0), (plan, architecture, eps)
    if not caller_begins(job_):
        return
    begin(tmm, address(config, 0))
    x, ax, context, h, y, z = lay_out_shared(floats, rows, plan)
    room = lay_out_own(own, own_rows, plan)
    texts = address(cu_seqlens, 0), 0, len(cu_seqlens) - 1
    work = x, ax, context, h, y, sum_of(x, z, architecture)
    patterns_ = address(patterns, 0), address(bias, 0), address(rotary, 0), plan[SIZE] // 2
    while read(word(job_, CLOSED)) == 0:
        ticket = read(word(job_, TICKET))
        task, tasks = ticket & 0xFFFF, ticket >> 16 & 0xFFFF
        if task >= tasks:
            relax()
            continue
        phase, layer, count = job_[FIELDS], job_[FIELDS + 1], job_[FIELDS + 2]
        p = at_layer(weights, scales, vectors, plan, layer)
        pattern = pattern_of(patterns_, layer)
        if swap(word(job_, TICKET), ticket, ticket + 1):
            do_task(tmm, phase, task, count, texts, p, model, pattern, work, room)
            add(word(job_, DONE), 1)
    end(tmm)
