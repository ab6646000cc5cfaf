"""LangChain, with its own vector store and a chain around a fake chat model: run by `make test-integrations`."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnablePassthrough
from langchain_core.vectorstores import InMemoryVectorStore

from minembed.errors import InputError
from minembed.integrations.langchain import MinembedEmbeddings, MinembedReranker


@pytest.fixture
def embeddings(model):
    return MinembedEmbeddings(model)


def test_vectors_are_those_of_encode(embeddings, model, passages, query):
    assert embeddings.embed_documents(passages) == model.encode_document(passages).tolist()
    assert embeddings.embed_query(query) == model.encode_query(query).tolist()
    assert embeddings.embed_documents([]) == []
    assert type(embeddings.embed_query(query)[0]) is float


def test_settings_mean_what_they_mean_to_encode(model, passages, query):
    own = MinembedEmbeddings(truncate_dim=64, prompt="query: ", max_seq_length=16, truncation="silent")
    how = {"truncate_dim": 64, "prompt": "query: ", "truncation": "silent"}
    short = model.load(max_seq_length=16)
    assert own.embed_documents([" ".join(passages)]) == short.encode([" ".join(passages)], **how).tolist()
    assert own.embed_query(query) == short.encode(query, **how).tolist()


def test_coroutines_give_the_same(embeddings, passages, query):
    async def both():
        return await asyncio.gather(embeddings.aembed_documents(passages), embeddings.aembed_query(query))

    assert asyncio.run(both()) == [embeddings.embed_documents(passages), embeddings.embed_query(query)]


def test_a_retrieval_chain(embeddings, model, reranker, passages, query):
    store = InMemoryVectorStore(embeddings)
    store.add_documents([Document(text, id=str(i), metadata={"line": i}) for i, text in enumerate(passages)])
    rerank = MinembedReranker(reranker, top_k=2)

    def context(question):
        found = store.similarity_search(question, k=3)
        return "\n".join(d.page_content for d in rerank.compress_documents(found, question))

    prompts = []
    chain = (
        {"context": RunnableLambda(context), "question": RunnablePassthrough()}
        | ChatPromptTemplate.from_template("{context}\n\n{question}")
        | RunnableLambda(lambda prompt: prompts.append(prompt.to_string()) or prompt)
        | FakeListChatModel(responses=["Knead it."])
        | StrOutputParser()
    )
    assert chain.invoke(query) == "Knead it."
    nearest = model.similarity(model.encode_query(query), model.encode_document(passages))[0].argsort()[::-1][:3]
    ranked = reranker.rank(query, [passages[i] for i in nearest], top_k=2)
    best = [passages[nearest[r["corpus_id"]]] for r in ranked]
    assert prompts == ["Human: " + "\n".join(best) + f"\n\n{query}"]


def test_scores_are_in_copies(reranker, passages, query):
    documents = [Document(text, id=str(i), metadata={"line": i}) for i, text in enumerate(passages)]
    before = [d.model_copy(deep=True) for d in documents]
    compressor = MinembedReranker(reranker)
    found = compressor.compress_documents(documents, query)
    expected = [
        Document(passages[i], id=str(i), metadata={"line": i, "relevance_score": r["score"]})
        for r in reranker.rank(query, passages)
        for i in [r["corpus_id"]]
    ]
    assert found == expected and documents == before
    assert asyncio.run(compressor.acompress_documents(documents, query)) == expected
    assert compressor.compress_documents([], query) == []


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda e, m: e.embed_documents("one"), "texts is str; give a list"),
        (lambda e, m: e.embed_documents(["one", None]), r"texts\[1\] is missing"),
        (lambda e, m: e.embed_query(["one"]), "a query is a str"),
        (lambda e, m: MinembedEmbeddings(modle="x"), "did you mean 'model'"),
        (lambda e, m: MinembedEmbeddings(m, dtype="int8"), "say dtype= to Embedder.load"),
        (lambda e, m: MinembedReranker(m), "or a loaded Reranker"),
        (lambda e, m: MinembedReranker("x", top_k=0), "top_k must be a whole number"),
    ],
)
def test_errors_are_ours(embeddings, model, call, message):
    with pytest.raises(InputError, match=message):
        call(embeddings, model)
