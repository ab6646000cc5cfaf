"""The other routes: each is what the package computes in this process, in the interface's own words."""

import numpy as np
import pytest
from asgi import ask_one
from golden_heads import write_checkpoint

from minembed import Embedder, Index, Reranker, cosine_similarity
from minembed.serve.tokens_route import SLICE

TEXTS = ["the cat", "a dog in the rain", "bread and sun", "", "x", "中文 house"]


@pytest.fixture(scope="module")
def model(tiny_folder):
    return Embedder.load(tiny_folder, backend="numpy")


@pytest.fixture(scope="module")
def reranker(tiny_reranker):
    return Reranker.load(tiny_reranker, backend="numpy")


@pytest.fixture(scope="module")
def app(serving, model, tiny_folder, tiny_reranker, tmp_path_factory):
    folder = tmp_path_factory.mktemp("index") / "notes"
    Index.build(model, TEXTS, ids=[f"n{i}" for i in range(6)], fields=[{"place": i} for i in range(6)]).save(folder)
    labels = write_checkpoint("bert+labels", "classifier", tmp_path_factory.mktemp("labels") / "labels")
    models, rerankers = (f"tiny={tiny_folder}",), (f"cross={tiny_reranker}", f"labels={labels}")
    with serving(models, rerankers=rerankers, indexes=(str(folder),)) as parts:
        yield parts.app


def post(app, path, **value):
    reply = ask_one(app, "POST", path, value)
    assert reply.status == 200, reply.body
    return reply.json


def as_floats(value):
    return np.array(value, np.float32)


def test_hidden_states(app, model):
    texts = TEXTS[:3]
    found = post(app, "/embed_all", inputs=texts)
    for own, expected in zip(found, model.token_embeddings(texts), strict=True):
        assert as_floats(own).tobytes() == expected.tobytes()


def test_similarity(app, model):
    others = ["a dog", "the cat", "bread"]
    found = post(app, "/similarity", inputs={"source_sentence": "the cat", "sentences": others})
    vectors = model.encode(["the cat", *others])
    assert as_floats(found).tobytes() == cosine_similarity(vectors[:1], vectors[1:])[0].tobytes()
    assert found[1] == pytest.approx(1, abs=1e-6)  # rounding of float32


def test_rerank(app, reranker):
    expected = reranker.rank("the cat", TEXTS, activation="Sigmoid")
    found = post(app, "/rerank", query="the cat", texts=TEXTS, return_text=True)
    assert [(one["index"], as_floats(one["score"])) for one in found] == [
        (one["corpus_id"], as_floats(one["score"])) for one in expected
    ]
    assert [one["text"] for one in found] == [TEXTS[one["index"]] for one in found]
    raw = post(app, "/rerank", query="the cat", texts=TEXTS, raw_scores=True)
    logits = reranker.predict([("the cat", text) for text in TEXTS], activation="Identity")
    assert all(as_floats(one["score"]) == logits[one["index"]] and "text" not in one for one in raw)
    ranked = post(app, "/v1/rerank", query="the cat", documents=[TEXTS[0], {"text": TEXTS[1]}, "x"], top_n=2)
    assert len(ranked["results"]) == 2 and ranked["model"] == "cross"
    assert ranked["results"][0]["relevance_score"] >= ranked["results"][1]["relevance_score"]


def test_predict(app, reranker):
    pair = post(app, "/predict", inputs=["the cat", "a dog"])
    assert as_floats(pair[0]["score"]) == reranker.predict(("the cat", "a dog"), activation="Sigmoid")
    several = post(app, "/predict", inputs=[["the cat"], ["the cat", "a dog"]])
    assert several[1] == pair and len(several[0]) == 1
    labels = post(app, "/predict", inputs="the cat", model="labels")
    assert sorted(one["label"] for one in labels) == ["LABEL_0", "LABEL_1", "LABEL_2"]
    assert sum(one["score"] for one in labels) == pytest.approx(1, abs=1e-6)  # rounding of float32
    assert [one["score"] for one in labels] == sorted((one["score"] for one in labels), reverse=True)


def test_tokens_there_and_back(app, model):
    found = post(app, "/tokenize", inputs=["the cat", "中文 house"])
    ids = [[token["id"] for token in tokens] for tokens in found]
    packed = model.tokenize(["the cat", "中文 house"])
    assert [i for own in ids for i in own] == packed.ids.tolist()
    assert found[0][0] == {"id": ids[0][0], "text": "[CLS]", "special": True, "start": None, "stop": None}
    assert [token["text"] for token in found[1] if not token["special"]] == ["中", "文", "house"]
    assert post(app, "/decode", ids=ids[0]) == ["the cat"]
    assert post(app, "/decode", ids=ids, skip_special_tokens=False)[0] == "[CLS] the cat [SEP]"


def test_many_tokens_are_written_slice_by_slice(app):
    assert SLICE == 10_000
    (tokens,) = post(app, "/tokenize", inputs="the cat " * 10_000, add_special_tokens=False)
    assert len(tokens) == 20_000 and [token["text"] for token in tokens[9_998:10_002]] == ["the", "cat"] * 2
    assert tokens[-1] == {**tokens[1], "start": 79_996, "stop": 79_999}
    assert ask_one(app, "POST", "/tokenize", {"inputs": ["x" * 250_000, "x" * 250_001]}).status == 413


def test_search(app, model):
    found = post(app, "/v1/search", query="the cat", k=2)
    assert found["data"][0]["id"] == "n0" and found["index"] == "notes"
    assert found["data"][0]["fields"] == {"place": 0} and found["data"][0]["text"] == "the cat"
    index = Index.build(model, TEXTS)
    hits = index.search(["the cat", "bread"], 3)
    several = post(app, "/v1/search", query=["the cat", "bread"], k=3)["data"]
    assert [[hit["score"] for hit in one] for one in several] == [[hit.score for hit in one] for one in hits]


def test_what_is_served(app, model):
    listed = ask_one(app, "GET", "/v1/models").json
    assert [one["id"] for one in listed["data"]] == ["tiny", "cross", "labels"]
    told = listed["data"][0]["minembed"]
    assert (told["max_items"], told["max_body"]) == (app.settings.max_items, app.settings.max_body)
    info = ask_one(app, "GET", "/info").json
    assert info["model_id"] == "tiny" and info["max_input_length"] == model.max_seq_length
    assert info["model_type"] == {"embedding": {"pooling": "mean"}} and info["model_dtype"] == "float32"
    for path in ("/health", "/ready", "/ping"):
        assert ask_one(app, "GET", path).status == 200
    text = ask_one(app, "GET", "/metrics").body.decode()
    assert 'minembed_requests_total{route="/v1/search",status="200"} 2.0' in text
    document = ask_one(app, "GET", "/openapi.json").json
    routes = {(path, method.upper()) for path, own in app.table.items() for method in own}
    assert routes == {(path, method.upper()) for path, own in document["paths"].items() for method in own}
    page = ask_one(app, "GET", "/docs")
    assert page.body.startswith(b"<!doctype html>") and b"/v1/embeddings" in page.body and b"//" not in page.body


def test_what_is_not_there(app):
    assert ask_one(app, "POST", "/v1/embeddings", {"input": "a", "model": "other"}).status == 404
    refused = ask_one(app, "POST", "/rerank", {"query": "a", "texts": ["b"], "model": "labels"})
    assert refused.status == 424 and refused.json["error_type"] == "Backend"
    assert ask_one(app, "POST", "/rerank", {"query": "a", "texts": []}).json["error_type"] == "Empty"
