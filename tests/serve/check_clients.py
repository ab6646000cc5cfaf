"""Real clients against a real server: `make test-serve`, in an environment of its own."""

import numpy as np
import pytest

TEXTS = ["the cat", "a dog in the rain", "bread and sun", "中文 house"]


@pytest.fixture
def server(server_of):
    with server_of() as running:
        yield running


@pytest.fixture
def expected(tiny_folder):
    from minembed import Embedder

    return Embedder.load(tiny_folder, backend="numpy").encode(TEXTS)


def same(found, expected):
    found = np.asarray(found, np.float32)
    return found.shape == expected.shape and found.tobytes() == expected.tobytes()


def test_openai(server, expected):
    import openai

    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="any")
    asked = {"input": TEXTS, "model": "tiny"}
    assert same([one.embedding for one in client.embeddings.create(**asked).data], expected)
    for form in ("float", "base64"):
        data = client.embeddings.create(**asked, encoding_format=form).data
        if form == "float":
            assert same([one.embedding for one in data], expected)
    short = client.embeddings.create(input=TEXTS[0], model="tiny", dimensions=8).data[0].embedding
    assert len(short) == 8
    assert [one.id for one in client.models.list()] == ["tiny", "cross"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(input="a", model="other")
    assert missing.value.code == "model_not_found" and missing.value.param == "model"
    with pytest.raises(openai.BadRequestError, match="cannot be empty"):
        client.embeddings.create(input="", model="tiny")


def test_openai_with_a_key(server_of, tmp_path):
    import openai

    (tmp_path / "keys").write_text("right\n")
    with server_of("--api-key-file", tmp_path / "keys") as server:
        right, wrong = (openai.OpenAI(base_url=f"{server.url}/v1", api_key=key) for key in ("right", "wrong"))
        assert right.embeddings.create(input="a", model="tiny").data
        with pytest.raises(openai.AuthenticationError):
            wrong.embeddings.create(input="a", model="tiny")


def test_async_openai(server, expected):
    import asyncio

    import openai

    async def many():
        async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any") as client:
            asked = [client.embeddings.create(input=text, model="tiny") for text in TEXTS * 8]
            return [reply.data[0].embedding for reply in await asyncio.gather(*asked)]

    assert same(asyncio.run(many()), np.tile(expected, (8, 1)))


def test_hugging_face(server, expected):
    from huggingface_hub import InferenceClient

    client = InferenceClient(model=server.url)
    for text, row in zip(TEXTS, expected, strict=True):
        assert same(np.ravel(client.feature_extraction(text, normalize=True)), row)
    client = InferenceClient(model=f"{server.url}/similarity")  # the route of TEI
    scores = client.sentence_similarity(TEXTS[0], other_sentences=TEXTS)
    assert scores[0] == pytest.approx(1, abs=1e-6)  # rounding of float32


def test_langchain(server, expected):
    from langchain_openai import OpenAIEmbeddings

    model = OpenAIEmbeddings(model="tiny", base_url=f"{server.url}/v1", api_key="any", check_embedding_ctx_length=False)
    assert same(model.embed_documents(TEXTS), expected)
    assert same(model.embed_query(TEXTS[0]), expected[0])


def test_llama_index(server, expected):
    from llama_index.embeddings.text_embeddings_inference import TextEmbeddingsInference

    model = TextEmbeddingsInference(model_name="tiny", base_url=server.url, embed_batch_size=3)
    assert same(model.get_text_embedding_batch(TEXTS), expected)
    assert same(model.get_query_embedding(TEXTS[0]), expected[0])
