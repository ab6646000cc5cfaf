"""The answers of /v1/embeddings and /embed: the bits of `encode`, in every form."""

import asyncio
import base64

import numpy as np
import pytest
from asgi import ask, ask_one

from minembed import Embedder

TEXTS = ["the cat", "a dog in the rain", "bread and sun", "test " * 40, "x", "中文 house"]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return Embedder.load(tiny_folder, backend="numpy")


def vectors_of(reply):
    assert reply.status == 200, reply.body
    rows = [item["embedding"] for item in reply.json["data"]]
    if isinstance(rows[0], str):
        return np.stack([np.frombuffer(base64.b64decode(row), "<f4") for row in rows])
    return np.array(rows, np.float32)


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_openai_embeddings_are_those_of_encode(served, model, encoding):
    body = {"input": TEXTS, "model": "tiny"} | ({"encoding_format": encoding} if encoding else {})
    reply = ask_one(served.app, "POST", "/v1/embeddings", body)
    assert same(vectors_of(reply), model.encode(TEXTS, truncation="silent"))
    n_tokens = int(model.tokenize(TEXTS).lengths().sum())
    assert reply.json["usage"] == {"prompt_tokens": n_tokens, "total_tokens": n_tokens}
    assert reply.json["object"] == "list" and reply.json["model"] == "tiny"
    assert [item["index"] for item in reply.json["data"]] == list(range(len(TEXTS)))
    assert reply.headers["x-minembed-truncated"] == "1"


def test_one_text_and_fewer_dimensions(served, model):
    reply = ask_one(served.app, "POST", "/v1/embeddings", {"input": "the cat", "dimensions": 7})
    assert same(vectors_of(reply)[0], model.encode("the cat", truncate_dim=7))
    assert "x-minembed-truncated" not in reply.headers


@pytest.mark.parametrize("path", ["/embed", "/"])
def test_tei_embed_is_encode(served, model, path):
    reply = ask_one(served.app, "POST", path, {"inputs": TEXTS})
    assert reply.status == 200
    assert same(np.array(reply.json, np.float32), model.encode(TEXTS, truncation="silent"))
    one = ask_one(served.app, "POST", path, {"inputs": "a dog in the rain", "truncate": True, "dimensions": 5})
    expected = model.encode(["a dog in the rain"], truncate_dim=5)
    assert same(np.array(one.json, np.float32), expected)


def test_token_ids_are_taken_as_they_are(served, model):
    tokens = model.tokenize(TEXTS[:3])
    lists = [tokens.ids[a:b].tolist() for a, b in zip(tokens.cu_seqlens, tokens.cu_seqlens[1:], strict=False)]
    reply = ask_one(served.app, "POST", "/v1/embeddings", {"input": lists})
    assert same(vectors_of(reply), model.encode(TEXTS[:3]))
    reply = ask_one(served.app, "POST", "/v1/embeddings", {"input": lists[1]})
    assert same(vectors_of(reply)[0], model.encode(TEXTS[1]))


def test_answers_do_not_depend_on_what_is_computed_beside(served, model):
    """200 requests at once, of one text to twelve, in three forms: each has the bits of each text alone."""
    rng = np.random.default_rng(0)
    alone = {text: model.encode(text, truncation="silent") for text in TEXTS}

    async def one(i):
        texts = [TEXTS[j] for j in rng.integers(0, len(TEXTS), 1 + i % 12)]
        body = {"input": texts, "encoding_format": "base64" if i % 2 else "float"}
        found = vectors_of(await ask(served.app, "POST", "/v1/embeddings", body))
        return same(found, np.stack([alone[text] for text in texts]))

    async def all_of_them():
        return await asyncio.gather(*map(one, range(200)))

    assert all(asyncio.run(all_of_them()))


def test_too_long_texts(serving, model):
    with serving(strict=True) as strict:
        refused = ask_one(strict.app, "POST", "/v1/embeddings", {"input": TEXTS})
        assert refused.status == 400 and "item 3" in refused.json["error"]["message"]
        assert ask_one(strict.app, "POST", "/embed", {"inputs": TEXTS}).status == 422
        assert ask_one(strict.app, "POST", "/embed", {"inputs": TEXTS, "truncate": True}).status == 200
