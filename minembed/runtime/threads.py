"""Threads: how many there may be, how work is dealt out to them, and how BLAS is kept to one meanwhile."""

import math
import os
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from minembed.runtime.checks import check_whole

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
    """Turn None into the cores at hand; raises InputError unless at least 1.

    >>> check_threads(3)
    3
    """
    if threads is None:
        return available_cores()
    return check_whole("threads", threads, also=", or None for all cores")


class _BlasGuard:
    """Limits BLAS to one thread while anyone computes.

    threadpoolctl's own context manager is process-wide and restores what it found: two that overlap in time leave
    the limit of whoever began last. So the first one in sets the limit and the last one out lifts it.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.controller: Any = None
        self.limiter: Any = None

    def enter(self) -> None:
        with self.lock:
            if self.users == 0:
                if self.controller is None:
                    from threadpoolctl import ThreadpoolController  # late: it looks at every loaded library

                    self.controller = ThreadpoolController().select(user_api="blas")
                self.limiter = _uncontrolled(lambda: self.controller.limit(limits=1))
            self.users += 1

    def leave(self) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                _uncontrolled(self.limiter.restore_original_limits)

    def limit_this_thread(self) -> None:
        """Where limits belong to threads (OpenBLAS on OpenMP), a new thread needs its own."""
        with self.lock:
            if self.users:
                _uncontrolled(lambda: self.controller.limit(limits=1))

    def reset_in_child(self) -> None:
        """Forget the threads that a fork left behind; the lock was taken before the fork, so that none is in here."""
        if self.users:
            self.users = 0
            _uncontrolled(self.limiter.restore_original_limits)
        self.lock.release()


def _uncontrolled(change: Callable[[], Result]) -> Result:
    """Change limits from any thread: threadpoolctl 3.8 lets only the first one that did, for as long as it lives."""
    from threadpoolctl import OpenBLASController

    clear = getattr(OpenBLASController, "clear_controlling_thread", None)
    if clear is None:
        return change()
    clear(force=True)
    try:
        return change()
    finally:
        clear(force=True)


_guard = _BlasGuard()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_guard.lock.acquire, after_in_parent=_guard.lock.release, after_in_child=_guard.reset_in_child
    )


def run(
    work: Callable[[Item], Result], items: Sequence[Item], threads: int
) -> Generator[tuple[int, Result], None, None]:
    """Do the work on every item; yields (index, result) as results come.

    The pool lives as long as the loop, so nothing is left behind for a fork to inherit. An exception, or closing
    the generator, drops the items not yet begun.

    >>> sorted(run(lambda x: x * x, [1, 2, 3], threads=2))
    [(0, 1), (1, 4), (2, 9)]
    """
    if threads == 1 or len(items) <= 1:
        yield from ((i, work(item)) for i, item in enumerate(items))
        return
    from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait  # late: `import minembed` stays light

    pool = ThreadPoolExecutor(min(threads, len(items)), "minembed", initializer=_guard.limit_this_thread)
    try:
        pending = {pool.submit(work, item): i for i, item in enumerate(items)}
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield pending.pop(future), future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)  # at most one item a thread is still waited for


@contextmanager
def single_threaded_blas() -> Iterator[None]:
    """Hold BLAS to one thread: the threads are ours, one chunk of texts each.

    >>> with single_threaded_blas():
    ...     pass
    """
    _guard.enter()
    try:
        yield
    finally:
        _guard.leave()
