"""Single queries shared by two cores, with random delays around each atomic step of both, within the compiled code.

Whatever the caller and its helper say to each other goes through the four functions of kernels/vectors/atomics.py, so
these are replaced, before any kernel is compiled: mostly by a short wait on each side, sometimes by one in which the
other core does a whole product.  Run it in a process of its own, with a folder of its own for what Numba compiles:

    NUMBA_CACHE_DIR=new python delayed.py DTYPE SEED NUMBER [reused]

reused: products without numbers of their own, so that a late helper takes part in one that it knows nothing of.
"""

import sys
import time

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

from minembed.kernels.vectors import atomics
from minembed.kernels.vectors.emit import I64, declare

REAL = atomics.read, atomics.write, atomics.add, atomics.swap
LONG, SHORT = 300_000, 400  # cycles


@intrinsic
def cycles(typing_context):
    """The CPU's counter of cycles."""

    def generate(context, builder, sig, args):
        return builder.call(declare(builder, "llvm.readcyclecounter", I64, []), [])

    return types.int64(), generate


@njit
def pause():
    """Wait: in one of 256 cases long, otherwise hardly."""
    dice = cycles() * 6364136223846793005 >> 33 & 0xFFFF
    wait = LONG * (dice & 0xFF) >> 8 if dice >> 8 == 0 else SHORT * (dice & 0xFF) >> 8
    until = cycles() + wait
    while cycles() < until:
        pass


def delay():
    """Put pauses around the atomic functions."""
    for real in REAL:
        names = ", ".join(f"a{i}" for i in range(real._defn.__code__.co_argcount - 1))
        scope = {"real": real, "pause": pause}
        body = "pause()\n    found = real({names})\n    pause()\n    return found\n"
        if real._name == "write":
            body = "pause()\n    real({names})\n    pause()\n"
        exec(f"def {real._name}({names}):\n    {body.format(names=names)}", scope)
        setattr(atomics, real._name, njit(scope[real._name]))


def forget_numbers():
    """Let every product have the same number."""
    from minembed.kernels.encoder import sharing
    from minembed.kernels.encoder.job import DONE, TICKET

    read, write, word = atomics.read, atomics.write, sharing.word

    @njit
    def open_tasks(job, count):
        done_before = read(word(job, DONE))
        write(word(job, TICKET), 1 << 32 | count << 16)
        return done_before

    sharing.open_tasks = open_tasks


def main(dtype, seed, number, *fault):
    """Ask for the same queries again and again; says how often the helper took part."""
    delay()
    if fault:
        forget_numbers()
    from kernel_inputs import config_of, packed

    from minembed.kernels.encoder import prepared, tier
    from minembed.kernels.encoder.job import DONE, JOB_WORDS
    from minembed.kernels.encoder.selftest import random_params

    prepared.SHARED_WORK, jobs, ask = 0, {}, tier.helper.ask

    def asked(work, *waits):
        job = next(cell.cell_contents for cell in work.__closure__ if np.size(cell.cell_contents) == JOB_WORDS)
        jobs[id(job)] = job
        return ask(work, *waits)

    def done():
        return sum(job[DONE] for job in jobs.values())

    config = config_of(4, 24, 200, 2)
    model = tier.prepare(random_params(config), config, dtype)
    inputs = [packed([n], config, seed=seed + n) for n in (1, 7, 31, 64)]
    alone, tier.helper.ask, helped = [model(tokens).tobytes() for tokens in inputs], asked, 0
    for run in range(number):
        before = done()
        assert model(inputs[run % 4], together=True).tobytes() == alone[run % 4], f"other bits in run {run}"
        until = time.monotonic() + 30
        while run % 3 and not tier.helper._last.done:  # otherwise it may wait for the next query, on tiles
            assert time.monotonic() < until, "the helper stays busy"
        helped += done() > before
    print(helped)


if __name__ == "__main__":
    main(*(int(word) if word.isdecimal() else word for word in sys.argv[1:]))
