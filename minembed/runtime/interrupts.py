"""Interrupts that are not lost: one that comes within an import, or while a file is closed, can become another error.

Signal handlers note what they raise (`note`).  `check` raises it again where it did not come out; long loops call it.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
