"""Convert float32 vectors to another precision, whether they were computed here or by a server."""

import numpy as np  # noqa: F401 (the example)

from minembed.errors import InputError, MinembedWarning, warn
from minembed.models.options import Options
from minembed.transformer.vectors import quantize_embeddings
from minembed.types import Array


def check_ranges(options: Options, *, alone: bool = False, streamed: bool = False) -> None:
    """Refuse int8 without ranges if the vectors cannot give them: a single vector, or a stream.

    >>> check_ranges(Options(precision="int8"), alone=True)
    Traceback (most recent call last):
    minembed.errors.InputError: one vector gives int8 no ranges: give ranges= or calibration_embeddings=
    """
    if options.needs_own_ranges and alone:
        raise InputError(f"one vector gives {options.precision} no ranges: give ranges= or calibration_embeddings=")
    if options.needs_own_ranges and streamed:
        raise InputError(f"stream with precision {options.precision!r} needs ranges= or calibration_embeddings=")


def quantized(vectors: Array, options: Options) -> Array:  # (N, D) float32
    """The vectors in the requested precision; int8 without ranges takes them from these vectors, with a warning.

    >>> quantized(np.float32([[0.5, -1.0] * 4]), Options(precision="ubinary")).tolist()
    [[170]]
    """
    if options.needs_own_ranges and len(vectors) > 1:
        message = f"{options.precision} takes its ranges from these {len(vectors)} texts: give ranges= to fix them"
        warn(message, MinembedWarning)
    if not len(vectors) and options.needs_own_ranges:
        return vectors.astype(options.precision)
    return quantize_embeddings(vectors, options.precision, options.ranges, options.calibration_embeddings)
