"""Who is let in, and what is answered to bodies that are none: every refusal has its status and its shape."""

import asyncio
import base64
import time

import pytest
from asgi import ask, ask_one

from minembed.errors import InputError
from minembed.serve.presence import Presence
from minembed.serve.settings import Settings

GOOD = {"input": "the cat"}


@pytest.fixture(scope="module")
def keyed(serving):
    with serving(api_keys=("secret-ü", "other"), allowed_origins=("https://a.example",)) as parts:
        yield parts.app


def status(app, headers, method="POST", path="/v1/embeddings"):
    return ask_one(app, method, path, GOOD if method == "POST" else None, headers=headers).status


@pytest.mark.parametrize("host", ["localhost", "localhost:1", "127.0.0.1:8080", "[::1]:8080", "LOCALHOST"])
def test_hosts_of_this_machine(served, host):
    assert status(served.app, {"host": host}) == 200


@pytest.mark.parametrize(
    "host",
    [
        None,
        "",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "0.0.0.0",
        "localhost:80:80",
        "[::1",
        "::1",
        "[::1].evil.example",
        "[::1]evil:80",
    ],
)
def test_other_hosts(served, host):
    assert status(served.app, {"host": host}) == 421
    assert status(served.app, {"host": host}, "GET", "/metrics") == 421
    for path in ("/health", "/ready"):
        assert status(served.app, {"host": host}, "GET", path) == 200


def test_allowed_hosts(serving):
    with serving(allowed_hosts=("vectors.example",)) as parts:
        assert status(parts.app, {"host": "Vectors.Example:443"}) == 200
        assert status(parts.app, {"host": "vectors.example.evil"}) == 421
    with serving(allowed_hosts=("*",)) as parts:
        assert status(parts.app, {"host": "anything"}) == 200


def test_hosts_and_origins_are_compared_as_they_are_sent(serving):
    pages = {
        "allowed_origins": ("https://A.example:443/", "http://b.example:3000", "app://.", "http://[2001:DB8:0::1]")
    }
    with serving(allowed_hosts=("2001:DB8:0::1", "[2001:db8::2]", "my_service"), **pages) as parts:
        for host in ("[2001:db8::1]:8080", "[2001:db8::2]", "my_service:80"):
            assert status(parts.app, {"host": host}) == 200
        for origin in ("https://a.example", "http://b.example:3000", "app://.", "http://[2001:db8::1]"):
            assert status(parts.app, {"origin": origin}) == 200
        for origin in ("http://a.example", "http://b.example", "https://a.example:80", "null", "*"):
            assert status(parts.app, {"origin": origin}) == 403


def test_any_page(serving):
    with serving(allowed_origins=("*",), insecure_no_auth=True) as parts:
        for origin in ("https://anything.example", "null"):
            reply = ask_one(parts.app, "POST", "/v1/embeddings", GOOD, headers={"origin": origin})
            assert reply.status == 200 and reply.headers["access-control-allow-origin"] == origin


def test_pages_of_other_servers(served, keyed):
    same = {"origin": "http://localhost:8080"}
    assert status(served.app, same) == 200
    for origin in ("https://evil.example", "null", "http://localhost:9999", "http://localhost:8080.evil.example"):
        assert status(served.app, {"origin": origin}) == 403
        assert status(served.app, {"origin": origin}, "OPTIONS") == 403
    reply = ask_one(served.app, "POST", "/v1/embeddings", GOOD, headers=same)
    assert not [name for name in reply.headers if name.startswith("access-control")]
    key = {"authorization": "Bearer other", "origin": "https://a.example"}
    reply = ask_one(keyed, "POST", "/v1/embeddings", GOOD, headers=key)
    assert reply.status == 200 and reply.headers["access-control-allow-origin"] == "https://a.example"
    refused = ask_one(keyed, "POST", "/v1/embeddings", {}, headers=key)  # which its page may read as well
    assert refused.status == 400 and refused.headers["access-control-allow-origin"] == "https://a.example"
    asked_before = ask_one(keyed, "OPTIONS", "/v1/embeddings", headers={"origin": "https://a.example"})
    assert asked_before.status == 204 and asked_before.headers["access-control-allow-origin"] == "https://a.example"
    assert "authorization" in asked_before.headers["access-control-allow-headers"]


