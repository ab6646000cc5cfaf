"""Haystack: embedders of texts and of documents, and a cross-encoder as a ranker."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from minembed.errors import InputError, InputTypeError
from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder, HeldReranker
from minembed.integrations.settings import GivenRerankSettings, GivenSettings, RerankSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.models.reranker import Reranker
from minembed.runtime.checks import check_whole
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("Haystack", "haystack", "haystack"):
    from haystack import Document, component, default_from_dict, default_to_dict

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedDocumentEmbedder", "MinembedRanker", "MinembedTextEmbedder"]


@component
class MinembedTextEmbedder:
    """Embeds a text, such as a query: `model` is a name, a folder, or a loaded Embedder; it is loaded by `warm_up`.

    The text, between `prefix` and `suffix`, takes the checkpoint's prompt for queries, as in `Embedder.encode_query`,
    unless `prompt` or `prompt_name` say otherwise.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        prefix: str = "",
        suffix: str = "",
        **settings: "Unpack[GivenSettings]",
    ) -> None:
        self._held = HeldEmbedder(model, Settings(**settings))
        self.prefix, self.suffix = prefix, suffix

    def warm_up(self) -> None:
        """Load the model."""
        self._held.model  # noqa: B018

    @component.output_types(embedding=list[float])
    def run(self, text: str) -> dict[str, Any]:
        """The embedding of a text: the float32 numbers of `encode_query`, as Python's."""
        return {"embedding": self._held.query(self._whole(text)).tolist()}

    @component.output_types(embedding=list[float])
    async def run_async(self, text: str) -> dict[str, Any]:
        """The coroutine of `run`: if its task is cancelled, the work ends at the next chunk."""
        return {"embedding": (await self._held.aquery(self._whole(text))).tolist()}

    def _whole(self, text: str) -> str:
        if not isinstance(text, str):
            raise InputTypeError(f"text is {type(text).__name__}, not str; documents are for MinembedDocumentEmbedder")
        return self.prefix + text + self.suffix

    def to_dict(self) -> dict[str, Any]:
        """The settings that Haystack serialises."""
        return default_to_dict(self, **self._held.config(), prefix=self.prefix, suffix=self.suffix)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MinembedTextEmbedder":
        """The component from the result of `to_dict`."""
        return default_from_dict(cls, data)


