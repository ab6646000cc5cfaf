"""Threads that lend their cores to what must be done at once: a single query, or a search.

They sleep between two requests, and whoever asks first has them: who finds them busy computes alone, as fast as before.

A sleeper is woken on another core than that of whoever asks.  Linux would often choose that very core, above all in a
virtual machine, where it takes sleeping cores for busy ones; for the milliseconds until it looks again, one would wait.
"""

import _thread
import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _core_here() -> Callable[[], int] | None:
    """What tells the core of the calling thread, where there is such a thing, and threads can be moved."""
    try:
        here: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu
        return here if hasattr(os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):
        return None


_core = _core_here()


def _keep_off(thread: int | None) -> set[int]:
    """Let a thread run on every core but the caller's; returns all that the caller may use, or nothing."""
    if not _core or thread is None:
        return set()
    try:
        cores = os.sched_getaffinity(0)
        if len(cores) > 1:
            os.sched_setaffinity(thread, cores - {_core()})
        return cores
    except OSError:  # forbidden here
        return set()


def _allow(cores: set[int]) -> None:
    """Let the calling thread run on these cores from now on."""
    with suppress(OSError):
        if cores:
            os.sched_setaffinity(0, cores)


class _Job:
    """Whether a piece of work is done; only the helper says so."""

    __slots__ = ("done",)

    def __init__(self, done: bool = False) -> None:
        self.done = done


class Helper:
    """A thread that sleeps until it is asked.

    An interrupt may leave `ask` between any two steps.  So nothing is taken that would have to be given back: work is
    handed over in one step, and that it is done is said by the helper's own thread, which no signal reaches.  Work that
    comes while there is other work is done later, which is as good as never for whoever asked.

    >>> helper, done = Helper(), threading.Event()
    >>> helper.ask(done.set), done.wait(5)
    (True, True)
    """

    def __init__(self) -> None:
        self._given: SimpleQueue[tuple[_Job, Callable[[], None], set[int]]] = SimpleQueue()
        self._last = _Job(done=True)  # or one before it, where an interrupt came after it was handed over
        self._thread: dict[str, int] = {}  # its native id, which it sets itself

    def ask(self, work: Callable[[], None]) -> bool:
        """Let it do the work, if it is idle; returns whether it will.  Never waits.

        The work must have an end, and must not raise.
        """
        if not self._last.done:
            return False
        if not self._thread:
            try:
                # threading.Thread.start waits for the thread; an interrupt there can leave one that never begins
                _thread.start_new_thread(self._serve, ())
            except RuntimeError:  # no more threads, or the interpreter is on its way out
                return False
        job = _Job()
        self._given.put((job, work, _keep_off(self._thread.get("id"))))
        self._last = job
        return True

    def _serve(self) -> None:
        own = threading.get_native_id()
        if self._thread.setdefault("id", own) != own:
            return  # another was begun by somebody who was interrupted then
        try:
            while True:
                job, work, cores = self._given.get()
                try:
                    _allow(cores)
                    work()
                finally:
                    job.done = True
                    del work  # and with it the arrays that it holds
        finally:
            self._thread.clear()  # whoever asks next begins another


helper = Helper()
_helpers = [helper]  # grows as more threads are asked for


def share(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Do the work on every item, here and on up to `threads` - 1 helpers; the results in the order of the items.

    When an item raises an error no further ones are begun, and the error is raised when those at work are done.

    >>> share(abs, [-1, 2, -3], threads=2)
    [1, 2, 3]
    """
    left, results, errors = deque(enumerate(items)), dict[int, Result](), list[BaseException]()
    done: SimpleQueue[None] = SimpleQueue()

    def take() -> None:
        while left:
            try:
                i, item = left.popleft()
            except IndexError:  # another was faster
                return
            try:
                if not errors:
                    results[i] = work(item)
            except BaseException as error:
                errors.append(error)
            finally:
                done.put(None)

    while len(_helpers) < threads - 1:
        _helpers.append(Helper())
    try:
        for each in _helpers[: max(0, min(threads, len(items)) - 1)]:
            each.ask(take)
        take()
        for _ in items:
            done.get()
    finally:
        left.clear()  # after an interrupt: helpers end with the item that they have
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(items))]


def _renew() -> None:
    """A forked child has no threads but its own."""
    for each in _helpers:
        each.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
