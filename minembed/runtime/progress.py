"""A bar for long work, in texts."""

import sys
from collections.abc import Sized
from types import TracebackType
from typing import Any


class Progress:
    """A progress bar on standard error: if asked for, or on a terminal for work of more than two seconds.

    >>> with Progress(["a"], "text", show=False) as progress:
    ...     progress.advance(1)
    """

    def __init__(self, work: object, unit: str, show: bool | None) -> None:
        self._bar: Any = None
        total = len(work) if isinstance(work, Sized) else None
        if show or (show is None and (total is None or total > 64) and sys.stderr is not None and sys.stderr.isatty()):
            from tqdm import tqdm  # late: `import minembed` stays light

            self._bar = tqdm(total=total, unit=unit, delay=0 if show else 2, leave=bool(show))

    def advance(self, n: int, note: str = "") -> None:
        """Move on by n; `note` stands behind the bar."""
        if self._bar is not None:
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
