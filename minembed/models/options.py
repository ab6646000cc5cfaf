"""The options of `Embedder.encode`, checked once; names and meanings as in sentence-transformers."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypedDict, get_args

from minembed.errors import InputError, InputTypeError
from minembed.runtime.checks import check_whole
from minembed.types import Array, Errors, OutputValue, Precision, Truncation

CHOICES: dict[str, tuple[str, ...]] = {
    "precision": get_args(Precision),
    "output_value": get_args(OutputValue),
    "truncation": get_args(Truncation),
    "errors": get_args(Errors),
}

TASKS = ("query", "document")  # prompts that every checkpoint has; empty if its files do not give them
OF_VECTORS = ("normalize_embeddings", "truncate_dim", "precision")  # without effect on hidden states


class EncodeOptions(TypedDict, total=False):
    """The options that `encode_query`, `encode_document` and `stream` take as well; `encode` explains them."""

    normalize_embeddings: bool | None
    prompt_name: str | None
    prompt: str | None
    truncate_dim: int | None
    precision: Precision
    ranges: Array | None
    calibration_embeddings: Array | None
    truncation: Truncation
    errors: Errors
    show_progress_bar: bool | None
    batch_size: int | None


class AllOptions(EncodeOptions, total=False):
    """The options of `encode` itself."""

    output_value: OutputValue
    device: Literal["cpu"] | None
    convert_to_numpy: Literal[True]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of one call of `encode`.

    Raises InputError for an unknown value, InputTypeError for values that only other libraries offer.

    >>> Options(truncation="warn").precision
    'float32'
    """

    normalize_embeddings: bool | None = None
    prompt_name: str | None = None
    prompt: str | None = None
    truncate_dim: int | None = None
    precision: Precision = "float32"
    ranges: Array | None = None
    calibration_embeddings: Array | None = None
    output_value: OutputValue = "sentence_embedding"
    truncation: Truncation = "warn"
    errors: Errors = "replace"
    show_progress_bar: bool | None = None
    batch_size: int | None = None
    device: Literal["cpu"] | None = "cpu"
    convert_to_numpy: Literal[True] = True

    def __post_init__(self) -> None:
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name} must be one of {', '.join(choices)}; not {getattr(self, name)!r}")
        for name in ("batch_size", "truncate_dim"):
            size = getattr(self, name)
            if size is not None:
                check_whole(name, size, also=", or None")
        for name in ("prompt", "prompt_name"):
            text = getattr(self, name)
            if text is not None and not isinstance(text, str):
                raise InputTypeError(f"{name} must be a str, not {type(text).__name__}")
        if self.output_value == "token_embeddings":
            for name in OF_VECTORS:
                if getattr(self, name) not in (None, False, "float32"):
                    raise InputError(
                        f"{name}= is of the vectors of texts: leave it out with output_value='token_embeddings'"
                    )
        if self.device not in ("cpu", None):
            raise InputTypeError(f"device {self.device!r}: minembed computes on the CPU; omit the option")
        if self.convert_to_numpy is not True:
            raise InputTypeError("minembed returns NumPy arrays; leave convert_to_numpy out and convert the result")

    @property
    def needs_own_ranges(self) -> bool:
        """Whether the ranges of int8 have to be taken from the vectors themselves."""
        return self.precision in ("int8", "uint8") and self.ranges is None and self.calibration_embeddings is None


def check_prompt_name(name: str, prompts: Iterable[str]) -> None:
    """Refuse the name of a prompt that a checkpoint with these prompts does not have.

    >>> check_prompt_name("query", [])
    >>> check_prompt_name("passage", ["title"])
    Traceback (most recent call last):
    minembed.errors.InputError: prompt_name 'passage' is not among the checkpoint's prompts: document, query, title
    """
    known = {*TASKS, *prompts}
    if name not in known:
        raise InputError(f"prompt_name {name!r} is not among the checkpoint's prompts: {', '.join(sorted(known))}")
