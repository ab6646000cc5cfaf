"""Every error and warning of the package.

A message says what is wrong, where (file, field, index or limit) and what to do about it. Each class is also
the built-in a caller would expect, so `except ValueError` and friends keep working.
"""

import sys
import warnings
from typing import TypeVar


class MinembedError(Exception):
    """Base of every error raised on purpose by minembed.

    >>> issubclass(WeightsError, MinembedError) and issubclass(WeightsError, ValueError)
    True
    """

    text: int | None = None  # which of the texts that were given is at fault, where the message says texts[...]
    about: str = ""  # the rest of that message


def of_text(kind: "type[Kind]", text: int, about: str) -> "Kind":
    """An error of one of the texts that were given; who knows where they came from can say so.

    >>> error = of_text(InputError, 3, "is empty")
    >>> str(error), error.text
    ('texts[3] is empty', 3)
    """
    error = kind(f"texts[{text}] {about}")
    error.text, error.about = text, about
    return error


Kind = TypeVar("Kind", bound=MinembedError)


class ConfigError(MinembedError, ValueError):
    """A configuration file or value is malformed or contradicts itself."""


class UnsupportedModelError(MinembedError, ValueError):
    """The checkpoint asks for mathematics that minembed does not compute; it is refused, never approximated."""


class WeightsError(MinembedError, ValueError):
    """A weights file is damaged, or its tensors do not fit the architecture."""


class SourceError(MinembedError, OSError):
    """A model could not be found or fetched."""


class ServerError(MinembedError, OSError):
    """A server could not be reached, refused, or did not answer as minembed's does."""


class TokenizationError(MinembedError, ValueError):
    """A tokenizer file is unusable, or a text could not be turned into tokens."""


class InputError(MinembedError, ValueError):
    """An argument has an impossible value."""


class InputTypeError(InputError, TypeError):
    """An argument has the wrong type."""


class InputAttributeError(InputError, AttributeError):
    """A name that the object does not have, or does not let be changed."""


class InputKeyError(InputError, KeyError):
    """A name that a mapping does not have.

    >>> str(InputKeyError("'a' is not there"))
    "'a' is not there"
    """

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""  # KeyError would put the whole message in quotes


class NumericalError(MinembedError, ArithmeticError):
    """A result would hold NaN or infinity."""


class BackendError(MinembedError, RuntimeError):
    """A faster tier cannot be trusted on this machine."""


class MissingExtraError(MinembedError, ImportError):
    """An optional package is needed; the message names the extra that brings it."""


class UnsupportedCallError(MinembedError, NotImplementedError):
    """A call of another library's interface that minembed does not answer; the message says what to write instead."""


class UnsupportedAttributeError(UnsupportedCallError, AttributeError):
    """An attribute of such an interface: hasattr says that it is not there."""


class MissingHeadError(MinembedError, LookupError):
    """The checkpoint lacks the head that a call needs."""


class IndexFileError(MinembedError, ValueError):
    """A saved index is damaged."""


class TrainingError(MinembedError, RuntimeError):
    """Training cannot go on."""


class MinembedWarning(UserWarning):
    """Base of every warning issued by minembed."""


class TruncationWarning(MinembedWarning):
    """Texts were longer than the model reads."""


class BackendWarning(MinembedWarning):
    """A faster tier could not be used."""


class ModelWarning(MinembedWarning):
    """A checkpoint left something open and a default was taken."""


def warn(message: str, category: type[MinembedWarning]) -> None:
    """Issue a warning that points at the line outside this package which called into it.

    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     warn("cut", TruncationWarning)
    >>> caught[0].category.__name__
    'TruncationWarning'
    """
    level, frame = 1, sys._getframe()
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "minembed":
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