@component
class MinembedDocumentEmbedder:
    """Embeds documents: `model` is a name, a folder, or a loaded Embedder; it is loaded by `warm_up`.

    The embedded text is `prefix`, the fields `meta_fields_to_embed` that a document has and its content, joined by
    `embedding_separator`, and `suffix`.  It takes the checkpoint's prompt for documents, as in
    `Embedder.encode_document`, unless `prompt` or `prompt_name` say otherwise.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL,
        *,
        prefix: str = "",
        suffix: str = "",
        meta_fields_to_embed: Sequence[str] | None = None,
        embedding_separator: str = "\n",
        **settings: "Unpack[GivenSettings]",
    ) -> None:
        self._held = HeldEmbedder(model, Settings(**settings))
        self.prefix, self.suffix = prefix, suffix
        self.meta_fields_to_embed = list(meta_fields_to_embed or ())
        self.embedding_separator = embedding_separator

    def warm_up(self) -> None:
        """Load the model."""
        self._held.model  # noqa: B018

    @component.output_types(documents=list[Document])
    def run(self, documents: list[Document]) -> dict[str, Any]:
        """Copies of the documents with their embeddings: the float32 numbers of `encode_document`, as Python's."""
        return _embedded(documents, self._held.documents(self._whole(documents)))

    @component.output_types(documents=list[Document])
    async def run_async(self, documents: list[Document]) -> dict[str, Any]:
        """The coroutine of `run`: if its task is cancelled, the work ends at the next chunk."""
        return _embedded(documents, await self._held.adocuments(self._whole(documents)))

    def _whole(self, documents: list[Document]) -> list[str]:
        texts = _texts(documents, self.meta_fields_to_embed, self.embedding_separator)
        return [self.prefix + text + self.suffix for text in texts]

    def to_dict(self) -> dict[str, Any]:
        """The settings that Haystack serialises."""
        return default_to_dict(
            self,
            **self._held.config(),
            prefix=self.prefix,
            suffix=self.suffix,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MinembedDocumentEmbedder":
        """The component from the result of `to_dict`."""
        return default_from_dict(cls, data)


@component
class MinembedRanker:
    """A cross-encoder that ranks documents by their relevance to the query.

    `model` is a name, a folder, or a loaded Reranker; it is loaded by `warm_up`.  `top_k` documents are kept, or all,
    and of these those whose score is at least `score_threshold`.  The text of a document is composed as in
    MinembedDocumentEmbedder.
    """

    @takes_options_of(RerankSettings, GivenRerankSettings)
    def __init__(
        self,
        model: str | os.PathLike[str] | Reranker,
        *,
        top_k: int | None = None,
        score_threshold: float | None = None,
        meta_fields_to_embed: Sequence[str] | None = None,
        embedding_separator: str = "\n",
        **settings: "Unpack[GivenRerankSettings]",
    ) -> None:
        self._held = HeldReranker(model, RerankSettings(**settings))
        self.top_k = None if top_k is None else check_whole("top_k", top_k, also=", or None")
        self.score_threshold = score_threshold
        self.meta_fields_to_embed = list(meta_fields_to_embed or ())
        self.embedding_separator = embedding_separator

    def warm_up(self) -> None:
        """Load the model."""
        self._held.model  # noqa: B018

    @component.output_types(documents=list[Document])
    def run(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """Copies of the documents with their scores, best first; `top_k` overrides the component's own."""
        texts = _texts(documents, self.meta_fields_to_embed, self.embedding_separator)
        ranked = self._held.rank(query, texts, self.top_k if top_k is None else top_k)
        least = float("-inf") if self.score_threshold is None else self.score_threshold
        return {
            "documents": [replace(documents[r["corpus_id"]], score=r["score"]) for r in ranked if r["score"] >= least]
        }

    @component.output_types(documents=list[Document])
    async def run_async(self, query: str, documents: list[Document], top_k: int | None = None) -> dict[str, Any]:
        """As `run`, in a thread."""
        return await asyncio.to_thread(self.run, query, documents, top_k)

    def to_dict(self) -> dict[str, Any]:
        """The settings that Haystack serialises."""
        return default_to_dict(
            self,
            **self._held.config(),
            top_k=self.top_k,
            score_threshold=self.score_threshold,
            meta_fields_to_embed=self.meta_fields_to_embed,
            embedding_separator=self.embedding_separator,
        )

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "MinembedRanker":
        """The component from the result of `to_dict`."""
        return default_from_dict(cls, data)


def _embedded(documents: list[Document], rows: Array) -> dict[str, Any]:
    return {"documents": [replace(d, embedding=row.tolist()) for d, row in zip(documents, rows, strict=True)]}


def _texts(documents: Any, meta_fields: Sequence[str], separator: str) -> list[str]:
    if not isinstance(documents, Sequence) or isinstance(documents, str):
        raise InputTypeError(f"documents is {type(documents).__name__}: give a list of Document")
    return [_text(document, i, meta_fields, separator) for i, document in enumerate(documents)]


def _text(document: Any, i: int, meta_fields: Sequence[str], separator: str) -> str:
    if not isinstance(document, Document):
        raise InputTypeError(f"documents[{i}] is {type(document).__name__}, not a Document")
    fields = (document.meta.get(name) for name in meta_fields)
    parts = [str(value) for value in fields if value is not None]
    if document.content is None and not parts:
        raise InputError(f"documents[{i}] ({document.id}) has no text: leave such documents out")
    return separator.join([*parts, document.content or ""])
