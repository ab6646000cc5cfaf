"""Haystack, with pipelines that are saved and loaded: run by `make test-integrations`."""

import asyncio
import inspect

import pytest
from haystack import Document, Pipeline
from haystack.components.retrievers.in_memory import InMemoryEmbeddingRetriever
from haystack.components.writers import DocumentWriter
from haystack.document_stores.in_memory import InMemoryDocumentStore

from minembed.errors import ConfigError, InputError
from minembed.integrations.haystack import MinembedDocumentEmbedder, MinembedRanker, MinembedTextEmbedder

OURS = ["minembed.integrations.haystack"]  # what a loaded pipeline may import


@pytest.fixture
def documents(passages):
    return [Document(content=text, meta={"line": i, "title": f"book {i}"}) for i, text in enumerate(passages)]


def embeddings(result):
    return [document.embedding for document in result["documents"]]


def test_vectors_are_those_of_encode(model, documents, passages, query):
    before = [document.to_dict() for document in documents]
    expected = model.encode_document(passages).tolist()
    embedder = MinembedDocumentEmbedder(model)
    assert embeddings(embedder.run(documents)) == expected == embeddings(asyncio.run(embedder.run_async(documents)))
    assert [document.to_dict() for document in documents] == before
    assert embedder.run([]) == {"documents": []}
    text = MinembedTextEmbedder(model)
    assert text.run(query) == {"embedding": model.encode_query(query).tolist()} == asyncio.run(text.run_async(query))


def test_what_is_embedded_of_a_document(model, documents):
    how = {"prefix": "of ", "suffix": " it", "meta_fields_to_embed": ["title", "none"], "embedding_separator": ": "}
    documents = [*documents[:2], Document(meta={"title": "rain"})]
    found = embeddings(MinembedDocumentEmbedder(model, **how, truncate_dim=64).run(documents))
    texts = ["of book 0: bread in the oven it", "of book 1: a test for the code it", "of rain:  it"]
    assert found == model.encode(texts, truncate_dim=64).tolist()
    query = MinembedTextEmbedder(model, prefix="of ", suffix=" it").run("rain:")["embedding"]
    assert query == model.encode("of rain: it").tolist()


def test_a_pipeline_is_saved_and_loaded(model, reranker, cross_encoder, documents, passages, query, tmp_path):
    store = InMemoryDocumentStore()
    writing = Pipeline()
    writing.add_component("embedder", MinembedDocumentEmbedder("all-MiniLM-L6-v2", truncate_dim=64))
    writing.add_component("writer", DocumentWriter(store))
    writing.connect("embedder", "writer")
    writing.run({"embedder": {"documents": documents}})
    asking = Pipeline()
    asking.add_component("embedder", MinembedTextEmbedder(model, truncate_dim=64))
    asking.add_component("retriever", InMemoryEmbeddingRetriever(store, top_k=3))
    asking.add_component("ranker", MinembedRanker(cross_encoder, top_k=2))
    asking.connect("embedder.embedding", "retriever.query_embedding")
    asking.connect("retriever.documents", "ranker.documents")
    with (tmp_path / "asking.yaml").open("w") as file:
        asking.dump(file)
    with (tmp_path / "asking.yaml").open() as file:
        again = Pipeline.load(file, allowed_modules=OURS)
    assert again.dumps() == asking.dumps()
    nearest = model.similarity(
        model.encode_query(query, truncate_dim=64), model.encode_document(passages, truncate_dim=64)
    )[0]
    nearest = nearest.argsort()[::-1][:3].tolist()
    expected = [
        (nearest[r["corpus_id"]], r["score"]) for r in reranker.rank(query, [passages[i] for i in nearest], top_k=2)
    ]
    inputs = {"embedder": {"text": query}, "ranker": {"query": query}}
    for pipeline in (asking, again):
        for result in (pipeline.run(inputs), asyncio.run(pipeline.run_async(inputs))):
            assert [(d.meta["line"], d.score) for d in result["ranker"]["documents"]] == expected


@pytest.mark.parametrize("kind", [MinembedTextEmbedder, MinembedDocumentEmbedder, MinembedRanker])
def test_everything_is_written(kind, model, reranker):
    """Each argument of a component comes back from `to_dict`; a loaded model by its folder."""
    given = {
        **{"dtype": "float32", "backend": "numpy", "threads": 1, "max_seq_length": 32, "prompts": {"query": "of "}},
        **{"revision": "main", "local_files_only": True, "normalize_embeddings": True, "prompt_name": "query"},
        **{"prompt": "in ", "truncate_dim": 64, "truncation": "error", "batch_size": 3, "show_progress_bar": False},
        **{"activation": "Identity", "prefix": "a", "suffix": "b", "meta_fields_to_embed": ["c"]},
        **{"embedding_separator": "d", "top_k": 2, "score_threshold": 0.5, "model": "folder"},
    }
    names = inspect.signature(kind.__init__).parameters.keys() - {"self"}
    own = {name: given[name] for name in names}
    assert kind(**own).to_dict()["init_parameters"] == own
    assert kind.from_dict(kind(**own).to_dict()).to_dict() == kind(**own).to_dict()
    loaded = reranker if kind is MinembedRanker else model
    folder = (loaded.model.checkpoint if kind is MinembedRanker else loaded.checkpoint).folder
    assert kind(loaded).to_dict()["init_parameters"]["model"] == str(folder)


def test_models_are_loaded_by_warm_up(tmp_path):
    for component in (MinembedTextEmbedder(tmp_path), MinembedDocumentEmbedder(tmp_path), MinembedRanker(tmp_path)):
        with pytest.raises(ConfigError, match=r"config\.json"):
            component.warm_up()


def test_ranked_documents(reranker, documents, passages, query):
    expected = [(r["corpus_id"], r["score"]) for r in reranker.rank(query, passages)]
    least = expected[2][1]
    ranker = MinembedRanker(reranker, score_threshold=least)
    found = ranker.run(query, documents)["documents"]
    assert [(d.meta["line"], d.score) for d in found] == expected[:3] and expected[3][1] < least
    assert [d.score for d in ranker.run(query, documents, top_k=1)["documents"]] == [expected[0][1]]
    assert {d.score for d in documents} == {None} and ranker.run(query, []) == {"documents": []}
    titles = MinembedRanker(reranker, meta_fields_to_embed=["title"], embedding_separator=" ")
    texts = [f"book {i} {text}" for i, text in enumerate(passages)]
    assert [d.score for d in titles.run(query, documents)["documents"]] == [
        r["score"] for r in reranker.rank(query, texts)
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, r: MinembedTextEmbedder(m).run(["one"]), "text is list, .* MinembedDocumentEmbedder"),
        (lambda m, r: MinembedDocumentEmbedder(m).run("one"), "documents is str"),
        (lambda m, r: MinembedDocumentEmbedder(m).run(["one"]), r"documents\[0\] is str, not a Document"),
        (lambda m, r: MinembedDocumentEmbedder(m).run([Document(meta={"a": 1})]), r"documents\[0\] .* has no text"),
        (lambda m, r: MinembedRanker(r).run("a", [Document(content="b")], top_k=0), "top_k must be"),
        (lambda m, r: MinembedRanker(r, top_k=0), "top_k must be"),
        (lambda m, r: MinembedTextEmbedder(progress_bar=True), "did you mean 'show_progress_bar'"),
    ],
)
def test_errors_are_ours(model, reranker, call, message):
    with pytest.raises(InputError, match=message):
        call(model, reranker)
