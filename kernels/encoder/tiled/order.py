"""The order in which two cores do the tasks of a phase: each its own half, and then what is left of the other's.

So a core goes from panel to panel, and the CPU reads ahead what it will really need.  The ticket of
kernels/encoder/sharing.py contains the product's number and how many tasks are left of the second half and of the
first.  It alone says whether any is left: by then, the fields may describe the next product.
"""

from numba import njit

from minembed.kernels.encoder.job import DONE, TICKET
from minembed.kernels.encoder.sharing import word
from minembed.kernels.encoder.tiled.plan import HEADS, SIDE, WIDE, F
from minembed.kernels.vectors.atomics import read, swap, write

HEAD_PHASE, OUTPUT_PHASE, WIDEN_PHASE, NARROW_PHASE = 0, 1, 2, 3
CALLER, HELPER = 0, 1


@njit
def tasks_of(phase, plan):
    """The number of tasks of a phase."""
    if phase == HEAD_PHASE:
        return plan[HEADS]
    return (plan[F] if phase == WIDEN_PHASE else plan[WIDE]) // SIDE


@njit
def open_halves(job, tasks):
    """Offer the tasks of the phase in the fields; returns how many tasks the helper had done before."""
    number, done_before = (read(word(job, TICKET)) >> 32) + 1, read(word(job, DONE))
    write(word(job, TICKET), number << 32 | tasks // 2 << 16 | (tasks + 1) // 2)
    return done_before


@njit
def is_empty(ticket):
    """Whether no task is left, in either half."""
    return ticket & 0xFFFFFFFF == 0


@njit
def next_task(ticket, tasks, who):
    """The task that a core should take, and the ticket without it; a task of -1 if none is left."""
    first, second = ticket & 0xFFFF, ticket >> 16 & 0xFFFF
    if first > 0 and (who == CALLER or second == 0):
        return (tasks + 1) // 2 - first, ticket - 1
    if second > 0:
        return tasks - second, ticket - (1 << 16)
    return -1, ticket


@njit
def take_task(job, tasks):
    """Take the next task, as the caller; returns -1 if none is left."""
    while True:
        ticket = read(word(job, TICKET))
        task, left = next_task(ticket, tasks, CALLER)
        if task < 0 or swap(word(job, TICKET), ticket, left):
            return task
