"""Chroma: an embedding function that is stored with a collection, so that it opens again with the same vectors.

Chroma knows it once this file is imported.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from minembed.errors import InputError
from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder
from minembed.integrations.settings import GivenSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("Chroma", "chromadb", "chroma"):
    from chromadb import Documents, EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedEmbeddingFunction"]

HARMLESS = {
    "threads",
    "local_files_only",
    "truncation",
    "batch_size",
    "show_progress_bar",
}  # settings that change no vector
SPACES = {"cosine": "cosine", "dot": "ip", "euclidean": "l2"}  # Chroma's names for a checkpoint's similarity


@register_embedding_function
class MinembedEmbeddingFunction(EmbeddingFunction[Documents]):
    """An embedding function for Chroma: `model` is a name, a folder, or a loaded Embedder; it is loaded at first use.

    What is added takes the checkpoint's prompt for documents and queries that for queries, as in
    `Embedder.encode_document` and `encode_query`, unless `prompt` or `prompt_name` say otherwise.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self, model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL, **settings: "Unpack[GivenSettings]"
    ) -> None:
        self._held = HeldEmbedder(model, Settings(**settings))

    @property
    def embedder(self) -> Embedder:
        """The loaded model."""
        return self._held.model

    def __call__(self, input: Sequence[str]) -> list[Array]:  # N texts -> N times (D,)
        """The vectors of documents: the rows of `encode_document`."""
        return list(self._held.documents(input))

    def embed_query(self, input: Sequence[str]) -> list[Array]:  # N texts -> N times (D,)
        """The vectors of queries: the rows of `encode_query`."""
        return list(self._held.queries(input))

    @staticmethod
    def name() -> str:
        """The name under which collections store it."""
        return "minembed"

    def default_space(self) -> str:
        """The default metric of a collection: the checkpoint's similarity."""
        similarity = self.embedder.checkpoint.similarity_fn_name
        if similarity not in SPACES:
            remedy = 'choose a space for the collection: configuration={"hnsw": {"space": "l2"}}'
            raise InputError(f"the checkpoint compares by {similarity} distance, which Chroma does not have: {remedy}")
        return SPACES[similarity]

    def supported_spaces(self) -> list[str]:
        """All metrics of Chroma."""
        return sorted(SPACES.values())

    def get_config(self) -> dict[str, Any]:
        """The settings that a collection stores."""
        return self._held.config()

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> "MinembedEmbeddingFunction":
        """The embedding function with the settings from `get_config`."""
        return MinembedEmbeddingFunction(**config)

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Raise a MinembedError for settings that do not exist."""
        MinembedEmbeddingFunction(**config)

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Raise InputError for a change that would give other vectors than those in the collection."""
        names = sorted({*old_config, *new_config} - HARMLESS)
        if changed := [name for name in names if old_config.get(name) != new_config.get(name)]:
            was, will = (config.get(changed[0]) for config in (old_config, new_config))
            remedy = "add its documents to a new one"
            raise InputError(
                f"the collection holds vectors of {changed[0]} {was!r}, and {will!r} gives others: {remedy}"
            )
