"""HTTP/1.1 on a connection, within limits: uvicorn's protocol, with timeouts and a maximum size of heads.

Uvicorn leaves these to a proxy in front of it.  A server without a proxy must not wait for ever for a client that sends
one byte per minute, and must not store heads of any size.
"""

import asyncio
import re
from collections import deque
from collections.abc import Sized
from typing import Any

import orjson
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from minembed.serve.presence import Presence

LARGEST_HEAD = 16 << 10  # bytes
HEAD_SECONDS, BODY_SECONDS, STALL_SECONDS = 10.0, 30.0, 30.0
IDLE_SECONDS = 60  # between two requests
OFFER = re.compile(rb"\r\nupgrade:", re.IGNORECASE)
REFUSALS = {
    400: b"Bad Request",
    408: b"Request Timeout",
    431: b"Request Header Fields Too Large",
    503: b"Service Unavailable",
}


def refusal(status: int, message: str) -> bytes:
    """A complete answer, after which the connection is closed.

    >>> refusal(408, "too slow").split()[1]
    b'408'
    """
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
    body = orjson.dumps({"error": error})
    lines = (
        b"HTTP/1.1 %d %s" % (status, REFUSALS[status]),
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        b"connection: close",
        *([b"retry-after: 1"] if status == 503 else []),
    )
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def without_upgrade(data: bytes) -> bytes:
    r"""The beginning of a request without its offer of another protocol, whose body the parser would leave out.

    Java's HttpClient and `curl --http2` offer h2c; a server may go on with HTTP/1.1 (RFC 9110, 7.8).

    >>> without_upgrade(b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n")
    b'GET / HTTP/1.1\r\nX-Offer: h2c\r\n\r\n'
    """
    if b"pgrade" not in data and b"PGRADE" not in data:
        return data
    head, end, body = data.partition(b"\r\n\r\n")
    return OFFER.sub(b"\r\nX-Offer:", head) + end + body


class Flow(FlowControl):
    """Reads no further while pipelined requests wait: uvicorn would read on at each of them, without bound."""

    def __init__(self, transport: asyncio.Transport, pipeline: Sized) -> None:
        super().__init__(transport)
        self._pipeline = pipeline

    def resume_reading(self) -> None:
        """Read on, unless requests wait."""
        if not self._pipeline:
            super().resume_reading()


class LimitedProtocol(HttpToolsProtocol):
    """One connection."""

    max_connections = 256

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, or refuse if there are too many connections already."""
        super().connection_made(transport)
        self._clock: asyncio.TimerHandle | None = None  # runs while a request is being read
        self._stall: asyncio.TimerHandle | None = None  # runs while the client does not read an answer
        self.flow = Flow(transport, self.pipeline)
        self._presence = Presence()
        self._unanswered: deque[Any] = deque()  # uvicorn's cycles, of pipelined requests too
        self._head_bytes = 0
        self._in_head, self._in_body, self._ended = True, False, False
        if len(self.connections) > self.max_connections:
            self._end(503, "too many connections; come again")
        else:
            self._wind(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and the work for a request that waits."""
        self._presence.leave()
        for cycle in self._unanswered:  # uvicorn tells only the last one, and the others would write to a closed socket
            cycle.disconnected = True
        self._stop_clock()
        if self._stall is not None:
            self._stall.cancel()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser; a timer runs until the request is complete."""
        if self._ended:
            return
        if self._in_head:
            self._head_bytes += len(data)
            data = without_upgrade(data)
        super().data_received(data)
        if self._ended or self.transport.is_closing():
            return
        if self._in_head and self._head_bytes > LARGEST_HEAD:
            self._end(431, f"the head of a request may have {LARGEST_HEAD} bytes")
        elif not self._in_head and not self._in_body:
            self._stop_clock()
        elif self._clock is None:
            self._wind(BODY_SECONDS if self._in_body else HEAD_SECONDS)

    # callbacks of the parser

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head, self._in_body = True, False
        self._head_size = 0
        super().on_message_begin()
        self.scope["state"]["presence"] = self._presence

    def on_url(self, url: bytes) -> None:
        """Count the size of the path."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the size of a header, and pass over those behind a body, which uvicorn would take for the head's."""
        self._count(len(name) + len(value) + 4)
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete; the body has a separate timer."""
        self._in_head, self._in_body = False, True
        self._head_bytes = 0
        self._stop_clock()
        super().on_headers_complete()
        self._unanswered.append(self.cycle)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._in_body = False
        super().on_message_complete()
        self.flow.resume_reading()  # it pauses for large bodies, but only by reading is it noticed that a client leaves

    # methods that uvicorn calls

    def on_response_complete(self) -> None:
        """The next pipelined request begins, if there is one."""
        self._unanswered.popleft()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse a request that is not HTTP, or that `_count` refused."""
        if self._head_size > LARGEST_HEAD:
            self._end(431, f"the head of a request may have {LARGEST_HEAD} bytes")
        else:
            self._end(400, "this is no sound HTTP/1.1")

    def pause_writing(self) -> None:
        """The client does not read the answer: start a timer."""
        super().pause_writing()
        self._stall = self.loop.call_later(STALL_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        super().resume_writing()

    def _count(self, size: int) -> None:
        self._head_size += size
        if self._head_size > LARGEST_HEAD:
            raise ValueError("too large")  # the parser's error handling then calls send_400_response

    def _wind(self, seconds: float) -> None:
        self._stop_clock()
        self._clock = self.loop.call_later(seconds, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        begun = self._in_body or self._head_bytes
        if begun and (self.cycle is None or not self.cycle.response_started or self.cycle.response_complete):
            self._end(408, "the request took too long to come")
        else:
            self.transport.close()

    def _end(self, status: int, message: str) -> None:
        self._ended = True
        self._stop_clock()
        self.transport.write(refusal(status, message))
        self.transport.close()


def protocol_with(max_connections: int) -> type[Any]:
    """The protocol class with a limit on connections; uvicorn creates an instance for each.

    >>> protocol_with(2).max_connections
    2
    """
    return type("Protocol", (LimitedProtocol,), {"max_connections": max_connections})
