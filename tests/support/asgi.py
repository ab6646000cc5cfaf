"""Requests to an ASGI application without a socket."""

import asyncio
import json
from dataclasses import dataclass

from minembed.serve.presence import Presence


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


async def ask(app, method, path, value=None, *, headers=None, body=None, gone=False):
    """One request; `value` is sent as JSON; with `gone` the client leaves once its body is read."""
    if body is None and value is not None:
        body = json.dumps(value).encode()
    own = {"host": "localhost:8080"}
    if body is not None:
        own |= {"content-type": "application/json", "content-length": str(len(body))}
    pairs = [(k.encode(), v.encode("latin-1")) for k, v in (own | (headers or {})).items() if v is not None]
    presence = Presence()
    scope = {"type": "http", "method": method, "path": path, "query_string": b"", "headers": pairs}
    messages, sent = [{"type": "http.request", "body": body or b"", "more_body": False}], []

    async def receive():
        if gone:
            asyncio.get_running_loop().call_soon(presence.leave)
        return messages.pop()

    async def send(message):
        sent.append(message)

    await app(scope | {"client": ("127.0.0.1", 1), "state": {"presence": presence}}, receive, send)
    if not sent:
        return None
    names = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return Reply(sent[0]["status"], names, b"".join(message.get("body", b"") for message in sent[1:]))


def ask_one(app, method, path, value=None, **more):
    """One request, in a loop of its own."""
    return asyncio.run(ask(app, method, path, value, **more))
