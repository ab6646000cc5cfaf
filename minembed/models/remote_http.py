"""Requests to a server of minembed, with the standard library: kept connections, timeouts and a few retries.

Proxies and .netrc of the environment are ignored: requests go where the URL says.
"""

import json
import os
import re
import weakref
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPSConnection, IncompleteRead
from typing import Any, NoReturn
from urllib.parse import urlsplit

from minembed.errors import InputError, InputTypeError, NumericalError, ServerError, SourceError
from minembed.models.remote_calls import Alone, Call
from minembed.runtime.checks import check_whole
from minembed.version import __version__

LONGEST_WAIT = 30.0  # seconds before a request is sent again
LARGEST = 1 << 30  # bytes of an answer
BRIEF = 300  # characters of a server's message
BUSY = (429, 503)  # statuses after which a request is worth sending again
TOLD = re.compile(r"[^\x20-\x7e\u00a0-\U0010ffff]")  # control characters, which a terminal might execute


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is.

    >>> Address.of("https://embeddings.example/text/v1/")
    Address(secure=True, host='embeddings.example', port=443, prefix='/text')
    """

    secure: bool
    host: str
    port: int
    prefix: str  # of every path: "" or "/..."

    @staticmethod
    def of(url: str) -> "Address":
        """Parse a URL, with or without OpenAI's /v1 at its end; raises InputError if it is not one."""
        if not isinstance(url, str):
            raise InputTypeError(f"url must be a str, not {type(url).__name__}")
        try:
            parts = urlsplit(url)
            secure, port = parts.scheme == "https", parts.port
        except ValueError as error:
            raise InputError(f"url {url!r} is not a URL: {error}") from error
        if parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
            raise InputError(f"url must look like http://127.0.0.1:8080, not {url!r}")
        if parts.username is not None or parts.password is not None:
            raise InputError("url holds a name or a password: give the key as api_key=")
        if port == 0:
            raise InputError(f"url {url!r} has port 0, where nothing listens: give the port that the server printed")
        if parts.query or parts.fragment:
            raise InputError(f"url {url!r} has a query or a fragment: give only the server's address")
        prefix = parts.path.rstrip("/").removesuffix("/v1")
        return Address(secure, parts.hostname, (443 if secure else 80) if port is None else port, prefix)

    @property
    def url(self) -> str:
        """The address, as messages show it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}{self.prefix}"


class Connections:
    """Idle connections, kept for the next request.  Threads share them; a fork or a copy starts with none.

    >>> kept = Connections(Address.of("http://127.0.0.1:1"), timeout=1.0)
    >>> connection, was_kept = kept.take()
    >>> kept.give(connection)
    >>> kept.take() == (connection, True)
    True
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self.address, self.timeout = address, timeout
        self._begin()

    def _begin(self) -> None:
        self._idle: deque[HTTPConnection] = deque()
        self._process = os.getpid()
        # sockets that the garbage collector closes warn; in a reference cycle it may reach them before any __del__
        weakref.finalize(self, _close_all, self._idle)

    def __reduce__(self) -> tuple[Any, ...]:
        return Connections, (self.address, self.timeout)

    def take(self) -> tuple[HTTPConnection, bool]:
        """A connection, and whether it was used before."""
        if self._process != os.getpid():
            self._begin()
        try:
            return self._idle.pop(), True
        except IndexError:
            kind = HTTPSConnection if self.address.secure else HTTPConnection
            return kind(self.address.host, self.address.port, timeout=self.timeout), False

    def give(self, connection: HTTPConnection) -> None:
        """Keep a connection for another request."""
        self._idle.append(connection)

    def close(self) -> None:
        """Close the idle connections."""
        _close_all(self._idle)


def _close_all(idle: "deque[HTTPConnection]") -> None:
    while idle:
        idle.pop().close()


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of a server."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    value: Any  # of its JSON; None if it is not JSON


