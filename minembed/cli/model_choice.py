"""Which model to load, and how: the options of all commands that need a model."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, wraps
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from minembed.types import Backend, Dtype, DtypeChoice

if TYPE_CHECKING:
    from minembed.models.embedder import Embedder

DTYPES: tuple[Dtype, ...] = get_args(Dtype)
Command = TypeVar("Command", bound=Callable[..., Any])
Loaded = TypeVar("Loaded")

DEFAULT_MODEL = "all-MiniLM-L6-v2"  # the same as in minembed.weights.sources.locate, which a test checks


def source_options(default: str = DEFAULT_MODEL) -> tuple[Callable[[Command], Command], ...]:
    """The options that name a model.

    >>> len(source_options())
    3
    """
    return (
        click.option(
            "-m",
            "--model",
            default=default,
            show_default=True,
            metavar="NAME|FOLDER",
            help='A folder, "org/name" on the Hub, or a bare name of sentence-transformers.',
        ),
        click.option("--revision", metavar="REV", help="Branch, tag or commit on the Hub."),
        click.option("--offline", is_flag=True, help="Use only what is on this machine."),
    )


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model to load, and how."""

    name: str = DEFAULT_MODEL
    revision: str | None = None
    offline: bool = False
    threads: int | None = None
    dtype: DtypeChoice | None = None
    backend: Backend = "auto"

    def load(self, loader: Callable[..., Loaded], max_seq_length: int | None) -> Loaded:
        """Call `Embedder.load` or `Reranker.load` with these options."""
        return loader(
            self.name,
            revision=self.revision,
            local_files_only=self.offline,
            threads=self.threads,
            dtype=self.dtype,
            backend=self.backend,
            max_seq_length=max_seq_length,
        )


def model_options(command: Command, default: str = DEFAULT_MODEL) -> Any:
    """Add the options of which model to load, and how; the command gets them as `choice`, a ModelChoice.

    >>> @click.command()
    ... @model_options
    ... def run(choice): ...
    >>> [parameter.name for parameter in run.params]
    ['model', 'revision', 'offline', 'threads', 'dtype', 'backend']
    """

    @wraps(command)
    def with_choice(
        *args: Any,
        model: str,
        revision: str | None,
        offline: bool,
        threads: int | None,
        dtype: DtypeChoice | None,
        backend: Backend,
        **own: Any,
    ) -> Any:
        return command(*args, choice=ModelChoice(model, revision, offline, threads, dtype, backend), **own)

    options = (
        *source_options(default),
        click.option(
            "--threads", type=click.IntRange(min=1), metavar="N", help="Threads; default: all available cores."
        ),
        click.option(
            "--dtype",
            type=click.Choice(get_args(DtypeChoice)),
            help="Type of the numbers; default: float32, or as stored. auto: the faster of float32 and bfloat16.",
        ),
        click.option(
            "--backend", type=click.Choice(get_args(Backend)), default="auto", help="Implementation; auto: the fastest."
        ),
    )
    wrapped: Any = with_choice
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def load_model(choice: ModelChoice, max_seq_length: int | None = None, *, keep_params: bool = False) -> "Embedder":
    """Load the model that the options name; `keep_params` is for commands that need its weights."""
    from minembed.models.embedder import Embedder

    return choice.load(partial(Embedder.load, keep_params=keep_params), max_seq_length)
