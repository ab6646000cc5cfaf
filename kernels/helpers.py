"""Threads that help with urgent work: a single query, or a search.

They sleep between requests, and serve the first caller; one that finds them busy computes alone, as fast as before.

A helper is woken on another core than the caller's.  Linux would often choose the same core, especially in a virtual
machine, where it takes sleeping cores for busy ones; one of the two would wait for milliseconds until Linux moves it.
"""

import _thread
import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import SimpleQueue
from typing import Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def _core_here() -> Callable[[], int] | None:
    """A function that returns the core of the calling thread; None if there is none or threads cannot be moved."""
    try:
        here: Callable[[], int] = ctypes.PyDLL(None).sched_getcpu
        return here if hasattr(os, "sched_setaffinity") else None
    except (AttributeError, OSError, TypeError):
        return None


_core = _core_here()


def _keep_off(thread: int | None) -> set[int]:
    """Let a thread run on every core except the caller's; returns all cores that the caller may use, or none."""
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


class Waits(Protocol):
    """Work that, when it is done, may wait for more of the same kind."""

    def dismiss(self) -> bool:
        """Let the helper go if it only waits; returns whether it does."""

    def forget(self) -> None:
        """The helper is gone, in a forked child."""


class _Job:
    """Whether a piece of work is done, which only the helper sets; and who can end its waiting for more."""

    __slots__ = ("done", "waits")

    def __init__(self, done: bool = False, waits: Waits | None = None) -> None:
        self.done = done
        self.waits = waits


class Helper:
    """A thread that sleeps until it gets work.

    An interrupt may leave `ask` between any two steps.  So nothing is acquired that would have to be released: work is
    handed over in one step, and marked as done by the helper's thread, which gets no signals.  Work that arrives during
    other work is done later, too late to be of use to the caller.

    >>> helper, done = Helper(), threading.Event()
    >>> helper.ask(done.set), done.wait(5)
    (True, True)
    """

    def __init__(self) -> None:
        self._given: SimpleQueue[tuple[_Job, Callable[[], None], set[int]]] = SimpleQueue()
        self._last = _Job(done=True)  # or the one before, if an interrupt came after the handover
        self._thread: dict[str, int] = {}  # its native id, which it sets itself

    def ask(self, work: Callable[[], None], waits: Waits | None = None) -> bool:
        """Give it work, if it is idle, or only waits for more of its last work; returns whether it accepts.

        Never waits itself.  The work must end, and must not raise.
        """
        last = self._last
        waits_for_more = last.waits
        if not last.done and (waits_for_more is None or not waits_for_more.dismiss()):
            return False
        if not self._thread:
            try:
                # threading.Thread.start waits for the thread; an interrupt there can leave one that never begins
                _thread.start_new_thread(self._serve, ())
            except RuntimeError:  # no more threads, or the interpreter is shutting down
                return False
        job = _Job(waits=waits)
        self._given.put((job, work, _keep_off(self._thread.get("id"))))
        self._last = job
        return True

    def _serve(self) -> None:
        own = threading.get_native_id()
        if self._thread.setdefault("id", own) != own:
            return  # another thread was started by an interrupted caller
        try:
            while True:
                job, work, cores = self._given.get()
                try:
                    _allow(cores)
                    work()
                finally:
                    job.done = True
                    job.waits = None
                    del work  # also releases its arrays
        finally:
            self._thread.clear()  # the next caller starts another


helper = Helper()
_helpers = [helper]  # grows as more threads are asked for


def share(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Do the work on every item, here and on up to `threads` - 1 helpers; returns results in the order of the items.

    After an error, no further items are begun, and the error is raised when the running ones are done.

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
        left.clear()  # after an interrupt: helpers stop after their current item
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(items))]


def _renew() -> None:
    """Start again in a forked child, which has only the forking thread."""
    for each in _helpers:
        if each._last.waits is not None:
            each._last.waits.forget()
        each.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
