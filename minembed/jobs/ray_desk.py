"""The shared state of a job's workers on Ray: how often shards were begun, and where a node's weights are."""

import ctypes
import pickle
import time
from collections import Counter
from typing import Any

import numpy as np

from minembed.models.embedder import Embedder
from minembed.types import Array

ALIGNMENT = 64  # bytes, for the vectors that kernels read
PATIENCE = 300.0  # seconds that other workers of a node wait for the one that loads the model
Shared = tuple[bytes, list[tuple[int, int]], Array]  # a pickle, and the places of its arrays in one block


class Desk:
    """A Ray actor that ends with the command.

    >>> desk = Desk()
    >>> desk.begin(7), desk.begin(7), desk.begin(8)
    (1, 2, 1)
    >>> desk.weights("n1"), desk.weights("n1"), desk.offer("n1", ["ref"]), desk.weights("n1")
    ('load', 'wait', None, ['ref'])
    """

    def __init__(self) -> None:
        self._begun = Counter[int]()
        self._weights: dict[str, list[Any]] = {}  # by node: Ray's reference to its copy
        self._loading: dict[str, float] = {}

    def begin(self, number: int) -> int:
        """Note that a worker begins a shard; returns how often that has happened."""
        self._begun[number] += 1
        return self._begun[number]

    def weights(self, node: str) -> Any:
        """The weights of a node, in a list; "load" if the caller should load them, "wait" if another worker does."""
        if node in self._weights:
            return self._weights[node]
        now = time.monotonic()
        if now - self._loading.get(node, -PATIENCE) < PATIENCE:
            return "wait"
        self._loading[node] = now
        return "load"

    def offer(self, node: str, found: list[Any]) -> None:
        """Store the weights of a node for its other workers; an empty list if they are lost, or cannot be shared."""
        self._loading.pop(node, None)
        if found:
            self._weights[node] = found
        else:
            self._weights.pop(node, None)


def packed(model: Embedder) -> Shared:
    """A model as a pickle, and one block with all its arrays.

    >>> packed(model)[2].dtype  # doctest: +SKIP
    dtype('uint8')
    """
    buffers = list[pickle.PickleBuffer]()
    said = pickle.dumps(model, protocol=5, buffer_callback=buffers.append)
    places, end = list[tuple[int, int]](), 0
    for one in buffers:
        end += -end % ALIGNMENT
        places.append((end, one.raw().nbytes))
        end += one.raw().nbytes
    block = np.zeros(end, np.uint8)
    for (start, size), one in zip(places, buffers, strict=True):
        block[start : start + size] = np.frombuffer(one.raw(), np.uint8)
    return said, places, block


def unpacked(shared: Shared) -> Embedder:
    """A model whose arrays are views of the block, which must live as long as the model.

    They are marked as writable, though nothing writes to them: kernels are compiled for writable arrays.

    >>> unpacked(packed(model))  # doctest: +SKIP
    Embedder('all-MiniLM-L6-v2', 384 wide, 256 tokens, float32, numpy)
    """
    said, places, block = shared
    memory = memoryview((ctypes.c_uint8 * len(block)).from_address(block.ctypes.data))
    model: Embedder = pickle.loads(said, buffers=[memory[start : start + size] for start, size in places])
    return model
