"""LlamaIndex: an embedding model, and a cross-encoder as a postprocessor of nodes."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from minembed.errors import InputError
from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder, HeldReranker
from minembed.integrations.settings import GivenRerankSettings, GivenSettings, RerankSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.models.reranker import Reranker
from minembed.runtime.checks import check_whole
from minembed.runtime.keywords import takes_options_of
from minembed.types import Backend, DtypeChoice, Truncation

with needs("LlamaIndex", "llama_index", "llama-index"):
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from llama_index.core.bridge.pydantic import BaseModel, Field, PrivateAttr
    from llama_index.core.callbacks import CallbackManager, CBEventType, EventPayload
    from llama_index.core.postprocessor.types import BaseNodePostprocessor
    from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedEmbedding", "MinembedRerank"]

MOST_AT_ONCE = 2048  # texts that LlamaIndex passes at once, at most; its own default, 10, leaves cores idle


def _fixed(default: Any = None) -> Any:  # a change after loading would have no effect: pydantic refuses it
    return Field(default=default, frozen=True)


class _LoadedOnce(BaseModel):
    """The settings as fields, with which LlamaIndex serialises and compares pipelines."""

    dtype: DtypeChoice | None = _fixed()
    backend: Backend = _fixed("auto")
    threads: int | None = _fixed()
    max_seq_length: int | None = _fixed()
    revision: str | None = _fixed()
    local_files_only: bool = _fixed(False)
    truncation: Truncation = _fixed("warn")
    batch_size: int | None = _fixed()
    show_progress_bar: bool | None = _fixed()


class MinembedEmbedding(_LoadedOnce, BaseEmbedding):
    """An embedding model for LlamaIndex: `model` is a name, a folder, or a loaded Embedder; it is loaded at once.

    Queries take the checkpoint's prompt for queries and nodes that for documents, as in `Embedder.encode_query` and
    `encode_document`, unless `prompt` or `prompt_name` say otherwise.  The coroutines work in a thread, as
    `Embedder.aencode`.
    `embed_batch_size` texts are handed over at once: it changes no vector.  `model_name`, as `to_dict` writes it, may
    replace `model`.
    """

    prompts: Mapping[str, str] | None = _fixed()
    normalize_embeddings: bool | None = _fixed()
    prompt_name: str | None = _fixed()
    prompt: str | None = _fixed()
    truncate_dim: int | None = _fixed()
    _held: HeldEmbedder = PrivateAttr()

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        model_name: str | None = None,
        embed_batch_size: int = MOST_AT_ONCE,
        num_workers: int | None = None,
        callback_manager: CallbackManager | None = None,
        embeddings_cache: Any = None,
        rate_limiter: Any = None,
        **settings: "Unpack[GivenSettings]",
    ) -> None:
        if model_name is not None and model is not DEFAULT_MODEL:
            raise InputError("model and model_name are one thing: give one of them")
        held = HeldEmbedder(model if model_name is None else model_name, Settings(**settings))
        held.model  # noqa: B018 (errors of loading are raised here)
        config = held.config()
        super().__init__(
            model_name=config.pop("model"),
            embed_batch_size=check_whole("embed_batch_size", embed_batch_size, 1, MOST_AT_ONCE),
            num_workers=num_workers,
            callback_manager=callback_manager,
            embeddings_cache=embeddings_cache,
            rate_limiter=rate_limiter,
            **config,
        )
        self._held = held

    @classmethod
    def class_name(cls) -> str:
        """The name that serialised pipelines know it by."""
        return "MinembedEmbedding"

    @property
    def embedder(self) -> Embedder:
        """The loaded model."""
        return self._held.model

    def _get_query_embedding(self, query: str) -> list[float]:
        return self._held.query(query).tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._held.documents([text])[0].tolist()

    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return self._held.documents(texts).tolist()

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return (await self._held.aquery(query)).tolist()

    async def _aget_text_embedding(self, text: str) -> list[float]:
        return (await self._held.adocuments([text]))[0].tolist()

    async def _aget_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return (await self._held.adocuments(texts)).tolist()


class MinembedRerank(_LoadedOnce, BaseNodePostprocessor):
    """A cross-encoder that ranks retrieved nodes by their relevance to the query.

    `model` is a name, a folder, or a loaded Reranker; it is loaded at once.  `top_k` nodes are kept, or all, with the
    cross-encoder's score; `keep_retrieval_score` writes the retriever's into the metadata, of a copy of the node.
    """

    model: str = _fixed("")
    activation: str | None = _fixed()
    top_k: int | None = None
    keep_retrieval_score: bool = False
    _held: HeldReranker = PrivateAttr()

    @takes_options_of(RerankSettings, GivenRerankSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Reranker,
        *,
        top_k: int | None = None,
        keep_retrieval_score: bool = False,
        callback_manager: CallbackManager | None = None,
        **settings: "Unpack[GivenRerankSettings]",
    ) -> None:
        held = HeldReranker(model, RerankSettings(**settings))
        held.model  # noqa: B018 (errors of loading are raised here)
        config = held.config()
        super().__init__(
            model=config.pop("model"),
            top_k=None if top_k is None else check_whole("top_k", top_k, also=", or None"),
            keep_retrieval_score=keep_retrieval_score,
            callback_manager=callback_manager or CallbackManager(),
            **config,
        )
        self._held = held

    @classmethod
    def class_name(cls) -> str:
        """The name that serialised pipelines know it by."""
        return "MinembedRerank"

    @property
    def reranker(self) -> Reranker:
        """The loaded model."""
        return self._held.model

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        if query_bundle is None:
            raise InputError("a reranker needs the query: give query_bundle= or query_str=")
        query = query_bundle.query_str
        payload = {EventPayload.NODES: nodes, EventPayload.MODEL_NAME: self.model, EventPayload.QUERY_STR: query}
        with self.callback_manager.event(
            CBEventType.RERANKING, payload={**payload, EventPayload.TOP_K: self.top_k}
        ) as event:
            texts = [node.node.get_content(metadata_mode=MetadataMode.EMBED) for node in nodes]
            ranked = self._held.rank(query, texts, self.top_k)
            best = [self._scored(nodes[r["corpus_id"]], r["score"]) for r in ranked]
            event.on_end(payload={EventPayload.NODES: best})
        return best

    def _scored(self, found: NodeWithScore, score: float) -> NodeWithScore:
        node = found.node
        if self.keep_retrieval_score:
            node = node.model_copy(update={"metadata": {**node.metadata, "retrieval_score": found.score}})
        return NodeWithScore(node=node, score=score)
