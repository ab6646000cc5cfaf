"""txtai: vectors for its embeddings databases, named in their configuration.

Embeddings(method="minembed.integrations.txtai.MinembedVectors", path="all-MiniLM-L6-v2")
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from minembed.integrations.models import HeldEmbedder
from minembed.integrations.settings import GivenSettings, Settings, needs
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("txtai", "txtai", "txtai"):
    from txtai.vectors import Vectors

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedVectors"]


@takes_options_of(Settings, GivenSettings)
def _settings(**settings: "Unpack[GivenSettings]") -> Settings:
    return Settings(**settings)


class MinembedVectors(Vectors):
    """Computes vectors for txtai: in its configuration, `path` is a name or a folder, and `vectors` has the settings.

    Queries take the checkpoint's prompt for queries and data that for documents, as in `Embedder.encode_query` and
    `encode_document`, unless `prompt` or `prompt_name` say otherwise.
    """

    def loadmodel(self, path: str) -> HeldEmbedder:
        """Load the model, with the settings of the configuration."""
        held = HeldEmbedder(path, _settings(**self.config.get("vectors", {})))
        held.model  # noqa: B018 (errors of loading are raised here)
        return held

    def encode(self, data: Sequence[str], category: str | None = None) -> Array:  # N texts -> (N, D)
        """The vectors of `encode_query` or `encode_document`; txtai normalises them again."""
        if category is None:
            return self.model.plain(data)
        return self.model.queries(data) if category == "query" else self.model.documents(data)
