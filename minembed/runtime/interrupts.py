"""Interrupts that are not lost: one that comes within an import, or while a file is closed, can become another error.

Signal handlers note what they raise (`note`).  `check` raises it again where it did not come out; long loops call it.
Where an exception would do harm, whatever it is and whoever set the handler, signals wait (`held_back`).
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

MAY_RAISE = [  # signals that programs have handlers for which raise
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]

_noted: list[int] = []  # signals whose exception has not ended the command yet


def note(number: int) -> None:
    """Remember a signal, and raise its exception: KeyboardInterrupt, or SystemExit with the code that shells know.

    >>> note(15)
    Traceback (most recent call last):
    SystemExit: 143
    >>> forget()
    """
    _noted.append(number)
    check()


def check() -> None:
    """Raise the exception of a signal that was noted and not forgotten.

    >>> check()
    """
    if _noted:
        number = _noted[0]
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def forget() -> None:
    """Forget all signals: the exception came out, or what it should end has ended.

    >>> forget()
    """
    _noted.clear()


def interrupt_behind(error: BaseException, outside: BaseException | None = None) -> BaseException | None:
    """Find the KeyboardInterrupt or SystemExit that an error stems from; not `outside`, or what lies behind it.

    >>> try:
    ...     try:
    ...         raise KeyboardInterrupt
    ...     finally:
    ...         raise ImportError("numpy")
    ... except ImportError as error:
    ...     interrupt_behind(error)
    KeyboardInterrupt()
    """
    seen: list[BaseException] = []
    while error not in seen and error is not outside:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return error
        seen.append(error)
        behind = error.__context__ if error.__cause__ is None else error.__cause__
        if behind is None:
            break
        error = behind
    return None


@contextmanager
def not_swallowed() -> Iterator[None]:
    """Let an interrupt come out of the block as what it is, not as the error that an import or a clean-up made of it.

    >>> with not_swallowed():
    ...     try:
    ...         raise SystemExit(143)
    ...     finally:
    ...         raise OSError(9, "Bad file descriptor")
    Traceback (most recent call last):
    SystemExit: 143
    """
    outside = sys.exc_info()[1]  # what the caller is dealing with already
    try:
        yield
    except Exception as error:
        check()
        interrupt = interrupt_behind(error, outside)
        try:
            if interrupt is not None:
                raise interrupt from None
            raise
        finally:
            interrupt = outside = None  # its traceback holds this frame, which would hold it, and all on the way


class _Hold:
    """A handler in place of all that are written in Python: they are called when it is released."""

    def __init__(self, firmly: bool) -> None:
        self.most = sys.maxsize if firmly else 1  # signals that it holds
        self.process = os.getpid()  # a child that another thread forks never comes to the end of the block
        self.before: dict[int, Callable[[int, FrameType | None], object]] = {}
        self.waiting: list[int] = []
        for number in MAY_RAISE:
            if callable(handler := signal.getsignal(number)):
                self.before[number] = handler

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.waiting.append(number)
        if len(self.waiting) > self.most or os.getpid() != self.process:
            self.release()

    def release(self) -> None:
        self.most = 0  # a handler that is back already may raise before all are: what is left here holds nothing
        for number, handler in self.before.items():
            if signal.getsignal(number) is self:
                signal.signal(number, handler)
        while self.waiting:
            number = self.waiting.pop(0)
            self.before[number](number, sys._getframe())


@contextmanager
def held_back(firmly: bool = False) -> Iterator[None]:
    """Let signals wait for the end of the block, as they wait for the end of a function in C.

    It is for what calls Python from C: an exception that is raised there is lost, and what C needed stays undone.  A
    second signal waits no longer, so that nobody has to wait for a compiler, unless they are held back `firmly`.
    Python calls handlers in the main thread only: in others nothing is held back.

    >>> heard = []
    >>> before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append("signal"))
    >>> with held_back():
    ...     signal.raise_signal(signal.SIGTERM)
    ...     heard.append("end of the block")
    >>> heard
    ['end of the block', 'signal']
    >>> _ = signal.signal(signal.SIGTERM, before)
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hold = _Hold(firmly)
    try:
        with suppress(ValueError):  # a thread that only an embedded interpreter calls the main one
            for number in hold.before:
                signal.signal(number, hold)
        yield
    finally:
        hold.release()
