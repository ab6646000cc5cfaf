"""A bar for long work: how much is done of how much, how fast, and when it will be done."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from threading import Event

BYTES = "B"  # units that are shown in kB, MB and so on
CHARACTERS = " characters"
PATIENCE = 1.0  # seconds of work before a bar is shown


@dataclass(frozen=True, slots=True)
class Counted:
    """Items that come one by one, and how many there will be.

    >>> len(Counted(iter("abc"), 3))
    3
    """

    items: Iterable[Any]
    total: int

    def __len__(self) -> int:
        return self.total

    def __iter__(self) -> Iterator[Any]:
        return iter(self.items)


class Stopped(Exception):
    """Nobody waits for this work any more; whoever set `stop` catches it."""


class Progress:
    """A progress bar on standard error: if asked for, or on a terminal for work of more than a second.

    With `at_once` it does not wait for that second; `done` of the work was done before.  A bar that nobody asked for
    goes away when the work is done.  Once `stop` is set, the next step raises Stopped.

    >>> with Progress(["a"], "text", show=False) as progress:
    ...     progress.advance(1)
    """

    def __init__(
        self,
        work: object,
        unit: str,
        show: bool | None,
        at_once: bool = False,
        done: int = 0,
        stop: "Event | None" = None,
    ) -> None:
        self._bar: Any = None
        self._stop = stop
        self._total = len(work) if isinstance(work, Sized) else None
        self._unit, self._keep = unit, bool(show)
        self._begin, self._before, self._done = time.perf_counter(), done, 0
        terminal = sys.stderr is not None and sys.stderr.isatty()
        self._waits = show is None and terminal and self._total != 0
        if show or (self._waits and at_once):
            self._open()

    def _open(self) -> None:
        from tqdm import tqdm  # late: `import minembed` stays light, and so do calls that are done at once

        self._waits = False
        scaled = self._unit in (BYTES, CHARACTERS)
        self._bar = tqdm(
            total=self._total,
            initial=self._before,
            unit=self._unit,
            unit_scale=scaled,
            leave=self._keep,
            smoothing=0,  # the rate of all the work tells best how long the rest takes
        )
        self._bar.start_t -= time.perf_counter() - self._begin  # the rate is that of all the work
        if self._done:
            self._bar.update(self._done)

    def advance(self, n: int, note: str = "") -> None:
        """Move on by n; `note` stands behind the bar."""
        if self._stop is not None and self._stop.is_set():
            raise Stopped
        if self._bar is None:
            self._done += n
            if not self._waits or time.perf_counter() - self._begin < PATIENCE:
                return
            self._open()
            n = 0
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(n)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
