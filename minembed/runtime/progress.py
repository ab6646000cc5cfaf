"""A progress bar for long work: how much is done, how fast, and how long the rest will take."""

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
    """An iterable with a known number of items.

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
    """The work was cancelled; the code that set `stop` catches it."""


class Progress:
    """A progress bar on standard error: on request, or on a terminal for work of more than a second.

    With `at_once` it does not wait for that second; `done` is the work that was done before.  A bar that was not
    requested disappears at the end.  Once `stop` is set, the next step raises Stopped.

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
        from tqdm import tqdm  # late: `import minembed` and short calls stay fast

        self._waits = False
        scaled = self._unit in (BYTES, CHARACTERS)
        self._bar = tqdm(
            total=self._total,
            initial=self._before,
            unit=self._unit,
            unit_scale=scaled,
            leave=self._keep,
            smoothing=0,  # the mean rate is the best estimate of the remaining time
        )
        self._bar.start_t -= time.perf_counter() - self._begin  # the mean rate includes the work before
        if self._done:
            self._bar.update(self._done)

    def advance(self, n: int, note: str = "") -> None:
        """Advance by n; `note` is shown after the bar."""
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
