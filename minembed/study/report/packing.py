"""Arrays in few bytes, compressed and in base64, which can hold no markup."""

import base64
import json
import zlib
from typing import Any

import numpy as np

from minembed.types import Array

STEPS = 32_000  # of a matrix's largest number, either way
FEWEST = 4  # keys that are kept of a token's attention, at least


def block(data: bytes) -> str:
    """Compress and write in base64.

    >>> zlib.decompress(base64.b64decode(block(b"a" * 100))) == b"a" * 100
    True
    """
    return base64.b64encode(zlib.compress(data, 9)).decode()


def facts_block(facts: dict[str, Any]) -> str:
    """Facts as JSON; lone surrogates of strange texts become U+FFFD."""
    return block(json.dumps(facts, ensure_ascii=False).encode("utf-8", "replace"))


def steps_of(matrix: Array) -> tuple[str, float]:
    """A matrix as whole steps, and how long a step is.

    >>> steps_of(np.float64([[1, -0.5]]))[1]
    3.125e-05
    """
    step = float(np.abs(matrix).max(initial=0)) / STEPS or 1.0
    return block(np.rint(matrix / step).astype("<i2").tobytes()), step


def shares_of(probabilities: Array, most: int | None) -> tuple[str, str]:  # (L, H, N, N) -> values, keys
    """Attention as bytes, the roots of the shares: of all keys, or of the `most` largest with their places.

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
    """Attention in at most `room` signs, with as many keys a token as fit: values, keys, how many (0: all).

    Raises ValueError where even FEWEST do not fit.

    >>> fitted_shares(np.full((1, 1, 2, 2), 0.5, np.float32), 1000)[2]
    0
    """
    n = probabilities.shape[-1]
    if probabilities.size <= 3 * room:  # else it is hopeless, and slow to find out
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
    raise ValueError(f"attention of {n} tokens does not fit into {room} signs")
