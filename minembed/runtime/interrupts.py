"""Keep interrupts from being lost: during an import, or while a file is closed, one can turn into another error.

Signal handlers note what they raise (`note`).  `check` raises it again if it was swallowed; long loops call it.
In code where any exception would do harm, signals wait (`held_back`), whoever set their handler.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

MAY_RAISE = [  # signals whose handlers may raise
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK", "SIGQUIT", "SIGALRM", "SIGUSR1", "SIGUSR2")
    if hasattr(signal, name)
]

_noted: list[int] = []  # signals whose exception has not yet ended the command


def note(number: int) -> None:
    """Remember a signal, and raise its exception: KeyboardInterrupt, or SystemExit with the usual exit code.

    >>> note(15)
    Traceback (most recent call last):
    SystemExit: 143
    >>> forget()
    """
    _noted.append(number)
    check()


def check() -> None:
    """Raise the exception of a signal that was noted and not yet forgotten.

    >>> check()
    """
    if _noted:
        number = _noted[0]
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)


def forget() -> None:
    """Forget all signals: their exception arrived, or the work that it should end has ended.

    >>> forget()
    """
    _noted.clear()


def interrupt_behind(error: BaseException, outside: BaseException | None = None) -> BaseException | None:
    """Find the KeyboardInterrupt or SystemExit that caused an error, but not `outside` or one of its causes.

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
    """Raise an interrupt from the block as itself, even if an import or a clean-up turned it into another error.

    >>> with not_swallowed():
    ...     try:
    ...         raise SystemExit(143)
    ...     finally:
    ...         raise OSError(9, "Bad file descriptor")
    Traceback (most recent call last):
    SystemExit: 143
    """
    outside = sys.exc_info()[1]  # the exception that the caller is already handling
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
            interrupt = outside = None  # breaks a reference cycle: the traceback refers to this frame


class _Hold:
    """Replaces all signal handlers written in Python, and calls them when it is released."""

    def __init__(self, firmly: bool) -> None:
        self.most = sys.maxsize if firmly else 1  # signals that it holds back
        self.process = os.getpid()  # a child that another thread forks never reaches the end of the block
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
        self.most = 0  # a restored handler may raise before all are restored: then this one holds nothing back
        for number, handler in self.before.items():
            if signal.getsignal(number) is self:
                signal.signal(number, handler)
        while self.waiting:
            number = self.waiting.pop(0)
            self.before[number](number, sys._getframe())


@contextmanager
def held_back(firmly: bool = False) -> Iterator[None]:
    """Delay signals until the end of the block, as they are delayed until the end of a function in C.

    Use it around C code that calls Python: an exception raised there is lost, and the C code misses its result.  A
    second signal is not delayed, so that nobody has to wait for a compiler, unless `firmly` is set.  Python calls
    handlers only in the main thread: in others nothing is delayed.

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
        with suppress(ValueError):  # an embedded interpreter may call another thread its main one
            for number in hold.before:
                signal.signal(number, hold)
        yield
    finally:
        hold.release()
