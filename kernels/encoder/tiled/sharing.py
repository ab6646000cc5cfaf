"""A second core for a single query: the tasks of a phase are shared between the caller and a helper.

kernels/encoder/sharing.py describes how tasks are offered, taken and counted.  Here a job contains the phase, the
layer, and the numbers of rows and texts; everything else is known to both, and each has separate buffers.  A job lasts
for many calls, one after the other; lingering.py says how a helper stays between them.
"""

from numba import njit

from minembed.kernels.encoder.heads import pattern_of
from minembed.kernels.encoder.job import DONE, FIELDS, TICKET
from minembed.kernels.encoder.sharing import relax, wait_for_helper, word
from minembed.kernels.encoder.tiled.buffers import lay_out_own, lay_out_shared, sum_of
from minembed.kernels.encoder.tiled.lingering import arrive, is_open, leave, stays
from minembed.kernels.encoder.tiled.order import (
    HEAD_PHASE,
    HELPER,
    OUTPUT_PHASE,
    WIDEN_PHASE,
    is_empty,
    next_task,
    open_halves,
    take_task,
    tasks_of,
)
from minembed.kernels.encoder.tiled.panels import at_layer
from minembed.kernels.encoder.tiled.plan import SIZE, F
from minembed.kernels.encoder.tiled.products import finish_last, nothing
from minembed.kernels.encoder.tiled.tasks import head, narrow_panels, output_panels, widen_panels
from minembed.kernels.tiles.amx import begin, end, on_tiles, registers
from minembed.kernels.vectors.atomics import add, read, swap
from minembed.kernels.vectors.simd import address


@njit
def do_task(tmm, phase, task, rows, texts, p, model, pattern, work, own, before):
    """One task of a phase, over all rows; returns its last block, which waits to be finished."""
    part = 0, 0, model[0][F]
    if phase == HEAD_PHASE:
        head(tmm, task, rows, texts, p, model, pattern, work, own)
        return before
    if phase == OUTPUT_PHASE:
        return output_panels(tmm, task, task + 1, rows, p, model, work, own, before)
    if phase == WIDEN_PHASE:
        return widen_panels(tmm, task, task + 1, rows, part, p, model, work, own, before)
    return narrow_panels(tmm, task, task + 1, rows, part, p, model, work, own, before)


@njit
def do_phase(tmm, job, phase, layer, rows, texts, p, model, pattern, work, own):
    """All tasks of a phase, shared with the helper if there is one."""
    tasks = tasks_of(phase, model[0])
    job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], job[FIELDS + 3] = phase, layer, rows, texts[2]
    done_before, mine, before = open_halves(job, tasks), 0, nothing(own[3], p[2], work[1], work[0])
    task = take_task(job, tasks)
    while task >= 0:
        before = do_task(tmm, phase, task, rows, texts, p, model, pattern, work, own, before)
        mine += 1
        task = take_task(job, tasks)
    finish_last(before, model[3])
    wait_for_helper(job, done_before, tasks - mine)


@njit
def help_with_phase(tmm, job, ticket, texts, parameters, patterns, model, work, own):
    """Do tasks of the phase to which a ticket belongs, as the helper, until none is left.

    A task is done when the next one has finished its last block.
    """
    phase, layer, rows, plan = job[FIELDS], job[FIELDS + 1], job[FIELDS + 2], model[0]
    texts = texts[0], 0, job[FIELDS + 3]
    p, pattern = at_layer(*parameters, plan, layer), pattern_of(patterns, layer)
    number, tasks, mine, before = ticket >> 32, tasks_of(phase, plan), 0, nothing(own[3], p[2], work[1], work[0])
    while ticket >> 32 == number:
        task, left = next_task(ticket, tasks, HELPER)
        if task < 0:
            break
        if swap(word(job, TICKET), ticket, left):
            before = do_task(tmm, phase, task, rows, texts, p, model, pattern, work, own, before)
            mine += 1
        ticket = read(word(job, TICKET))
    finish_last(before, model[3])
    add(word(job, DONE), mine)


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
    planes,
    floats,
    own,
    rows,
    own_rows,
):
    """The helper: take tasks of this call, and of those that follow soon.  Any number of texts fits in cu_seqlens."""
    tmm, job_, model = registers(), address(job, 0), (plan, architecture, eps, planes)
    if not arrive(job_):
        return
    begin(tmm, address(config, 0))
    x, ax, context, h, y, z = lay_out_shared(floats, rows, plan)
    room = lay_out_own(own, own_rows, plan)
    work = x, ax, context, h, y, sum_of(x, z, architecture)
    patterns_ = address(patterns, 0), address(bias, 0), address(rotary, 0), plan[SIZE] // 2
    texts, parameters = (address(cu_seqlens, 0), 0, 0), (weights, scales, vectors)
    while stays(job_):
        while is_open(job_):
            ticket = read(word(job_, TICKET))
            if is_empty(ticket):
                relax()
                continue
            help_with_phase(tmm, job_, ticket, texts, parameters, patterns_, model, work, room)
    end(tmm)
    leave(job_)
