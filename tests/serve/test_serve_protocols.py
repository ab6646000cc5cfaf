"""What clients of the other interfaces and browsers expect, and errors that name the right thing."""

import json
import shutil
import socket

import pytest
from asgi import ask_one
from serving import running
from tokenizers import Tokenizer

from minembed import Embedder, Index
from minembed.errors import InputError
from minembed.serve import tei
from minembed.serve.loading import load_models
from minembed.serve.server import assemble
from minembed.serve.settings import Settings

LONG = "the cat " * 100
ORIGIN = "https://a.example"


@pytest.fixture(scope="module")
def app(serving, tiny_folder, tiny_reranker):
    with serving((str(tiny_folder),), rerankers=(f"cross={tiny_reranker}",), allowed_origins=(ORIGIN,)) as parts:
        yield parts.app


def ok(app, path, **value):
    reply = ask_one(app, "POST", path, value)
    assert reply.status == 200, reply.body
    return reply.json


def refused(app, path, status, **value):
    """The message and the field of a refusal."""
    reply = ask_one(app, "POST", path, value)
    assert reply.status == status, reply.body
    told = reply.json.get("error", reply.json)
    return told["message"] if isinstance(told, dict) else told


def test_tokens_have_the_offsets_of_their_bytes(app, tiny_folder):
    texts = ["é ü b", "the cat", "中文 house 🙂 x"]
    reference = Tokenizer.from_file(str(tiny_folder / "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    for text, found in zip(texts, ok(app, "/tokenize", inputs=texts), strict=True):
        spans = reference.encode(text).offsets
        for token, (start, stop) in zip(found, spans, strict=True):
            if not token["special"]:
                assert (token["start"], token["stop"]) == (len(text[:start].encode()), len(text[:stop].encode()))
                assert text.encode()[token["start"] : token["stop"]].decode() == token["text"]


def test_hidden_states_are_limited_by_tokens_that_are_counted(app, monkeypatch):
    texts = ["!!!!!!", "привет"]  # many tokens of few characters, and few of many bytes
    count = sum(len(tokens) for tokens in ok(app, "/tokenize", inputs=texts))
    monkeypatch.setattr(tei, "MOST_STATES", count)
    assert sum(map(len, ok(app, "/embed_all", inputs=texts))) == count
    monkeypatch.setattr(tei, "MOST_STATES", count - 1)
    assert f"has {count} tokens: send up to {count - 1}" in refused(app, "/embed_all", 413, inputs=texts)


def test_documents_come_back_with_all_their_fields(app):
    documents = ["bread", {"text": "the cat", "page": 7, "rows": [1, None]}]
    found = ok(app, "/v1/rerank", query="the cat", documents=documents, return_documents=True, rank_fields=["text"])
    assert {one["index"]: one["document"] for one in found["results"]} == {0: {"text": "bread"}, 1: documents[1]}


NUMBERS = "[1e300, -1.5, 123456789012345678901, 36893488147419103232, 18446744073709551616.0, 7, true, null]"


def test_documents_come_back_with_numbers_of_any_size(app):
    body = '{"query": "a", "return_documents": true, "documents": [{"text": "b", "rows": ' + NUMBERS + "}]}"
    reply = ask_one(app, "POST", "/v1/rerank", body=body.encode())
    assert reply.json["results"][0]["document"]["rows"] == json.loads(NUMBERS) and len(reply.body) < 700
    reply = ask_one(app, "POST", "/v1/rerank", body=body.replace("1e300", "1e999").encode())
    assert reply.status == 400 and "`documents[0]` has a number that cannot be returned" in reply.json["message"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"rank_fields": ["title"]}, "`rank_fields`"),
        ({"rank_fields": []}, "`rank_fields`"),
        ({"documents": ["a", {"title": "b"}]}, "`documents[1]` has no string `text`"),
        ({"documents": [{"text": 1}]}, "`documents[0]` has no string `text`"),
        ({"documents": [1]}, "documents"),
    ],
)
def test_documents_that_cannot_be_ranked(app, more, words):
    assert words in refused(
        app, "/v1/rerank", 400, **({"query": "a", "documents": [{"text": "b", "title": "c"}]} | more)
    )


def test_an_error_names_the_item_as_the_request_has_it(app):
    inputs = [["a"], ["q", "b"], [LONG * 10]]
    assert refused(app, "/predict", 422, inputs=inputs, truncate=False).startswith("item 2 of the request has more")
    own, how = {"source_sentence": "a", "sentences": ["a", LONG]}, {"truncate": False}
    assert refused(app, "/similarity", 422, inputs=own, parameters=how).startswith("`sentences[1]` has more than")
    own = {"source_sentence": LONG, "sentences": ["a"]}
    assert refused(app, "/similarity", 422, inputs=own, parameters=how).startswith("`source_sentence` has more than")
    assert refused(app, "/embed_all", 422, inputs=["a", LONG], truncate=False).startswith("item 1 of the request")


