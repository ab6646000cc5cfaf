"""The settings of all integrations, with the names that `Embedder` and `Reranker` use."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypedDict

import numpy as np

from minembed.errors import InputError, MissingExtraError
from minembed.models.loading import check_request
from minembed.models.options import Options
from minembed.types import Backend, DtypeChoice, Truncation

LOADING = ("dtype", "backend", "threads", "max_seq_length", "prompts", "revision", "local_files_only")
"""What `load` takes of the settings."""


class GivenSettings(TypedDict, total=False):
    """The settings of an embedding model, as keyword arguments."""

    dtype: DtypeChoice | None
    backend: Backend
    threads: int | None
    max_seq_length: int | None
    prompts: Mapping[str, str] | None
    revision: str | None
    local_files_only: bool
    normalize_embeddings: bool | None
    prompt_name: str | None
    prompt: str | None
    truncate_dim: int | None
    truncation: Truncation
    batch_size: int | None
    show_progress_bar: bool | None


class GivenRerankSettings(TypedDict, total=False):
    """The settings of a cross-encoder, as keyword arguments."""

    dtype: DtypeChoice | None
    backend: Backend
    threads: int | None
    max_seq_length: int | None
    revision: str | None
    local_files_only: bool
    activation: str | None
    truncation: Truncation
    batch_size: int | None
    show_progress_bar: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    dtype: DtypeChoice | None = None
    backend: Backend = "auto"
    threads: int | None = None
    max_seq_length: int | None = None
    revision: str | None = None
    local_files_only: bool = False
    truncation: Truncation = "warn"
    batch_size: int | None = None
    show_progress_bar: bool | None = None

    def loading(self) -> dict[str, Any]:
        """The settings that `load` takes."""
        names = {f.name for f in fields(self)} & {*LOADING, "show_progress_bar"}
        return {name: getattr(self, name) for name in names}

    def computing(self) -> dict[str, Any]:
        """The settings that the model's methods take."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in LOADING}

    def given(self) -> dict[str, Any]:
        """The settings that are not the defaults, as JSON types."""
        return {f.name: _plain(getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default}

    def check_loaded(self, kind: str) -> None:
        """Raise InputError for settings of `load` if the model is already loaded."""
        if late := [name for name in self.given() if name in LOADING]:
            raise InputError(f"model is a loaded {kind}: say {late[0]}= to {kind}.load")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(_Common):
    """The settings of an embedding model: those of `Embedder.load` and `Embedder.encode`, with their defaults.

    Raises a MinembedError for a value that does not exist.

    >>> Settings(truncate_dim=64, backend="numpy").given()
    {'backend': 'numpy', 'truncate_dim': 64}
    """

    prompts: Mapping[str, str] | None = None
    normalize_embeddings: bool | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    truncate_dim: int | None = None

    def __post_init__(self) -> None:
        check_request(self.dtype, self.backend, self.threads)
        Options(**self.computing())


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankSettings(_Common):
    """The settings of a cross-encoder: those of `Reranker.load` and `Reranker.rank`, with their defaults.

    Raises a MinembedError for a value that does not exist.

    >>> RerankSettings().computing()["activation"] is None
    True
    """

    activation: str | None = None

    def __post_init__(self) -> None:
        check_request(self.dtype, self.backend, self.threads)
        Options(truncation=self.truncation, batch_size=self.batch_size)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return value.item() if isinstance(value, np.generic) else value


@contextmanager
def needs(framework: str, package: str, extra: str, without_torch: bool = False) -> Iterator[None]:
    """A block that imports a framework: if its package is not installed, MissingExtraError names the extra.

    `without_torch` is for a framework that requires torch but does not need it here: the extra installs the rest.

    >>> with needs("LangChain", "no_such_package", "langchain"):
    ...     import no_such_package
    Traceback (most recent call last):
    minembed.errors.MissingExtraError: LangChain is not installed: pip install 'minembed[langchain]'
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise  # the package is installed, but one of its own imports fails
        alone = f"; pip install --no-deps {package}" if without_torch else ""
        raise MissingExtraError(f"{framework} is not installed: pip install 'minembed[{extra}]'{alone}") from error
