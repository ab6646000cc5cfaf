"""LlamaIndex, with its own vector index, ingestion pipeline and retriever: run by `make test-integrations`."""

import asyncio
import json
import pickle

import pytest
from llama_index.core import Document, VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.llms import MockLLM
from llama_index.core.schema import NodeWithScore, TextNode

from minembed.errors import InputError
from minembed.integrations.llama_index import MinembedEmbedding, MinembedRerank


@pytest.fixture
def embedding(model):
    return MinembedEmbedding(model)


def test_vectors_are_those_of_encode(embedding, model, passages, query):
    expected = model.encode_document(passages).tolist()
    assert embedding.get_text_embedding_batch(passages) == expected
    assert embedding.get_text_embedding(passages[1]) == expected[1]
    assert embedding.get_query_embedding(query) == model.encode_query(query).tolist()
    assert embedding.get_text_embedding_batch([]) == []


def test_coroutines_give_the_same(embedding, passages, query):
    async def all_three():
        documents, text = embedding.aget_text_embedding_batch(passages), embedding.aget_text_embedding(passages[1])
        return await asyncio.gather(documents, text, embedding.aget_query_embedding(query))

    documents = embedding.get_text_embedding_batch(passages)
    assert asyncio.run(all_three()) == [documents, documents[1], embedding.get_query_embedding(query)]


def test_it_is_written_and_read(model, passages):
    loaded, named = MinembedEmbedding(model, truncate_dim=64), MinembedEmbedding("all-MiniLM-L6-v2", truncate_dim=64)
    for embedding in (loaded, named):
        written = json.loads(embedding.to_json())
        for again in (MinembedEmbedding.from_dict(written), pickle.loads(pickle.dumps(embedding))):
            assert again.to_dict() == written == embedding.to_dict()
            assert again.get_text_embedding_batch(passages) == model.encode(passages, truncate_dim=64).tolist()
    assert named.model_name == "all-MiniLM-L6-v2" and len(pickle.dumps(named)) < 10_000
    with pytest.raises(ValueError, match="frozen"):
        named.truncate_dim = 32


def test_an_index_a_retriever_and_a_reranker(embedding, model, reranker, passages, query):
    documents = [Document(text=text, metadata={"line": i}) for i, text in enumerate(passages)]
    for document in documents:
        document.excluded_embed_metadata_keys = ["line"]
    index = VectorStoreIndex.from_documents(documents, embed_model=embedding)
    found = index.as_retriever(similarity_top_k=3).retrieve(query)
    similarity = model.similarity(model.encode_query(query), model.encode_document(passages))[0]
    nearest = similarity.argsort()[::-1][:3].tolist()
    assert [n.metadata["line"] for n in found] == nearest
    assert [n.score for n in found] == pytest.approx(similarity[nearest], abs=1e-6)  # LlamaIndex sums in float64
    rerank = MinembedRerank(reranker, top_k=2)
    engine = index.as_query_engine(similarity_top_k=3, node_postprocessors=[rerank], llm=MockLLM())
    best = engine.query(query).source_nodes
    expected = reranker.rank(query, [passages[i] for i in nearest], top_k=2)
    assert [(n.metadata["line"], n.score) for n in best] == [(nearest[r["corpus_id"]], r["score"]) for r in expected]


def test_reranked_nodes_are_new(reranker, cross_encoder, passages, query):
    nodes = [NodeWithScore(node=TextNode(text=text, id_=str(i)), score=0.5) for i, text in enumerate(passages)]
    before = [node.model_copy(deep=True) for node in nodes]
    rerank = MinembedRerank(cross_encoder, keep_retrieval_score=True, activation="Identity")
    best = rerank.postprocess_nodes(nodes, query_str=query)
    expected = reranker.rank(query, passages, activation="Identity")
    assert [(n.node_id, n.score) for n in best] == [(str(r["corpus_id"]), r["score"]) for r in expected]
    assert {n.metadata["retrieval_score"] for n in best} == {0.5} and nodes == before
    for again in (MinembedRerank.from_dict(rerank.to_dict()), pickle.loads(pickle.dumps(rerank))):
        assert again.to_dict() == rerank.to_dict()
        assert asyncio.run(again.apostprocess_nodes(nodes, query_str=query)) == best
    assert rerank.postprocess_nodes([], query_str=query) == []


def test_an_ingestion_pipeline_knows_models_apart(embedding, passages):
    """Its cache is kept by what `to_dict` says."""
    nodes = [TextNode(text=text) for text in passages]
    pipeline = IngestionPipeline(transformations=[embedding])
    widths = [len(node.embedding) for node in pipeline.run(nodes=nodes)]
    pipeline.transformations = [MinembedEmbedding(truncate_dim=64)]
    assert widths == [384] * 5 and [len(node.embedding) for node in pipeline.run(nodes=nodes)] == [64] * 5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, m: e.get_text_embedding_batch(["one", None]), r"texts\[1\] is missing"),
        (lambda e, m: e.get_query_embedding(1), "a query is a str"),
        (lambda e, m: MinembedEmbedding(m, model_name="x"), "one thing"),
        (lambda e, m: MinembedEmbedding(embed_batch_size=0), "embed_batch_size must be a whole number from 1 to 2048"),
        (lambda e, m: MinembedEmbedding(trunkate_dim=3), "did you mean 'truncate_dim'"),
        (lambda e, m: MinembedRerank(m), "or a loaded Reranker"),
    ],
)
def test_errors_are_ours(embedding, model, call, message):
    with pytest.raises(InputError, match=message):
        call(embedding, model)


def test_a_reranker_needs_a_query(reranker):
    with pytest.raises(InputError, match="query_str"):
        MinembedRerank(reranker).postprocess_nodes([])