def test_keys(keyed):
    for right in ("Bearer other", "bearer other", "Basic " + base64.b64encode(b"anyone:other").decode()):
        assert status(keyed, {"authorization": right}) == 200
    assert status(keyed, {"authorization": "Bearer " + "secret-ü".encode().decode("latin-1")}) == 200
    for wrong in ("", "other", "Bearer", "Bearer others", "Bearer secret", "Basic !!!", "Basic b3RoZXI=", "Bearer é"):
        reply = ask_one(keyed, "POST", "/v1/embeddings", GOOD, headers={"authorization": wrong})
        assert reply.status == 401 and "Bearer" in reply.headers["www-authenticate"]
        assert reply.json["error"]["code"] == "invalid_api_key"
    for path in ("/metrics", "/docs", "/openapi.json", "/info", "/ping", "/nowhere"):  # and the page asks for a key
        assert status(keyed, {}, "GET", path) == 401
    for path in ("/health", "/ready"):
        assert status(keyed, {}, "GET", path) == 200


def test_headers_that_come_twice(keyed):
    async def twice(name, value):
        scope = {"type": "http", "method": "POST", "path": "/v1/embeddings", "query_string": b"", "client": None}
        scope["state"] = {"presence": Presence()}
        headers = [(b"host", b"localhost"), (b"authorization", b"Bearer other"), (name, value), (name, value)]
        sent = []

        async def receive():
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await keyed(scope | {"headers": headers}, receive, send)
        return sent[0]["status"]

    for name in (b"authorization", b"host", b"content-length", b"content-type", b"origin"):
        assert asyncio.run(twice(name, b"1")) == 400


def test_a_server_that_others_reach_wants_a_key():
    for host in ("0.0.0.0", "::", "192.168.0.7", "vectors.example"):
        with pytest.raises(InputError, match="--api-key-file"):
            Settings(models=("m",), host=host)
        assert Settings(models=("m",), host=host, insecure_no_auth=True).host == host
    with pytest.raises(InputError, match="nothing to serve"):
        Settings()


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"content-type": "text/plain"}, 415),
        ({"content-type": None}, 415),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "application/json; x=y; charset=latin-1"}, 415),
        ({"content-type": "application/json; charset=utf-8; charset=latin-1"}, 415),
        ({"content-type": "application/json; charset*=undefined''%ff"}, 415),
        ({"content-type": "application/json; charset*" + "9" * 5000 + "=a"}, 415),
        ({"content-type": 'application/json; a="' + ";" * 16_000}, 415),
        ({"content-type": "text/plain; application/json"}, 415),
        ({"content-encoding": "gzip"}, 415),
        ({"content-length": None}, 411),
        ({"content-length": "x"}, 400),
        ({"content-length": "-1"}, 400),
        ({"content-length": "1e3"}, 400),
        ({"content-length": "9" * 30}, 400),
        ({"content-length": "2000001"}, 413),
        ({"transfer-encoding": "chunked"}, 400),
        ({"transfer-encoding": "gzip", "content-length": None}, 400),
    ],
)
def test_bodies_that_are_not_read(served, headers, expected):
    reply = ask_one(served.app, "POST", "/v1/embeddings", GOOD, headers=headers)
    assert reply.status == expected and reply.headers["connection"] == "close" and reply.json["error"]["message"]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json; charset=utf-8; x=y",
        "application/json; x=y;charset=utf-8",
        'Application/JSON;CHARSET="UTF-8"',
        'application/json; x="a; charset=latin-1"',
        "application/json ;",
        "application/json; utf-8",
    ],
)
def test_parameters_of_a_content_type(served, content_type):
    assert status(served.app, {"content-type": content_type}) == 200


def test_a_body_in_pieces_is_counted(served):
    long = b'{"input": "' + b"x" * 2_000_000 + b'"}'
    chunked = {"transfer-encoding": "chunked", "content-length": None}
    assert ask_one(served.app, "POST", "/v1/embeddings", body=long, headers=chunked).status == 413
    assert ask_one(served.app, "POST", "/v1/embeddings", body=b'{"input": "x"}', headers=chunked).status == 200
    assert served.app.body_bytes == 0


