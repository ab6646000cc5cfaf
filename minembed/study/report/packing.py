"""Compact arrays: compressed, in base64, which cannot contain markup."""

import base64
import json
import zlib
from typing import Any

import numpy as np

from minembed.types import Array

STEPS = 32_000  # steps from 0 to a matrix's largest number
FEWEST = 4  # keys that are kept for each token's attention, at least


def block(data: bytes) -> str:
    """Compress and encode in base64.

    >>> zlib.decompress(base64.b64decode(block(b"a" * 100))) == b"a" * 100
    True
    """
    return base64.b64encode(zlib.compress(data, 9)).decode()


def facts_block(facts: dict[str, Any]) -> str:
    """Encode facts as JSON; lone surrogates in texts become U+FFFD."""
    return block(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))


def steps_of(matrix: Array) -> tuple[str, float]:
    """Quantize a matrix to whole steps; returns these and the size of a step.

    >>> steps_of(np.float64([[1, -0.5]]))[1]
    3.125e-05
    """
    step = float(np.abs(matrix).max(initial=0)) / STEPS or 1.0
    return block(np.rint(matrix / step).astype("<i2").tobytes()), step


def shares_of(probabilities: Array, most: int | None) -> tuple[str, str]:  # (L, H, N, N) -> values, keys
    """Attention as bytes, the square roots of the shares: for all keys, or for the `most` largest with their indices.

    >>> values, keys = shares_of(np.float32([[[[0.25, 0.75], [1, 0]]]]), None)
    >>> list(zlib.decompress(base64.b64decode(values))), keys
    ([128, 221, 255, 0], '')
    """
    roots = np.rint(255 * np.sqrt(probabilities)).astype(np.uint8)
    if most is None:
        return block(roots.tobytes()), ""
    keys = np.argpartition(-probabilities, most - 1, axis=-1)[..., :most]
    values = np.take_along_axis(roots, keys, axis=-1)
    return block(values.tobytes()), block(keys.astype("<u2").tobytes())


def fitted_shares(probabilities: Array, room: int) -> tuple[str, str, int]:
    """Attention in at most `room` characters, with as many keys per token as fit: values, keys, number (0: all).

    Raises ValueError if even FEWEST do not fit.

    >>> fitted_shares(np.full((1, 1, 2, 2), 0.5, np.float32), 1000)[2]
    0
    """
    n = probabilities.shape[-1]
    if probabilities.size <= 3 * room:  # more would never fit, and be slow to try
        values, keys = shares_of(probabilities, None)
        if len(values) <= room:
            return values, keys, 0
    most = min(n - 1, 32)
    while most >= FEWEST:
        if 2 * probabilities.size // n * most <= 3 * room:
            values, keys = shares_of(probabilities, most)
            if len(values) + len(keys) <= room:
                return values, keys, most
        most //= 2
    raise ValueError(f"attention of {n} tokens does not fit into {room} characters")
