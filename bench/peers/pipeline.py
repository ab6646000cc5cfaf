"""The code of a careful user around a graph runtime: tokenise once, sort, pad, run, pool, restore the order.

All peers that take padded rectangles share this, so that they differ only in the runtime.
"""

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from peers.folder import load_tokenizer

Ids = list[list[int]]  # the token ids of some texts


def pad(ids: Ids, length: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Token ids and mask as rectangles: (B, N) int64 each, as long as the longest text, and at least `length`."""
    padded = np.zeros((len(ids), max(length, *map(len, ids))), np.int64)
    mask = np.zeros_like(padded)
    for row, tokens in enumerate(ids):
        padded[row, : len(tokens)] = tokens
        mask[row, : len(tokens)] = 1
    return padded, mask


def mean_and_normalise(hidden: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Mean over each text's own tokens, then length 1: (B, N, D), (B, N) -> (B, D)."""
    weights = mask.astype(np.float32)
    # A matrix product in place of (hidden * mask).sum(1): the same sum without a second array as large as the first.
    sums = (weights[:, None, :] @ hidden)[:, 0, :]
    means = sums / weights.sum(axis=1, keepdims=True)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


class Pipeline:
    """A contestant around a runtime: a subclass gives `run`.

    `batch` texts go together, of like token count where `sort`, else as they come; `streams` batches are under way at
    a time, with `threads // streams` threads each.
    """

    libraries: tuple[str, ...] = ()

    def __init__(self, folder: Path, threads: int, options: dict):
        self.tokenizer = load_tokenizer(folder)
        self.batch, self.sort = options.get("batch", 1), options.get("sort", True)
        self.streams = min(options.get("streams", 1), threads)
        self.threads = options.get("threads", threads) // self.streams  # of each stream
        self.pool = ThreadPoolExecutor(self.streams) if self.streams > 1 else None

    def encode(self, texts: list[str]) -> np.ndarray:
        ids = self.tokenise(texts)
        blocks = self.places(ids)
        vectors = list(self.run_all([[ids[i] for i in block] for block in blocks]))
        output = np.empty((len(ids), vectors[0].shape[1]), np.float32)
        for block, rows in zip(blocks, vectors, strict=True):
            output[block] = rows
        return output

    def places(self, ids: Ids) -> list[list[int]]:
        """The batches, as indices of texts."""
        order = sorted(range(len(ids)), key=lambda i: -len(ids[i])) if self.sort else range(len(ids))
        return [list(order[start : start + self.batch]) for start in range(0, len(ids), self.batch)]

    def tokenise(self, texts: list[str]) -> Ids:
        """All texts in one call; a single one without the tokeniser's threads."""
        if len(texts) == 1:
            return [self.tokenizer.encode(texts[0]).ids]
        return [encoding.ids for encoding in self.tokenizer.encode_batch(texts)]

    def run_all(self, blocks: Sequence[Ids]) -> Iterable[np.ndarray]:
        """The vectors of each block, in their order."""
        return self.pool.map(self.run, blocks) if self.pool and len(blocks) > 1 else map(self.run, blocks)

    def run(self, ids: Ids) -> np.ndarray:
        """One padded batch: B texts -> (B, D)."""
        raise NotImplementedError