@dataclass(frozen=True, slots=True)
class Client:
    """Sends requests to one server."""

    address: Address
    connections: Connections
    retries: int
    api_key: str | None = field(default=None, repr=False)

    @staticmethod
    def to(url: str, *, api_key: str | None = None, timeout: float = 60.0, retries: int = 5) -> "Client":
        """Check the arguments; nothing is sent yet."""
        if api_key is not None and not (isinstance(api_key, str) and re.fullmatch(r"[^\x00-\x20\x7f]+", api_key)):
            raise InputError("api_key must be a str without spaces and control characters")
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 < timeout < float("inf"):
            raise InputError(f"timeout must be a number of seconds above 0, not {timeout!r}")
        check_whole("retries", retries, least=0)
        address = Address.of(url)
        return Client(address, Connections(address, float(timeout)), retries, api_key)

    def ask(self, method: str, path: str, value: Any = None, call: Call | None = None) -> Reply:
        """Send a request, and retry if that may help; raises a MinembedError for any answer that is not a result.

        Once `call` is stopped, nothing more is sent, and this raises Stopped or an error of the connection.
        """
        call = call or Alone()
        body = None if value is None else encoded(value)
        for attempt in range(self.retries + 1):
            is_last = attempt == self.retries
            try:
                reply = self._exchange(method, path, body, call)
            except TimeoutError as error:
                seconds = self.connections.timeout
                raise self._failed(f"no answer within {seconds:g} s: give a larger timeout=") from error
            except (ConnectionError, HTTPException) as error:
                if is_last or isinstance(error, ConnectionRefusedError):
                    raise self._unreached(error) from error
                call.pause(waiting_time(attempt, None))
                continue
            except (OSError, ValueError) as error:  # no such host, no route, a certificate
                raise self._unreached(error) from error
            if reply.status == 200:
                return reply
            if is_last or reply.status not in BUSY:
                self._refuse(reply, path)
            call.pause(waiting_time(attempt, reply.headers.get("retry-after")))
        raise AssertionError("the last attempt returns or raises")

    def _exchange(self, method: str, path: str, body: bytes | None, call: Call) -> Reply:
        """Send one request; if a kept connection turns out to be closed, use the next."""
        while True:
            call.check()
            connection, was_kept = self.connections.take()
            try:
                if connection.sock is None:
                    connection.connect()
                with call.using(connection.sock):
                    reply = self._exchange_on(connection, method, path, body)
            except TimeoutError:
                connection.close()
                raise
            except (ConnectionError, HTTPException):
                connection.close()
                if not was_kept:
                    raise
            except BaseException:  # the rest of a half-read answer must not be read as the next one
                connection.close()
                raise
            else:
                if connection.sock is not None:  # only after the call has let go of it
                    self.connections.give(connection)
                return reply

    def _exchange_on(self, connection: HTTPConnection, method: str, path: str, body: bytes | None) -> Reply:
        headers: dict[str, Any] = {"User-Agent": f"minembed/{__version__}", "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self.api_key is not None:
            headers["Authorization"] = b"Bearer " + self.api_key.encode()
        connection.request(method, self.address.prefix + path, body, headers)
        with connection.getresponse() as response:
            is_open_ended = response.length is None and not response.chunked
            whole = response.read(LARGEST + 1)
        if len(whole) > LARGEST:
            raise self._failed(f"an answer of more than {LARGEST} bytes")
        value = parsed(whole)
        if response.length or (is_open_ended and response.status == 200 and value is None and whole[:1] in b"{"):
            # http.client tells of neither: fewer bytes than announced, and a header that ends before it announces any
            raise IncompleteRead(whole, response.length)
        named = {name.lower(): text for name, text in response.getheaders()}
        if response.will_close:
            connection.close()
        return Reply(response.status, named, value)

    def _failed(self, what: str) -> ServerError:
        return ServerError(f"{self.address.url}: {what}")

    def _unreached(self, error: Exception) -> ServerError:
        reason = (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
        return self._failed(f"no server answers ({reason}): is minembed serve running there?")

    def _refuse(self, reply: Reply, path: str) -> NoReturn:
        """Raise the error that an answer means."""
        message, status = message_of(reply.value), reply.status
        if status in (400, 413, 422) and message:
            raise InputError(message)
        if status == 424:
            raise NumericalError(message)
        if status == 404 and "model" in message:
            raise SourceError(f"{self.address.url}: {message}")
        if status == 401:
            what = "refuses this api_key" if self.api_key else "wants a key: give api_key="
            raise self._failed(what)
        if status in BUSY:
            raise self._failed(f"too much load, also after {self.retries} retries ({status} {message})")
        if 300 <= status < 400:
            raise self._failed(f"redirects to {reply.headers.get('location', 'elsewhere')!r}: give that URL")
        hint = "" if message else "; is this the URL of a minembed server?"
        raise self._failed(f"answers {path} with {status} {message}".rstrip() + hint)


def waiting_time(attempt: int, retry_after: str | None) -> float:
    """How many seconds to wait before a retry: at least what the server asks for, and longer each time.

    >>> waiting_time(0, "2"), waiting_time(3, None), waiting_time(0, "86400"), waiting_time(0, "Wed, 21 Oct")
    (2.0, 2.0, 30.0, 0.25)
    """
    asked = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else 0.0
    return min(LONGEST_WAIT, max(asked, 0.25 * 2**attempt))


def encoded(value: Any) -> bytes:
    """The JSON text of a value, as it is sent.

    >>> encoded({"input": ["é"]}).decode()
    '{"input":["é"]}'
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")


def parsed(body: bytes) -> Any:
    """The value of a JSON text; None if it is not JSON.

    >>> parsed(b"[1]"), parsed(b"<html>")
    ([1], None)
    """
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def message_of(value: Any) -> str:
    """A server's error message, in OpenAI's format or TEI's; "" if there is none.

    >>> message_of({"error": {"message": "too long"}}), message_of({"error": "too long"}), message_of(None)
    ('too long', 'too long', '')
    """
    found = value.get("error", value.get("message", "")) if isinstance(value, dict) else ""
    found = found.get("message", "") if isinstance(found, dict) else found
    return TOLD.sub("?", found[:BRIEF]) if isinstance(found, str) else ""
