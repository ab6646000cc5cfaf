"""The access log: one line per request, for people or as JSON.  It never contains texts of requests, or keys."""

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import TextIO

import orjson

PATIENCE = 0.25  # seconds that lines are buffered at most


@dataclass(slots=True)
class Entry:
    """The facts about an answered request."""

    client: str
    method: str
    route: str  # from the table of routes; "other" for unknown paths
    status: int
    milliseconds: float
    tokens: int = 0
    model: str = ""


def line_of(entry: Entry, kind: str, moment: float) -> str:
    """One line, without its line end.

    >>> line_of(Entry("127.0.0.1", "POST", "/embed", 200, 3.21, 12, "minilm"), "human", 0.0)
    '1970-01-01T00:00:00Z 127.0.0.1 POST /embed 200 3.2ms 12 tokens minilm'
    """
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    if kind == "json":
        facts = {"time": when, "client": entry.client, "method": entry.method, "route": entry.route}
        more = {"status": entry.status, "ms": round(entry.milliseconds, 2), "tokens": entry.tokens}
        return orjson.dumps(facts | more | {"model": entry.model}).decode()
    read = f" {entry.tokens} tokens {entry.model}" if entry.model else ""
    return f"{when} {entry.client} {entry.method} {entry.route} {entry.status} {entry.milliseconds:.1f}ms{read}"


class AccessLog:
    """Buffers lines, and writes several at a time.

    The first line that is buffered sets a timer, so that no line waits for the next request.
    """

    def __init__(self, kind: str, stream: TextIO | None = None) -> None:
        self.kind, self._stream = kind, stream or sys.stderr
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None  # only while lines are buffered
        self._loop: asyncio.AbstractEventLoop | None = None  # whose timer it is

    def add(self, entry: Entry) -> None:
        """Buffer a line, and write it soon; at once where no event loop runs."""
        if self.kind == "none":
            return
        self._lines.append(line_of(entry, self.kind, time.time()))
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._timer is None or self._loop is not loop:  # that of a loop which ended never fires
            self._loop, self._timer = loop, loop.call_later(PATIENCE, self.flush)

    def flush(self) -> None:
        """Write the buffer; a closed stream ends the log, not the server."""
        if self._timer is not None:
            self._timer.cancel()
            self._loop = self._timer = None
        lines, self._lines = self._lines, []
        if lines:
            try:
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                self.kind = "none"
