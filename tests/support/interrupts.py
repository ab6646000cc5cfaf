"""Interrupts at random moments: KeyboardInterrupt between any two bytecodes of a function, many times over.

A timer of the system raises it in the main thread, as Ctrl-C does, but nowhere outside the function that is tried.
"""

import random
import signal
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer that sends signals here")


@dataclass
class Outcome:
    """The outcomes of the interrupts of a trial."""

    hit: int = 0  # raised out of the function
    missed: int = 0  # the function had ended before
    swallowed: int = 0  # the function continued
    in_finalizers: int = 0  # the interpreter itself drops what is raised there


def _call(work: Callable[[], object]) -> None:
    work()


def _is_inside(frame) -> bool:
    while frame is not None:
        if frame.f_code is _call.__code__:
            return True
        frame = frame.f_back
    return False


@contextmanager
def _armed(outcome: Outcome, raised: list[int]):
    """Let SIGALRM raise within `_call`, and count what the interpreter drops."""

    def strike(number, frame):
        if _is_inside(frame):
            raised.append(number)
            raise KeyboardInterrupt

    def dropped(what):
        if isinstance(what.exc_value, KeyboardInterrupt):
            outcome.in_finalizers += 1
        else:
            hook(what)

    hook, sys.unraisablehook = sys.unraisablehook, dropped
    before = signal.signal(signal.SIGALRM, strike)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a file that is forgotten while it is opened is closed
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        sys.unraisablehook = hook


def seconds_of(work: Callable[[], object], calls: int = 5) -> float:
    """The time of a call that is not the first."""
    work()
    laps = []
    for _ in range(calls):
        begin = time.perf_counter()
        work()
        laps.append(time.perf_counter() - begin)
    return sorted(laps)[calls // 2]


def interrupt(
    work: Callable[[], object], times: int, seed: int, check: Callable[[], object] = lambda: None, seconds: float = 0
) -> Outcome:
    """Call a function until it was interrupted `times` times, each at a random moment; then, each time, `check`.

    An interrupt must come out of the function: it may neither be swallowed nor become another exception.
    """
    dice, outcome = random.Random(seed), Outcome()
    longest = seconds = seconds or seconds_of(work)
    raised: list[int] = []
    with _armed(outcome, raised):
        while outcome.hit < times and outcome.missed < 20 * times:
            longest = min(1.1 * seconds, max(seconds / 20, longest * (1.02 if raised else 0.96)))  # few come too late
            raised.clear()
            signal.setitimer(signal.ITIMER_REAL, max(1e-6, dice.uniform(0, longest)))
            try:
                _call(work)
            except KeyboardInterrupt:
                outcome.hit += 1
                assert raised
            else:
                outcome.swallowed += bool(raised)
                outcome.missed += not raised
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            check()
    assert outcome.swallowed <= outcome.in_finalizers, outcome
    assert outcome.hit == times, outcome
    return outcome


def cpu_share(seconds: float = 0.2) -> float:
    """The number of cores that the other threads of this process use while this one sleeps."""
    begin, used = time.perf_counter(), time.process_time()
    time.sleep(seconds)
    return (time.process_time() - used) / (time.perf_counter() - begin)


def is_calm(tries: int = 25) -> bool:
    """Whether the other threads of this process come to rest: those of BLAS look for work a while longer."""
    return any(cpu_share() < 0.5 for _ in range(tries))
