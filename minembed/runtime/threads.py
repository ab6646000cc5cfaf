"""Threads: how many to use, how to distribute work to them, and how to limit BLAS to one thread meanwhile."""

import _thread
import math
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from minembed.runtime.checks import check_whole
from minembed.runtime.interrupts import check

Item = TypeVar("Item")
Result = TypeVar("Result")


def available_cores() -> int:
    """Count the cores that this process may use: its affinity, and the CPU quota of its control group (Linux).

    >>> available_cores() >= 1
    True
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(cores, _cgroup_quota(Path("/sys/fs/cgroup")))))


def _cgroup_quota(root: Path) -> float:
    try:
        if (root / "cpu.max").exists():  # version 2: "max 100000" or "150000 100000"
            quota, period = (root / "cpu.max").read_text().split()[:2]
        else:  # version 1: -1 means no limit
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(quota) / float(period) if quota.strip() not in ("max", "-1") else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # no control groups here, or not readable
        return math.inf


def check_threads(threads: int | None) -> int:
    """Turn None into the number of available cores; raises InputError unless it is at least 1.

    >>> check_threads(3)
    3
    """
    if threads is None:
        return available_cores()
    return check_whole("threads", threads, also=", or None for all cores")


class _BlasGuard:
    """Limits BLAS to one thread while any thread computes.

    threadpoolctl's own context manager is process-wide and restores what it found: if two overlap in time, the limit
    of the later one remains.  So here the first user sets the limit and the last one lifts it.

    An interrupt may end `enter` and `leave` between any two steps.  Then either can be called again, and completes what
    is left to do; a user that is garbage-collected has left.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()  # re-entrant: a user may be garbage-collected while it is held
        self.users: list[weakref.ref[_User]] = []
        self.controller: Any = None  # of threadpoolctl; None until something was computed
        self.before: list[int] | None = None  # the previous number of threads, while they are limited

    def enter(self, user: "_User") -> None:
        with self.lock:
            if self.controller is None:
                from threadpoolctl import ThreadpoolController  # late: it looks at every loaded library

                self.controller = ThreadpoolController().select(user_api="blas")
            self.users = [*self._others(user), weakref.ref(user)]
            if self.before is None or not self._others(user):
                now = [library.get_num_threads() for library in self.controller.lib_controllers]
                if self.before is not None:  # the last user was interrupted: a limit of 1 may be ours
                    now = [n if n != 1 else before for n, before in zip(now, self.before, strict=True)]
                self.before = now
                _limit(self.controller.lib_controllers, [1] * len(now))

    def leave(self, user: "_User") -> None:
        with self.lock:
            self.users = self._others(user)
            if not self.users and self.before is not None:
                _limit(self.controller.lib_controllers, self.before)
                self.before = None

    def _others(self, user: "_User") -> "list[weakref.ref[_User]]":
        return [other for other in self.users if other() is not None and other() is not user]

    def limit_this_thread(self) -> None:
        """Set the limit in a new thread too, if the library has a limit per thread (OpenMP)."""
        if self.before is not None:
            for library in self.controller.lib_controllers:
                if getattr(library, "threading_layer", None) == "openmp":
                    library.set_num_threads(1)

    def reset_in_child(self) -> None:
        """Forget the parent's threads after a fork; the lock was taken before it, so that none of them is in here."""
        self.users = []
        if self.before is not None:
            _limit(self.controller.lib_controllers, self.before)
            self.before = None
        self.lock.release()


def _limit(libraries: Sequence[Any], threads: Sequence[int]) -> None:
    """Change limits from any thread: threadpoolctl 3.8 allows it only to the first thread that did, while it lives."""
    from threadpoolctl import OpenBLASController

    clear = getattr(OpenBLASController, "clear_controlling_thread", lambda force: None)
    clear(force=True)
    try:
        for library, n in zip(libraries, threads, strict=True):
            library.set_num_threads(n)
    finally:
        clear(force=True)


class _User:
    """A user of the limit to one BLAS thread, until its block ends or it is garbage-collected."""

    __slots__ = ("__weakref__",)

    def __enter__(self) -> None:
        try:
            _guard.enter(self)
        except BaseException:
            _guard.leave(self)
            raise

    def __exit__(self, *_: object) -> None:
        try:
            _guard.leave(self)
        finally:
            _guard.leave(self)  # nothing is left to do, unless the first one was interrupted

    def __del__(self) -> None:
        _guard.leave(self)


_guard = _BlasGuard()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.lock.acquire, after_in_parent=_guard.lock.release, after_in_child=_guard.reset_in_child
    )


def single_threaded_blas() -> AbstractContextManager[None]:
    """Limit BLAS to one thread: the parallelism is ours, with one chunk of texts per thread.

    >>> with single_threaded_blas():
    ...     pass
    """
    return _User()


def run(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Generator[tuple[int, Result], None, None]:
    """Run the work on every item; yields (index, result) in the order of completion.

    The threads live only as long as the loop, so a fork inherits none.  An exception (also an interrupt), or closing
    the generator, drops the items that have not begun.

    >>> sorted(run(lambda x: x * x, [1, 2, 3], threads=2))
    [(0, 1), (1, 4), (2, 9)]
    """
    if threads == 1 or len(items) <= 1:
        for i, item in enumerate(items):
            check()
            yield i, work(item)
        return
    left, begun = deque(enumerate(items)), 0
    results: SimpleQueue[tuple[int, Any, BaseException | None]] = SimpleQueue()
    ended: SimpleQueue[None] = SimpleQueue()
    try:
        for _ in range(min(threads, len(items))):
            # not a threading.Thread, nor an executor: an interrupt within theirs can leave a lock that nobody releases
            _thread.start_new_thread(_serve, (work, left, results, ended))
            begun += 1
        for _ in items:
            i, result, error = results.get()
            check()
            if error is not None:
                raise error
            yield i, result
    finally:
        left.clear()
        for _ in range(begun):  # wait for at most one item per thread
            ended.get()
        error = None  # breaks a reference cycle: its traceback refers to this frame


def _serve(
    work: Callable[[Item], Result],
    left: "deque[tuple[int, Item]]",
    results: "SimpleQueue[tuple[int, Any, BaseException | None]]",
    ended: "SimpleQueue[None]",
) -> None:
    try:
        _guard.limit_this_thread()
        while left:
            try:
                i, item = left.popleft()
            except IndexError:  # another was faster
                return
            try:
                results.put((i, work(item), None))
            except BaseException as error:
                results.put((i, None, error))
    finally:
        ended.put(None)
