"""KeyBERT: a backend for its embeddings of documents and of the words in them."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder
from minembed.integrations.settings import GivenSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("KeyBERT", "keybert", "keybert", without_torch=True):
    from keybert.backend import BaseEmbedder

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedBackend"]


class MinembedBackend(BaseEmbedder):
    """A model for KeyBERT.

    `model` is a name, a folder, or a loaded Embedder; it is loaded at once.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self, model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL, **settings: "Unpack[GivenSettings]"
    ) -> None:
        self._held = HeldEmbedder(model, Settings(**settings))
        super().__init__(embedding_model=model)
        self._held.model  # noqa: B018 (errors of loading are raised here)

    def embed(self, documents: Iterable[str], verbose: bool = False) -> Array:  # N texts -> (N, D)
        """The vectors of `encode`, for documents and for words; `verbose` shows a progress bar."""
        return self._held.plain(documents, "documents", verbose)