BAD = {
    "empty": b"",
    "cut": b'{"input": "a"',
    "no object": b'["a"]',
    "two": b'{"input": "a"} {}',
    "NaN": b'{"input": "a", "dimensions": NaN}',
    "infinity": b'{"input": "a", "x": -Infinity}',
    "twice": b'{"input": "a", "input": "b"}',
    "twice, escaped": b'{"input": "a", "inpu\\u0074": "b"}',
    "deep": b'{"input": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}",
    "very deep": b'{"input": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a long number": b'{"input": "a", "dimensions": ' + b"1" * 1_000_000 + b"}",
    "not UTF-8": b'{"input": "\xff"}',
    "UTF-16": '{"input": "a"}'.encode("utf-16"),
    "a byte-order mark": b'\xef\xbb\xbf{"input": "a"}',
    "a control character": b'{"input": "a\x00"}',
    "null": b'{"input": null}',
    "number": b'{"input": 1}',
    "object": b'{"input": {"a": "b"}}',
    "no input": b"{}",
    "empty text": b'{"input": ""}',
    "empty list": b'{"input": []}',
    "empty in a list": b'{"input": ["a", ""]}',
    "empty list in a list": b'{"input": [[]]}',
    "mixed": b'{"input": ["a", 1]}',
    "mixed lists": b'{"input": [[1], 1]}',
    "bool": b'{"input": [true]}',
    "float ids": b'{"input": [1.5]}',
    "negative ids": b'{"input": [-1]}',
    "ids beyond": b'{"input": [100000000000]}',
    "too many ids": b'{"input": [' + b",".join([b"1"] * 100) + b"]}",
    "dimensions 0": b'{"input": "a", "dimensions": 0}',
    "dimensions 33": b'{"input": "a", "dimensions": 33}',
    "dimensions text": b'{"input": "a", "dimensions": "4"}',
    "dimensions true": b'{"input": "a", "dimensions": true}',
    "format": b'{"input": "a", "encoding_format": "hex"}',
    "prompt": b'{"input": "a", "prompt_name": "nothing"}',
    "prompt beside another": b'{"input": "a", "prompt": "", "prompt_name": "nothing"}',
    "prompt beside ids": b'{"input": [5, 6], "prompt_name": "nothing"}',
    "query beside ids": b'{"input": [5, 6], "prompt_name": "query"}',
    "model": b'{"input": "a", "model": 7}',
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies(served, name):
    for path in ("/v1/embeddings", "/embed"):
        if path == "/embed" and name == "format":
            continue  # which that route does not have
        body = BAD[name].replace(b'"input"', b'"inputs"').replace(b'74"', b'74s"') if path == "/embed" else BAD[name]
        reply = ask_one(served.app, "POST", path, body=body)
        assert reply.status in ((400,) if path == "/v1/embeddings" else (400, 422)), reply.body
        assert len(reply.body) < 600
        if path == "/embed":
            assert set(reply.json) == {"error", "error_type"}
        else:
            assert set(reply.json["error"]) == {"message", "type", "param", "code"}


def test_what_is_sent_is_not_told_back(served, capfd):
    secret = "a very private text " * 50
    for body in ({"input": secret, "encoding_format": secret}, {"input": secret, "model": secret}, {secret: 1}):
        reply = ask_one(served.app, "POST", "/v1/embeddings", body)
        assert reply.status in (400, 404)
        assert secret[:100].encode() not in reply.body
    assert secret[:20] not in capfd.readouterr().err


def test_whole_numbers_may_be_written_as_floats(served):
    reply = ask_one(served.app, "POST", "/embed", body=b'{"inputs": "a", "dimensions": 4.0, "x": 1e999}')
    assert len(reply.json[0]) == 4


def test_vectors_that_are_cut_and_not_normalised(served):
    for normalize in (True, False, None):
        reply = ask_one(served.app, "POST", "/embed", {"inputs": "a", "dimensions": 4, "normalize": normalize})
        assert reply.status == 200 and len(reply.json[0]) == 4


def test_lone_surrogates_are_what_encode_makes_of_them(served):
    lone, repaired, pair = (b'"a \\ud83d"', '"a \ufffd"'.encode(), b'"a \\ud83d\\ude00"')
    replies = [ask_one(served.app, "POST", "/embed", body=b'{"inputs": ' + text + b"}") for text in (lone, repaired)]
    assert replies[0].status == 200 and replies[0].body == replies[1].body
    tokens = ask_one(served.app, "POST", "/tokenize", body=b'{"inputs": [' + lone + b", " + pair + b"]}")
    assert tokens.status == 200
    assert ask_one(served.app, "POST", "/embed", body=b'{"inputs": "a", "model": ' + lone + b"}").status == 404


def test_too_many_texts(serving):
    with serving(max_items=3) as parts:
        reply = ask_one(parts.app, "POST", "/v1/embeddings", {"input": ["a"] * 4})
        assert reply.status == 400 and "up to 3" in reply.json["error"]["message"]


def test_paths_and_methods(served):
    assert ask_one(served.app, "GET", "/nowhere").status == 404
    for method in ("GET", "PUT", "DELETE", "PATCH", "TRACE", "HEAD", "OPTIONS"):
        reply = ask_one(served.app, method, "/v1/embeddings")
        assert reply.status == 405 and reply.headers["allow"] == "POST"


def test_a_full_queue_is_429(serving):
    with serving(max_queue_requests=1) as parts:
        parts.queue.max_jobs = 0
        reply = ask_one(parts.app, "POST", "/v1/embeddings", GOOD)
        assert reply.status == 429 and int(reply.headers["retry-after"]) >= 1
        assert reply.json["error"]["code"] == "rate_limit_exceeded"
        assert ask_one(parts.app, "POST", "/embed", {"inputs": "a"}).json["error_type"] == "Overloaded"
        assert ask_one(parts.app, "GET", "/health").status == 200


def test_answers_that_nobody_takes_are_bounded(serving):
    with serving() as parts:
        parts.app.answer_bytes = 300_000_000
        assert ask_one(parts.app, "POST", "/v1/embeddings", GOOD).status == 429
        parts.app.answer_bytes = 0
        assert ask_one(parts.app, "POST", "/v1/embeddings", {"input": ["the cat"] * 500}).status == 200
        assert parts.app.answer_bytes == 0


def test_bodies_that_are_being_read_are_bounded_and_small_ones_are_read(serving):
    with serving() as parts:
        parts.app.body_bytes = held = 64_000_000
        assert ask_one(parts.app, "POST", "/v1/embeddings", {"input": ["x" * 70_000]}).status == 429
        assert ask_one(parts.app, "POST", "/v1/embeddings", GOOD).status == 200
        assert parts.app.body_bytes == held


def test_a_duplicate_at_the_end_of_many_keys_is_found_soon(served):
    body = b"{" + b",".join(b'"%x": 0' % i for i in range(100_000)) + b', "1": 1}'
    begin = time.process_time()
    reply = ask_one(served.app, "POST", "/v1/embeddings", body=body)
    assert reply.status == 400 and "'1' is given twice" in reply.json["error"]["message"]
    assert time.process_time() - begin < 5  # to count each among all would take minutes


@pytest.mark.parametrize("size", [10_000, 10_001])
def test_a_prompt_is_copied_for_every_text_so_it_is_bounded(size, served):
    reply = ask_one(served.app, "POST", "/v1/embeddings", {"input": ["a", "b"], "prompt": "x" * size})
    assert reply.status == (200 if size == 10_000 else 400)
    assert size == 10_000 or "the prompt has 10001 characters" in reply.json["error"]["message"]


@pytest.mark.parametrize("ids", [[5, 6], [[5, 6], [7]]])
@pytest.mark.parametrize("prompt", ["", "x", "x" * 10_001])
def test_a_prompt_beside_token_ids_is_refused_since_it_would_have_no_effect(served, ids, prompt):
    reply = ask_one(served.app, "POST", "/v1/embeddings", {"input": ids, "prompt": prompt})
    assert reply.status == 400 and reply.json["error"]["param"] == "prompt"
    assert "send these, or ids that include the prompt's" in reply.json["error"]["message"]
    assert ask_one(served.app, "POST", "/v1/embeddings", {"input": ids, "prompt": None}).status == 200


def test_a_client_that_leaves_takes_its_work_along(serving):
    with serving() as parts:
        started = asyncio.run(ask(parts.app, "POST", "/v1/embeddings", {"input": ["the cat " * 9] * 2048}, gone=True))
        assert started is None
        assert parts.queue.jobs == parts.queue.tokens == 0 and not parts.service._futures


def test_a_server_that_stops(serving):
    with serving() as parts:
        parts.app.stop()
        assert ask_one(parts.app, "GET", "/ready").status == 503
        assert ask_one(parts.app, "GET", "/health").status == 200
        reply = ask_one(parts.app, "POST", "/v1/embeddings", GOOD)
        assert reply.status == 503 and reply.headers["connection"] == "close" and "retry-after" in reply.headers


def test_what_nobody_foresaw_is_a_500_without_a_word(served, monkeypatch, caplog):
    secret = "a very private text"

    def broken(*arguments):
        raise KeyError(secret)

    monkeypatch.setattr(type(served.service), "run", broken)
    reply = ask_one(served.app, "POST", "/v1/embeddings", GOOD)
    assert reply.status == 500 and b"private" not in reply.body
    assert "failed" in caplog.text and "private" not in caplog.text
