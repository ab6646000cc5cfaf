"""How texts are batched: windows of an iterable, and chunks of texts of similar length within a token budget.

A chunk goes through all layers on one thread, so its activations should stay in that core's cache; it should also have
enough rows for the matrix products to run at full speed.  Neither changes a bit of the result.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

import numpy as np

from minembed.types import Array

WINDOW = 4096  # texts that are tokenized and sorted together, which limits memory on endless input
CHUNK_TOKENS = 1024
SMALLEST_CHUNK = 64  # tokens: small inputs are not split further


def windows(texts: Iterable[Any], prompt: str) -> Iterator[tuple[int, list[Any]]]:
    """Split an iterable into lists of at most WINDOW texts, each with the prompt in front.

    >>> list(windows(iter(["a", "b"]), "q: "))
    [(0, ['q: a', 'q: b'])]
    """
    iterator, start = iter(texts), 0
    for first in iterator:
        window = list(chain([first], islice(iterator, WINDOW - 1)))
        yield start, [prompt + text if prompt and isinstance(text, str) else text for text in window]
        start += len(window)


def plan(lengths: Array, threads: int, batch_size: int | None) -> list[Array]:  # (B,) -> indices of texts, by chunk
    """Group texts by length, longest first, within the token budget (a single text may exceed it).

    >>> [chunk.tolist() for chunk in plan(np.array([3, 500, 4, 200]), threads=2, batch_size=None)]
    [[1], [3, 2, 0]]
    """
    budget = max(SMALLEST_CHUNK, min(CHUNK_TOKENS, -(-int(lengths.sum()) // threads)))
    order = np.argsort(-lengths, kind="stable")
    chunks: list[Array] = []
    begin = total = 0
    for at, length in enumerate(lengths[order].tolist()):
        if at > begin and (total + length > budget or at - begin == batch_size):
            chunks.append(order[begin:at])
            begin, total = at, 0
        total += length
    if begin < len(order):
        chunks.append(order[begin:])
    return chunks
