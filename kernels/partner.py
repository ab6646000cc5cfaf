"""The thread that lends a second core to a single query; there is one, and whoever asks first has it."""

import os
import threading
from collections.abc import Callable
from queue import SimpleQueue


class Partner:
    """A thread that sleeps until it is asked.

    >>> partner, done = Partner(), threading.Event()
    >>> partner.ask(done.set), done.wait(5)
    (True, True)
    """

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._work: SimpleQueue[Callable[[], None]] = SimpleQueue()
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
        self._work.put(work)
        return True

    def _serve(self) -> None:
        while True:
            try:
                self._work.get()()
            finally:
                self._busy.release()


partner = Partner()


def _renew() -> None:
    """A forked child has no threads but its own."""
    partner.__init__()  # type: ignore[misc]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew)
