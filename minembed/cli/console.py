"""Output to the terminal: UTF-8 in every locale, errors and warnings in one line."""

import errno
import io
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from minembed.errors import MinembedWarning
from minembed.runtime import interrupts

if TYPE_CHECKING:
    pass


class Failure(click.ClickException):
    """An expected error: prints its message, and ends the command with exit code 1.

    >>> Failure("no such model").exit_code
    1
    """

    exit_code = 1

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message."""
        click.echo(f"minembed: {self.format_message()}", file=file, err=True)


class _Closed(io.RawIOBase):
    """A replacement for a closed standard output: writing to it raises an error."""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        raise OSError(errno.EBADF, "standard output is closed")


def use_utf8() -> None:
    """Let standard output and error take any text, even if the locale is "C".

    Writing to a closed standard output raises OSError.

    >>> use_utf8()
    """
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_Closed(), encoding="utf-8", write_through=True)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def prints_to_terminal() -> bool:
    """Whether standard output is open, and a terminal.

    >>> prints_to_terminal() in (True, False)
    True
    """
    return sys.stdout is not None and sys.stdout.isatty()


def as_text(argument: str) -> str:
    """Read an argument as UTF-8 even if the locale names another encoding.

    >>> as_text("caf\\udcc3\\udca9") == as_text("caf\u00e9") == "caf\u00e9"
    True
    """
    try:
        return argument.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeError:  # not UTF-8: the tokenizer replaces the invalid characters
        return argument


@contextmanager
def stops_on_signals() -> Iterator[None]:
    """Let SIGINT, SIGTERM and SIGHUP end the command by an exception, so that no incomplete file is left.

    A signal that is ignored, for example by nohup, stays ignored.

    >>> with stops_on_signals():
    ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    interrupts.forget()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    try:
        for number, handler in before.items():
            if handler is not signal.SIG_IGN:
                signal.signal(number, lambda number, frame: interrupts.note(number))
        with interrupts.not_swallowed():
            yield
        interrupts.check()  # code that swallowed the exception went on
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        interrupts.forget()


@contextmanager
def on_interrupt(kept: Callable[[], str]) -> Iterator[None]:
    """If Ctrl-C ends the block, print the line that `kept` returns: what is kept, and how to continue.

    >>> with on_interrupt(lambda: "nothing is kept"):
    ...     pass
    """
    try:
        yield
    except KeyboardInterrupt:
        _print_line(f"minembed: interrupted: {kept()}")
        raise


@contextmanager
def one_line_warnings() -> Iterator[None]:
    """Print warnings as one line on standard error, without the source line that issued them.

    >>> with one_line_warnings():
    ...     pass
    """
    before = warnings.showwarning
    with warnings.catch_warnings():
        warnings.simplefilter("always", MinembedWarning)
        warnings.showwarning = _show
        try:
            yield
        finally:
            warnings.showwarning = before


def _show(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    _print_line(f"minembed: warning: {message}")


def _print_line(text: str) -> None:
    if "tqdm" in sys.modules:
        from tqdm import tqdm

        tqdm.write(text, file=sys.stderr)  # above a progress bar
    else:
        click.echo(text, err=True)


class _Tells(logging.Handler):
    """Print what the package logs, one line per record."""

    def emit(self, record: logging.LogRecord) -> None:
        _print_line(record.getMessage())


@contextmanager
def tells_logs() -> Iterator[None]:
    """Print what the package logs at INFO, such as how a file is read, on standard error.

    >>> with tells_logs():
    ...     pass
    """
    logger, handler = logging.getLogger("minembed"), _Tells(logging.INFO)
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


def existing_file() -> click.Path:
    """The type of an argument that names a file to read; anything else is a usage error.

    >>> existing_file().exists
    True
    """
    return click.Path(exists=True, dir_okay=False, readable=True, path_type=Path)


def file_or_stdin() -> click.Path:
    """The same, but "-" is standard input.

    >>> file_or_stdin().allow_dash
    True
    """
    return click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)


def new_file() -> click.Path:
    """The type of an option that names a file to write; an existing one is replaced.

    >>> new_file().exists
    False
    """
    return click.Path(dir_okay=False, path_type=Path)


def check_place(path: Path) -> None:
    """Raise a usage error, before a long computation, if its output could not be written: no folder, or no permission.

    >>> check_place(Path("vectors.npy"))
    >>> check_place(Path("no/such/vectors.npy"))
    Traceback (most recent call last):
    click.exceptions.UsageError: no/such/vectors.npy: there is no folder no/such; create it first
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise click.UsageError(f"{path}: there is no folder {path.parent}; create it first")
    if not os.access(folder, os.W_OK):
        raise click.UsageError(f"{path}: no permission to write to the folder {path.parent}")


def table(rows: list[list[str]], right: frozenset[int] = frozenset(), indent: str = "") -> list[str]:
    """Lay out rows in columns, those in `right` flush right.

    >>> table([["a", "10"], ["bcd", "7"]], right=frozenset({1}))
    ['a    10', 'bcd   7']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        indent
        + "  ".join(
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
