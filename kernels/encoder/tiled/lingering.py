"""A helper that stays for the next query: between two calls that follow each other closely, it waits without the GIL.

To wake a thread costs the caller 40 µs, and the thread another 40 until it takes its first task; and at the end of a
call both want the GIL at once, so that one sleeps and has to be woken.  All that is a tenth of a short query's time.

A call is a round: the caller counts those that it has begun, and those that it has closed.  Both are the same while the
helper waits.  It waits for LINGER, which is longer than Python takes between two queries of a loop.  Where queries come
seldom this would be in vain, so after each time it was, it leaves more rounds at once: 1, 3, 7, ... 63.  Whether it is
there changes nothing but who does the tasks, so its coming and going need no agreement.
"""

from numba import njit

from minembed.kernels.encoder.job import (
    BEGUN,
    CLOSED,
    DISMISSED,
    LINGERS,
    MISSED,
    PRESENT,
    SHARED,
    SKIPPED,
    WANTED,
    WORKS,
)
from minembed.kernels.encoder.sharing import PATIENCE, relax, word
from minembed.kernels.vectors.atomics import read, swap, write

LINGER = 40_000  # checks, of 10 ns each on a Granite Rapids: some 0.4 ms
MOST_SKIPPED = 63


@njit
def begin_round(job):
    """Tell the helper that the caller has begun a call; one that is not shared is none of its business."""
    if job[SHARED] != 0:
        write(word(job, BEGUN), read(word(job, BEGUN)) + 1)


@njit
def close_round(job):
    """Tell the helper that this call has no more work."""
    write(word(job, CLOSED), read(word(job, BEGUN)))


@njit
def is_open(job):
    """Whether a call has begun and is not closed."""
    return read(word(job, CLOSED)) < read(word(job, BEGUN))


@njit
def arrive(job):
    """Wait until the call begins that the helper was asked for.

    False if it does not begin soon, or is over; or if another helper is here, since there are buffers for one.
    """
    for _ in range(PATIENCE):
        if read(word(job, BEGUN)) >= job[WANTED]:
            break
        relax()
    return is_open(job) and swap(word(job, PRESENT), 0, WORKS)


@njit
def leave(job):
    """Tell the caller that it has to ask for help next time."""
    write(word(job, PRESENT), 0)


@njit
def stays(job):
    """Wait for the next call, unless that was often in vain; returns whether one has begun."""
    if is_open(job):
        return True
    if job[SKIPPED] > 0:
        job[SKIPPED] -= 1
        return False
    write(word(job, PRESENT), LINGERS)
    for _ in range(LINGER):
        if is_open(job):
            job[MISSED] = 0
            write(word(job, PRESENT), WORKS)
            return True
        if read(word(job, DISMISSED)) != 0:
            return False
        relax()
    job[MISSED] = min(2 * job[MISSED] + 1, MOST_SKIPPED)
    job[SKIPPED] = job[MISSED]
    return False
