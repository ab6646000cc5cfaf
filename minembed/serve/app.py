"""The ASGI application: check the head of a request, find its route, read its body, answer, count.

It is plain ASGI, without a framework, which would only replace a table of paths.
"""

import asyncio
import logging
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from minembed.serve.access import AccessLog, Entry
from minembed.serve.errors import OPENAI, RERANK, TEI, Refusal, refusal_of
from minembed.serve.guard import CLOSE, Guard, Head, check_body
from minembed.serve.metrics import Meter
from minembed.serve.presence import GoneError
from minembed.serve.request import Answer, Request
from minembed.serve.settings import Settings

Scope = MutableMapping[str, Any]
Send = Callable[[Mapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Handler = Callable[[Request], Awaitable[Answer]]
LOG = logging.getLogger("minembed")
GONE = 499  # status in the log and the metrics if the client disconnected, as in nginx
BODIES = 32  # of the largest size that may be read at once
MOST_ANSWERS = 256 << 20  # bytes of answers that are not sent yet; above this, nothing new is computed
AT_ONCE = 64 << 10  # bytes
MODELS = "/v1/models/"
ONE_MODEL = MODELS + "{model}"  # names have slashes, also
NAMES = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+(?:[ \t]*,[ \t]*[-!#$%&'*+.^_`|~0-9A-Za-z]+)*")  # of headers
EXPOSED = {"access-control-expose-headers": "x-minembed-truncated, retry-after"}  # that a page may read
FIXED = [(b"x-content-type-options", b"nosniff")]
LATE = Refusal(
    503, "the server stopped before the answer was done: send it elsewhere", "stopping", headers={"retry-after": "5"}
)


@dataclass(frozen=True, slots=True)
class Route:
    """The handler of one method of one path."""

    handler: Handler
    is_open: bool = False  # whether any Host is accepted, and no key needed
    needs_key: bool = True  # if the server has one


Table = Mapping[str, Mapping[str, Route]]  # path -> method -> route


def pattern_of(path: str) -> str:
    """The path of a route as the table has it.

    >>> pattern_of("/v1/models/org/name"), pattern_of("/v1/models")
    ('/v1/models/{model}', '/v1/models')
    """
    return ONE_MODEL if path.startswith(MODELS) and path != MODELS else path


def shape_of(path: str) -> str:
    """The interface of a path, which decides the shape of its errors.

    >>> shape_of("/v1/embeddings"), shape_of("/v1/rerank"), shape_of("/embed")
    ('openai', 'rerank', 'tei')
    """
    if path == "/v1/rerank":
        return RERANK
    return OPENAI if path.startswith("/v1/") else TEI


class App:
    """One server's application."""

    def __init__(self, settings: Settings, table: Callable[["App"], Table], meter: Meter, log: AccessLog) -> None:
        self.settings, self.meter, self.log = settings, meter, log
        self.guard = Guard(settings)
        self.stopping = False
        self.table = table(self)
        self.body_bytes = self.answer_bytes = 0  # of bodies being read, and of answers being sent

    def stop(self) -> None:
        """Refuse new requests from now on; accepted ones are finished."""
        self.stopping = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        begin = time.perf_counter()
        head = scope["method"], scope["path"], scope["query_string"], scope["headers"]
        request = Request(*head, receive, scope["state"]["presence"])
        try:
            answer = await self._answer(request)
        except GoneError:
            answer = Answer(status=GONE)
        except asyncio.CancelledError:
            if not self.stopping:
                raise
            answer = self._refused(request, LATE)  # the grace ran out
        except Exception as error:
            answer = self._refused(request, error)
        if request.origin is not None:
            origin = {"access-control-allow-origin": request.origin.decode("latin-1"), "vary": "origin"}
            answer = with_headers(answer, origin | EXPOSED)
        if self.stopping:
            answer = with_headers(answer, {"connection": "close"})
        if answer.status != GONE:
            self.answer_bytes += len(answer.body)
            try:
                await respond(answer, send)
            finally:
                self.answer_bytes -= len(answer.body)
        self._count(scope, answer, time.perf_counter() - begin)

    def _count(self, scope: Scope, answer: Answer, seconds: float) -> None:
        path = pattern_of(scope["path"])
        route = path if path in self.table else "other"
        self.meter.request(route, answer.model, answer.status, seconds, answer.tokens)
        client = scope["client"][0] if scope.get("client") else "-"
        entry = Entry(client, scope["method"], route, answer.status, 1000 * seconds, answer.tokens, answer.model)
        self.log.add(entry)

    async def _answer(self, request: Request) -> Answer:
        head = Head.of(request.headers)
        method = "GET" if request.method == "HEAD" else request.method  # uvicorn sends the head alone
        route = self.table.get(pattern_of(request.path), {}).get(method)
        if route is not None and route.is_open:
            return await route.handler(request)
        self.guard.check_host(head)
        request.origin = self.guard.check_origin(head)
        if request.origin is not None and request.method == "OPTIONS":
            return preflight(request.headers)
        if route is None or route.needs_key:
            self.guard.check_key(head)
        if route is None:
            raise self._no_route(request)
        if self.stopping:
            raise Refusal(503, "the server stops: send the request elsewhere", "stopping", headers={"retry-after": "5"})
        if request.method == "POST":
            check_body(head, self.settings.max_body)
            await self._read_body(request)
        return await route.handler(request)

    def _no_route(self, request: Request) -> Refusal:
        methods = self.table.get(pattern_of(request.path))
        if methods is None:
            return Refusal(404, "there is nothing at this path; /openapi.json says what there is", "unsupported")
        allow = {"allow": ", ".join([*methods, *["HEAD"] * ("GET" in methods)])}
        return Refusal(405, f"this path answers {allow['allow']}", "unsupported", headers=allow)

    async def _read_body(self, request: Request) -> None:
        """Read the body, within its limit and the limit for all bodies; small ones are always read."""
        if self.answer_bytes > MOST_ANSWERS:
            raise Refusal(429, "too many answers wait to be taken", "overloaded", headers={"retry-after": "1"})
        limit, parts, total = self.settings.max_body, [], 0
        try:
            more = True
            while more:
                message = await request.receive()
                if message["type"] == "http.disconnect":
                    raise GoneError
                part, more = message.get("body", b""), message.get("more_body", False)
                total += len(part)
                self.body_bytes += len(part)
                if total > limit:
                    raise Refusal(413, f"the body has more than {limit} bytes: send several requests", headers=CLOSE)
                if total > AT_ONCE and self.body_bytes > BODIES * limit:
                    headers = {"retry-after": "1", **CLOSE}
                    raise Refusal(429, "too much is being sent at once", "overloaded", headers=headers)
                parts.append(part)
        finally:
            self.body_bytes -= total
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)

    def _refused(self, request: Request, error: Exception) -> Answer:
        refusal = refusal_of(error)
        if refusal.status == 500:
            LOG.error("%s %s failed\n%s", request.method, request.path, _without_text(error))
        status, body = refusal.body(shape_of(request.path))
        return Answer(orjson.dumps(body), status, headers=refusal.headers)


def _without_text(error: Exception) -> str:
    """The place and the type of an error, without its message, which may contain texts of a request."""
    return "".join(traceback.format_tb(error.__traceback__)) + type(error).__name__


def with_headers(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """An answer with more headers.

    >>> with_headers(Answer(), {"connection": "close"}).headers
    {'connection': 'close'}
    """
    return replace(answer, headers={**answer.headers, **headers})


def preflight(headers: Sequence[tuple[bytes, bytes]]) -> Answer:
    """The answer to a browser's CORS preflight request, for an allowed page of another server.

    Any header may be sent, as clients in browsers add their own (OpenAI's has x-stainless-lang and others).

    >>> preflight([(b"access-control-request-headers", b"x-own")]).headers["access-control-allow-headers"]
    'x-own'
    """
    asked = next((value for name, value in headers if name == b"access-control-request-headers"), b"")
    names = asked.decode("latin-1") if NAMES.fullmatch(asked) else "authorization, content-type"
    allowed = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": names}
    return Answer(status=204, headers=allowed | {"access-control-max-age": "600"})


async def respond(answer: Answer, send: Send) -> None:
    """Send an answer."""
    headers = [*FIXED]
    if answer.status != 204:
        headers.append((b"content-type", answer.content_type.encode()))
        headers.append((b"content-length", str(len(answer.body)).encode()))
    headers += [(name.encode(), value.encode("latin-1")) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    if len(answer.body) <= AT_ONCE:
        await send({"type": "http.response.body", "body": answer.body})
    else:  # the second one waits until most of the first is sent
        await send({"type": "http.response.body", "body": answer.body, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "lifespan":
        return
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return
        await asyncio.sleep(0)