def test_one_model_by_its_name(app, tiny_folder):
    whole = str(tiny_folder)
    listed = {one["id"]: one for one in ask_one(app, "GET", "/v1/models").json["data"]}
    assert set(listed) == {whole, "cross"}
    for path, name in ((whole, whole), ("tiny", whole), ("cross", "cross")):
        assert ask_one(app, "GET", f"/v1/models/{path}").json == listed[name]
    missing = ask_one(app, "GET", "/v1/models/nothing")
    assert missing.status == 404 and f"there is cross, {whole}" in missing.json["error"]["message"]
    text = ask_one(app, "GET", "/metrics").body.decode()
    assert 'route="/v1/models/{model}",status="404"' in text and "v1/models/nothing" not in text


def test_a_name_of_another_kind_is_not_found_and_the_right_ones_are_named(app, tiny_folder):
    message = refused(app, "/v1/rerank", 404, query="a", documents=["b"], model="tiny")
    assert message == "no reranker or classifier of that name is served here; there is cross"
    assert refused(app, "/v1/embeddings", 404, input="a", model="cross").endswith(f"there is {tiny_folder}")


@pytest.mark.parametrize(
    "path", ["/", "/health", "/ready", "/ping", "/info", "/v1/models", "/metrics", "/openapi.json"]
)
def test_head_is_answered_as_get(app, path):
    got, head = ask_one(app, "GET", path), ask_one(app, "HEAD", path)
    assert head.status == got.status == 200 and head.headers["content-type"] == got.headers["content-type"]


def test_head_where_there_is_only_post(app):
    reply = ask_one(app, "HEAD", "/embed")
    assert reply.status == 405 and reply.headers["allow"] == "POST"
    assert ask_one(app, "DELETE", "/").headers["allow"] == "POST, GET, HEAD"


def test_a_head_over_a_socket_has_no_body(tiny_folder, tmp_path):
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy") as server:
        with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
            connection.sendall(b"HEAD /health HTTP/1.1\r\nhost: localhost\r\n\r\n")
            head = connection.recv(65536)
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
            rest = b"".join(iter(lambda: connection.recv(65536), b""))
    assert head.startswith(b"HTTP/1.1 200") and head.endswith(b"\r\n\r\n")
    assert rest.startswith(b"HTTP/1.1 200") and rest.count(b"HTTP/1.1") == 1


def test_a_page_elsewhere_may_send_its_headers_and_read_ours(app):
    wanted = "authorization,content-type,x-stainless-lang"
    headers = {"origin": ORIGIN, "access-control-request-headers": wanted}
    before = ask_one(app, "OPTIONS", "/v1/embeddings", headers=headers)
    assert before.status == 204 and before.headers["access-control-allow-headers"] == wanted
    reply = ask_one(app, "POST", "/v1/embeddings", {"input": "a"}, headers={"origin": ORIGIN})
    assert reply.headers["access-control-expose-headers"] == "x-minembed-truncated, retry-after"
    strange = headers | {"access-control-request-headers": "a\u00e9, <b>"}
    before = ask_one(app, "OPTIONS", "/v1/embeddings", headers=strange)
    assert before.headers["access-control-allow-headers"] == "authorization, content-type"


def test_a_short_name_of_two_models_belongs_to_neither(serving, tiny_folder, tmp_path):
    folders = [shutil.copytree(tiny_folder, tmp_path / part / "m") for part in "ab"]
    with serving(tuple(map(str, folders))) as parts:
        message = refused(parts.app, "/v1/embeddings", 404, input="a", model="m")
        assert all(str(folder) in message for folder in folders)
        for folder in folders:
            assert ok(parts.app, "/v1/embeddings", input="a", model=str(folder))["model"] == str(folder)


def test_one_name_for_two_kinds_of_models_is_refused(tiny_folder, tiny_reranker):
    settings = Settings(models=(f"one={tiny_folder}",), rerankers=(f"one={tiny_reranker}",), backend="numpy")
    with pytest.raises(InputError, match="one is the name of two: give one another name"):
        load_models(settings)


def test_a_server_of_an_index_alone_describes_its_model(serving, tiny_folder, tmp_path):
    Index.build(Embedder.load(tiny_folder, backend="numpy"), ["the cat", "bread"]).save(tmp_path / "notes")
    with serving((str(tiny_folder),)) as parts:
        expected = ask_one(parts.app, "GET", "/info").json
    settings = Settings(models=(), indexes=(str(tmp_path / "notes"),), threads=2, backend="numpy", access_log="none")
    parts = assemble(settings, load_models(settings))
    workers = parts.start()
    try:
        reply = ask_one(parts.app, "GET", "/info")
    finally:
        workers.stop(timeout=10)
    assert reply.status == 200 and reply.json == expected
