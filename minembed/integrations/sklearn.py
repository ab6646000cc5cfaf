"""scikit-learn: a transformer from texts to vectors, for pipelines, grids and column transformers."""

import inspect
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder
from minembed.integrations.settings import GivenSettings, Settings, needs
from minembed.models.embedder import Embedder
from minembed.runtime.keywords import takes_options_of
from minembed.types import Array

with needs("scikit-learn", "sklearn", "sklearn"):
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
    from sklearn.utils import Tags
    from sklearn.utils.validation import check_is_fitted

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["MinembedVectorizer"]


class MinembedVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns a column of N texts into vectors (N, D) float32, with the input of CountVectorizer.

    `model` is a name, a folder, or a loaded Embedder, which clones share; it is loaded by `fit`, which learns nothing
    from the texts.  All settings are parameters, so that a grid can search them; they are checked by `fit`.
    """

    @takes_options_of(Settings, GivenSettings)
    def __init__(
        self, model: str | os.PathLike[str] | Embedder = DEFAULT_MODEL, **settings: "Unpack[GivenSettings]"
    ) -> None:
        self.model = model
        for name, parameter in inspect.signature(Settings).parameters.items():
            setattr(self, name, settings.get(name, parameter.default))  # as given: scikit-learn compares by identity

    def fit(self, X: Iterable[str], y: Any = None) -> "MinembedVectorizer":
        """Load the model."""
        held = HeldEmbedder(
            self.model, Settings(**{name: getattr(self, name) for name in GivenSettings.__annotations__})
        )
        self._n_features_out = held.dimension
        self._held = held
        return self

    def transform(self, X: Iterable[str]) -> Array:  # N texts -> (N, D)
        """The vectors of `Embedder.encode`."""
        check_is_fitted(self)
        return self._held.plain(X, "X")

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_held")

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.string, tags.input_tags.two_d_array = True, False
        tags.transformer_tags.preserves_dtype = []
        return tags
