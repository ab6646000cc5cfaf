"""The model of an integration: only a name until it is needed, then loaded, and always used with the same settings."""

import os
from asyncio import to_thread
from collections.abc import Iterable
from threading import Lock
from typing import Any, Generic, TypeVar

from minembed.errors import InputTypeError
from minembed.integrations.settings import RerankSettings, Settings
from minembed.models.embedder import Embedder
from minembed.models.reranker import Ranked, Reranker
from minembed.runtime.columns import as_texts
from minembed.types import Array

DEFAULT_MODEL = "all-MiniLM-L6-v2"

Loadable = TypeVar("Loadable", Embedder, Reranker)
_LOADING = Lock()  # threads that need a model at once load it once


class Held(Generic[Loadable]):
    """A model and its settings.  Pickling stores what was given: a name, or a loaded model with its weights."""

    kind: type[Loadable]

    def __init__(self, model: "str | os.PathLike[str] | Loadable", settings: Settings | RerankSettings) -> None:
        if isinstance(model, self.kind):
            settings.check_loaded(self.kind.__name__)
        elif not isinstance(model, str | os.PathLike):
            what = f"a name, a folder, or a loaded {self.kind.__name__}"
            raise InputTypeError(f"model is {type(model).__name__}: give {what}")
        self.given: Any = model
        self.settings = settings
        self._loaded: Loadable | None = model if isinstance(model, self.kind) else None

    @property
    def model(self) -> Loadable:
        """The loaded model."""
        if self._loaded is None:
            with _LOADING:
                if self._loaded is None:
                    self._loaded = self.kind.load(self.given, **self.settings.loading())
        return self._loaded

    def config(self) -> dict[str, Any]:
        """The arguments to rebuild this, as JSON types: for a loaded model its folder and how it computes."""
        if isinstance(self.given, str | os.PathLike):
            return {"model": os.fspath(self.given)} | self.settings.given()
        return _config_of(self.given) | self.settings.given()

    def __getstate__(self) -> dict[str, Any]:
        return {"given": self.given, "settings": self.settings}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(state["given"], state["settings"])  # type: ignore[misc]


class HeldEmbedder(Held[Embedder]):
    """An embedding model.

    >>> HeldEmbedder("all-MiniLM-L6-v2", Settings(truncate_dim=64)).config()
    {'model': 'all-MiniLM-L6-v2', 'truncate_dim': 64}
    """

    kind = Embedder
    settings: Settings

    @property
    def dimension(self) -> int:
        """The width D of the vectors."""
        return self.settings.truncate_dim or self.model.dimension

    def plain(self, texts: Iterable[str], name: str = "texts", verbose: bool = False) -> Array:  # -> (N, D)
        """The vectors of a column of texts that are neither queries nor documents; `verbose` shows a progress bar."""
        options = self.settings.computing()
        if verbose and options["show_progress_bar"] is None:
            options["show_progress_bar"] = True
        return self.model.encode(as_texts(texts, name), **options)

    def query(self, text: str) -> Array:  # -> (D,)
        """The vector of a query."""
        if not isinstance(text, str):
            raise InputTypeError(f"a query is a str, not {type(text).__name__}")
        return self.model.encode_query(text, **self.settings.computing())

    def queries(self, texts: Iterable[str]) -> Array:  # -> (N, D)
        """The vectors of a column of queries."""
        return self.model.encode_query(as_texts(texts), **self.settings.computing())

    def documents(self, texts: Iterable[str]) -> Array:  # -> (N, D)
        """The vectors of a column of documents."""
        return self.model.encode_document(as_texts(texts), **self.settings.computing())

    async def aquery(self, text: str) -> Array:  # -> (D,)
        """The coroutine of `query`: if its task is cancelled, the work ends at the next chunk."""
        if not isinstance(text, str):
            raise InputTypeError(f"a query is a str, not {type(text).__name__}")
        rows = await self._encode([text], ("query",))
        first: Array = rows[0]
        return first

    async def adocuments(self, texts: Iterable[str]) -> Array:  # -> (N, D)
        """The coroutine of `documents`; see `aquery`."""
        return await self._encode(texts, ("document", "passage", "corpus"))

    async def _encode(self, texts: Iterable[str], names: tuple[str, ...]) -> Array:
        model, options = await to_thread(lambda: self.model), self.settings.computing()
        if options["prompt"] is None and options["prompt_name"] is None:
            options["prompt_name"] = next((n for n in names if n in model.checkpoint.prompts), names[0])
        return await model.aencode(as_texts(texts), **options)


class HeldReranker(Held[Reranker]):
    """A cross-encoder.

    >>> HeldReranker("ms-marco-MiniLM-L6-v2", RerankSettings(activation="Identity")).config()
    {'model': 'ms-marco-MiniLM-L6-v2', 'activation': 'Identity'}
    """

    kind = Reranker
    settings: RerankSettings

    def rank(self, query: str, texts: Iterable[str], top_k: int | None) -> list[Ranked]:
        """The documents ranked by relevance, best first."""
        return self.model.rank(query, texts, top_k=top_k, **self.settings.computing())


def _config_of(model: Embedder | Reranker) -> dict[str, Any]:
    checkpoint = model.checkpoint if isinstance(model, Embedder) else model.model.checkpoint
    config: dict[str, Any] = {"model": str(checkpoint.folder), "dtype": model.dtype, "backend": model.backend}
    config["max_seq_length"] = model.max_seq_length
    if isinstance(model, Embedder) and checkpoint.prompts:
        config["prompts"] = dict(checkpoint.prompts)
    if isinstance(model, Embedder) and checkpoint.truncate_dim is not None:
        config["truncate_dim"] = checkpoint.truncate_dim
    return config
