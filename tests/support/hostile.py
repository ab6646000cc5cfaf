"""Invalid and malicious requests, as bytes, each with the statuses of allowed answers."""

import json
import random

HEAD = b"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
GOOD = b'{"input": "the cat"}'
CLOSED = 0  # the connection was closed without an answer


def post(body, *headers, length=True, head=HEAD):
    own = b"".join(header + b"\r\n" for header in headers)
    counted = b"Content-Length: %d\r\n" % len(body) if length else b""
    return head + own + counted + b"\r\n" + body


def chunked(*pieces):
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


WITH_CHUNKS = post(b"", b"Transfer-Encoding: chunked", length=False)
FIXED = {
    "both lengths": (post(GOOD, b"Transfer-Encoding: chunked"), {400}),
    "two lengths": (post(GOOD, b"Content-Length: 5"), {400}),
    "a length that is none": (post(GOOD, b"Content-Length: abc", length=False), {400}),
    "a negative length": (post(GOOD, b"Content-Length: -5", length=False), {400}),
    "a signed length": (post(GOOD, b"Content-Length: +20", length=False), {400}),
    "a length beyond 64 bits": (post(GOOD, b"Content-Length: 99999999999999999999999", length=False), {400}),
    "a large length": (post(GOOD, b"Content-Length: 2000000000", length=False), {413}),
    "no length": (post(GOOD, length=False), {400, 411}),  # the body is no request either
    "chunks of another kind": (post(GOOD, b"Transfer-Encoding: gzip, chunked", length=False), {400}),
    "trailers": (WITH_CHUNKS + chunked(GOOD)[:-2] + b"Host: evil.example\r\nContent-Length: 5\r\n\r\n", {200, 400}),
    "a trailer": (WITH_CHUNKS + chunked(GOOD)[:-2] + b"Host: evil.example\r\n\r\n", {200}),
    "identity": (post(GOOD, b"Transfer-Encoding: identity", length=False), {400, 411}),
    "a chunk of no size": (WITH_CHUNKS + b"zz\r\n", {400}),
    "a head that is too large": (post(GOOD, b"X: " + b"x" * 20_000), {431}),
    "many headers": (post(GOOD, *[b"X%d: y" % i for i in range(3000)]), {431}),
    "a long path": (post(GOOD, head=b"POST /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\n"), {431}),
    "a header without end": (HEAD + b"X: " + b"x" * 40_000, {431}),
    "a space before the colon": (post(GOOD, b"X : y"), {400}),
    "a folded header": (post(GOOD, b"X: y", b" z"), {400}),
    "a bare line feed": (b"POST /v1/embeddings HTTP/1.1\nHost: localhost\n\n", {400, 411}),
    "a zero byte": (post(GOOD, b"X: a\x00b"), {400}),
    "a header that is no ASCII": (post(GOOD, b"X: \xff\xfe"), {200, 400}),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {400, CLOSED}),
    "HTTP/3.7": (b"GET /health HTTP/3.7\r\nHost: localhost\r\n\r\n", {400}),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50, {400}),
    "an unknown method": (b"BREW /v1/embeddings HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 405}),
    "CONNECT": (b"CONNECT evil.example:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404, 405}),
    "an absolute URL": (b"GET http://evil.example/health HTTP/1.1\r\nHost: evil.example\r\n\r\n", {200, 400, 404, 421}),
    "a path up": (b"GET /../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}),
    "an escaped path up": (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", {404}),
    "an escape that is none": (b"GET /%zz%ff HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "no path": (b"GET ? HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 404}),
    "no Host": (b"GET /info HTTP/1.1\r\n\r\n", {400, 421}),
    "two Hosts": (b"GET /info HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", {400}),
    "an upgrade": (
        b"GET /info HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        {200, 400},
    ),
    "an offer of HTTP/2": (post(GOOD, b"Connection: Upgrade, HTTP2-Settings", b"UPGRADE: h2c"), {200}),
    "another site": (post(GOOD, b"Origin: https://evil.example"), {403}),
    "another Host": (post(GOOD, head=HEAD.replace(b"localhost", b"evil.example")), {421}),
    "a form": (post(b"input=a", head=HEAD.replace(b"application/json", b"application/x-www-form-urlencoded")), {415}),
    "compressed": (post(GOOD, b"Content-Encoding: gzip"), {415}),
    "an expectation": (post(GOOD, b"Expect: 100-continue"), {200}),
}
SLOW = {  # what is sent, and then nothing
    "nothing": (b"", {CLOSED, 408}),
    "half a head": (HEAD[:40], {408}),
    "half a body": (post(b"", b"Content-Length: 100", length=False) + b'{"input": "a', {408}),
    "half a chunk": (WITH_CHUNKS + b"ff\r\nabc", {408}),
    "a chunk beyond all": (WITH_CHUNKS + b"ffffffffffffffff\r\n", {400, 408, 413}),
    "HTTP/0.9": (b"GET /\r\n", {400, 408, CLOSED}),
}


def mutated(rng):
    """A request that was sound, with some of its bytes changed, and the statuses that are allowed: any but 500."""
    raw = bytearray(post(body_of(rng)))
    for _ in range(rng.randint(1, 5)):
        at, kind = rng.randrange(len(raw)), rng.randrange(4)
        if kind == 0:
            raw[at] = rng.randrange(256)
        elif kind == 1:
            del raw[at : at + rng.randint(1, 20)]
        elif kind == 2:
            raw[at:at] = bytes(rng.randrange(256) for _ in range(rng.randint(1, 20)))
        else:
            raw[at:at] = raw[at : at + rng.randint(1, 40)]
        if not raw:
            return b"\r\n\r\n"
    return bytes(raw)


def body_of(rng):
    """A JSON value of the right names and, often, wrong kinds."""
    texts = [
        "a",
        "",
        "the cat",
        "\ud800",
        "x" * 3000,
        "\x00",
        "中文",
        "\u202e",
        7,
        None,
        True,
        [],
        {},
        [[]],
        1.5,
        -1,
        1e300,
    ]
    one = rng.choice(texts)
    many = [rng.choice(texts) for _ in range(rng.randint(0, 8))]
    value = {"input": rng.choice([one, many, [many], [1, 2], [[1, 2], [3]]])}
    for name in ("model", "encoding_format", "dimensions", "user", "prompt_name", "prompt", "normalize", "truncate"):
        if rng.random() < 0.3:
            value[name] = rng.choice([*texts, "base64", "float", 4, "query"])
    raw = json.dumps(value).encode()
    return raw if rng.random() < 0.7 else raw[: rng.randint(0, len(raw))]


def hostile(seed, count):
    """An endless stream of requests of all these kinds, with the allowed statuses; None allows any."""
    rng = random.Random(seed)
    fixed = list(FIXED.values())
    for _ in range(count):
        kind = rng.random()
        if kind < 0.2:
            yield rng.choice(fixed)
        elif kind < 0.6:
            yield post(body_of(rng)), None
        elif kind < 0.65:
            pieces = [body_of(rng) for _ in range(rng.randint(1, 3))]
            yield WITH_CHUNKS + chunked(*pieces), None
        else:
            yield mutated(rng), None
