"""Threads that lend their cores to what must be done at once: a single query, or a search.

They sleep between two requests, and whoever asks first has them: who finds them busy computes alone, as fast as before.

A sleeper is woken on another core than that of whoever asks.  Linux would often choose that very core, above all in a
virtual machine, where it takes sleeping cores for busy ones; for the milliseconds until it looks again, one would wait.
"""

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


class Partner:
    """A thread that sleeps until it is asked.

    >>> partner, done = Partner(), threading.Event()
    >>> partner.ask(done.set), done.wait(5)
    (True, True)
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._work: SimpleQueue[tuple[Callable[[], None], set[int]]] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, work: Callable[[], None]) -> bool:
        """Let it do the work, if it is idle; returns whether it will.  Never waits."""
        if not self._busy.acquire(blocking=False):
            return False
        if self._thread is None:
            thread = threading.Thread(target=self._serve, name="minembed-partner", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no more threads, or the interpreter is on its way out
                self._busy.release()
                return False
            self._thread = thread
        self._work.put((work, _keep_off(self._thread.native_id)))
        return True

    def _serve(self) -> None:
        while True:
            work, cores = self._work.get()
            try:
                _allow(cores)
                work()
            finally:
                self._busy.release()


partner = Partner()
_more = [partner]  # grows as more threads are asked for


def share(work: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Do the work on every item, here and on up to `threads` - 1 partners; the results in the order of the items.

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

    while len(_more) < threads - 1:
        _more.append(Partner())
    for helper in _more[: max(0, min(threads, len(items)) - 1)]:
        helper.ask(take)
    take()
    for _ in items:
        done.get()
    if errors:
        raise errors[0]
    return [results[i] for i in range(len(items))]


def _renew() -> None:
    """A forked child has no threads but its own."""
    for helper in _more:
        helper.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
