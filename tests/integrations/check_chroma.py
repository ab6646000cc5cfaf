"""Chroma, with collections on disk that are opened again by another process: run by `make test-integrations`."""

import json
import subprocess
import sys

import chromadb
import numpy as np
import pytest
from chromadb.utils.embedding_functions import config_to_embedding_function

from minembed import Embedder
from minembed.errors import InputError
from minembed.integrations.chroma import MinembedEmbeddingFunction

PREFIXES = {"query": "query: ", "document": "passage: "}
ROUNDING = 2**-24  # of a number below 1: for the space "cosine", Chroma divides by the length once more


@pytest.fixture
def client(tmp_path):
    return chromadb.PersistentClient(tmp_path / "store", chromadb.Settings(anonymized_telemetry=False))


def test_vectors_are_those_of_encode(model, passages, query):
    function = MinembedEmbeddingFunction(prompts=PREFIXES)
    assert np.array_equal(function(passages), model.encode(passages, prompt="passage: "))
    assert np.array_equal(function(input=passages), function(passages)) and function([query])[0].dtype == np.float32
    assert np.array_equal(function.embed_query([query]), model.encode([query], prompt="query: "))


REOPEN = """
import sys, json, chromadb
import minembed.integrations.chroma
client = chromadb.PersistentClient(sys.argv[1], chromadb.Settings(anonymized_telemetry=False))
collection = client.get_collection("passages")
found = collection.query(query_texts=[sys.argv[2]], n_results=3)
collection.add(ids=["new"], documents=[sys.argv[3]])
print(json.dumps([found["ids"][0], found["distances"][0], collection.configuration["embedding_function"].get_config()]))
"""


@pytest.mark.parametrize("loaded", [False, True])
def test_a_collection_opens_again(loaded, client, tmp_path, model, passages, query):
    """In another process, which is told nothing but the collection's name."""
    given = Embedder.load(prompts=PREFIXES, truncate_dim=64) if loaded else "all-MiniLM-L6-v2"
    own = {} if loaded else {"prompts": PREFIXES, "truncate_dim": 64}
    collection = client.create_collection("passages", embedding_function=MinembedEmbeddingFunction(given, **own))
    ids = [str(i) for i in range(len(passages))]
    collection.add(ids=ids, documents=passages)
    expected = model.encode(passages, prompt="passage: ", truncate_dim=64)
    arguments = [str(tmp_path / "store"), query, "the sun"]
    done = subprocess.run([sys.executable, "-c", REOPEN, *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found, distances, config = json.loads(done.stdout)
    similarity = model.similarity(model.encode(query, prompt="query: ", truncate_dim=64), expected)[0]
    order = similarity.argsort()[::-1][:3]
    assert found == [ids[i] for i in order]
    assert distances == pytest.approx(1 - similarity[order], abs=2e-6)  # Chroma sums 64 products in float32
    assert config["truncate_dim"] == 64 and config["prompts"] == PREFIXES
    stored = collection.get(ids=[*ids, "new"], include=["embeddings"])["embeddings"]
    expected = model.encode([*passages, "the sun"], prompt="passage: ", truncate_dim=64)
    assert np.abs(stored - expected).max() <= ROUNDING


@pytest.mark.parametrize(("space", "error"), [("l2", 0), ("ip", 0), ("cosine", ROUNDING)])
def test_what_is_stored(space, error, client, model, passages):
    function, configuration = MinembedEmbeddingFunction(model), {"hnsw": {"space": space}}
    collection = client.create_collection("passages", embedding_function=function, configuration=configuration)
    collection.add(ids=[str(i) for i in range(len(passages))], documents=passages)
    stored = collection.get(include=["embeddings"])["embeddings"]
    assert np.abs(stored - model.encode(passages)).max() <= error


def test_the_configuration_goes_round(model, passages):
    for function in (MinembedEmbeddingFunction(model, truncate_dim=64), MinembedEmbeddingFunction(truncate_dim=64)):
        config = json.loads(json.dumps({"name": function.name(), "config": function.get_config()}))
        again = config_to_embedding_function(config)
        assert isinstance(again, MinembedEmbeddingFunction) and again.get_config() == function.get_config()
        assert np.array_equal(again(passages), function(passages))
        assert not function.is_legacy() and MinembedEmbeddingFunction.validate_config(config["config"]) is None


def test_spaces_are_the_checkpoints(model, client, tmp_path):
    function = MinembedEmbeddingFunction(model)
    assert function.default_space() == "cosine" and set(function.supported_spaces()) == {"cosine", "ip", "l2"}
    assert client.create_collection("passages", embedding_function=function).configuration["hnsw"]["space"] == "cosine"
    model.save(tmp_path / "dot")
    path = tmp_path / "dot" / "config_sentence_transformers.json"
    for similarity, space in (("dot", "ip"), ("euclidean", "l2"), ("manhattan", None)):
        path.write_text(json.dumps({"similarity_fn_name": similarity}))
        function = MinembedEmbeddingFunction(tmp_path / "dot")
        if space is None:
            with pytest.raises(InputError, match="manhattan"):
                function.default_space()
        else:
            assert (
                client.create_collection(f"by-{space}", embedding_function=function).configuration["hnsw"]["space"]
                == space
            )


def test_other_vectors_are_not_mixed_in(client, model):
    function = MinembedEmbeddingFunction(model, truncate_dim=64)
    old = function.get_config()
    function.validate_config_update(old, old | {"threads": 1, "batch_size": 3, "truncation": "silent"})
    for change in ({"truncate_dim": 32}, {"prompt": "a"}, {"model": "other"}, {"dtype": "int8"}):
        with pytest.raises(InputError, match=f"vectors of {next(iter(change))} .* a new one"):
            function.validate_config_update(old, old | change)
    collection = client.create_collection("passages", embedding_function=function)
    with pytest.raises(InputError, match="truncate_dim"):
        collection.modify(configuration={"embedding_function": MinembedEmbeddingFunction(model, truncate_dim=32)})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda f: f(["one", None]), r"texts\[1\] is missing"),
        (lambda f: f("one"), "texts is str"),
        (lambda f: f.embed_query([3]), r"texts\[0\] is int"),
        (lambda f: MinembedEmbeddingFunction(model_name="x"), "did you mean 'model'"),
        (lambda f: MinembedEmbeddingFunction.validate_config({"model": "x", "truncate_dim": "y"}), "truncate_dim must"),
        (lambda f: MinembedEmbeddingFunction.build_from_config({"device": "cuda"}), "'device'"),
    ],
)
def test_errors_are_ours(model, call, message):
    with pytest.raises(InputError, match=message):
        call(MinembedEmbeddingFunction(model))
