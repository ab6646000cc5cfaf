"""LangChain: embeddings, and a cross-encoder as a compressor of documents."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder, HeldReranker
from minembed.integrations.settings import GivenRerankSettings, GivenSettings, RerankSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.models.reranker import Reranker
from minembed.runtime.checks import check_whole
from minembed.runtime.keywords import takes_options_of

with needs("LangChain", "langchain_core", "langchain"):
    from langchain_core.callbacks import Callbacks
    from langchain_core.documents import BaseDocumentCompressor, Document
    from langchain_core.embeddings import Embeddings
    from pydantic import PrivateAttr

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedEmbeddings", "MinembedReranker"]


class MinembedEmbeddings(Embeddings):
    """Embeddings for LangChain: `model` is a name, a folder, or a loaded Embedder; it is loaded at once.

    Queries take the checkpoint's prompt for queries and documents that for documents, as in `Embedder.encode_query` and
    `encode_document`, unless `prompt` or `prompt_name` say otherwise.  The coroutines work in a thread, as
    `Embedder.aencode`.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self, model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL, **settings: "Unpack[GivenSettings]"
    ) -> None:
        self._held = HeldEmbedder(model, Settings(**settings))
        self.embedder  # noqa: B018 (errors of loading are raised here)

    @property
    def embedder(self) -> Embedder:
        """The loaded model."""
        return self._held.model

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents: the float32 numbers of `encode_document`, as Python's."""
        return self._held.documents(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        """The vector of a query: the float32 numbers of `encode_query`, as Python's."""
        return self._held.query(text).tolist()

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """The coroutine of `embed_documents`: if its task is cancelled, the work ends at the next chunk."""
        return (await self._held.adocuments(texts)).tolist()

    async def aembed_query(self, text: str) -> list[float]:
        """The coroutine of `embed_query`."""
        return (await self._held.aquery(text)).tolist()

    def __repr__(self) -> str:
        return f"MinembedEmbeddings({self.embedder!r})"


class MinembedReranker(BaseDocumentCompressor):
    """A cross-encoder that ranks retrieved documents by their relevance to the query.

    `model` is a name, a folder, or a loaded Reranker; it is loaded at once.  `top_k` documents are kept, or all; each
    is a copy with its score as `metadata["relevance_score"]`.
    """

    top_k: int | None = None
    _held: HeldReranker = PrivateAttr()

    @takes_options_of(RerankSettings, GivenRerankSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Reranker,
        *,
        top_k: int | None = None,
        **settings: "Unpack[GivenRerankSettings]",
    ) -> None:
        held = HeldReranker(model, RerankSettings(**settings))
        super().__init__(top_k=None if top_k is None else check_whole("top_k", top_k, also=", or None"))
        self._held = held
        self.reranker  # noqa: B018 (errors of loading are raised here)

    @property
    def reranker(self) -> Reranker:
        """The loaded model."""
        return self._held.model

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> list[Document]:
        """Return the documents best first, each with its score."""
        ranked = self._held.rank(query, [d.page_content for d in documents], self.top_k)
        return [_scored(documents[r["corpus_id"]], r["score"]) for r in ranked]


def _scored(document: Document, score: float) -> Any:
    return document.model_copy(update={"metadata": {**document.metadata, "relevance_score": score}})
