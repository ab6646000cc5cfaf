"""Lists of the rows that could be among the best of a query, allocated by Python; candidates.py describes them."""

from dataclasses import dataclass

import numpy as np

from minembed.kernels.encoder.packing import aligned
from minembed.kernels.tiles.shapes import PANEL, TILE_ROWS
from minembed.kernels.vectors.instruction_sets import LANES
from minembed.transformer.quantization import pad_to
from minembed.types import Array

TOTAL_ENTRIES = 1 << 21
ROWS = 8 * TILE_ROWS  # of the corpus, which stay in the second-level cache while all queries are compared
ROW_TERMS = 5  # numbers per row
DONE, FULL, UNSAFE = range(3)  # reasons why a scan returns


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of all threads (kernels/topk/candidates.py); their contents change."""

    counts: Array  # (threads, Q) int64
    lows: Array  # (threads, Q * capacity) float32
    highs: Array  # (threads, Q * capacity) float32
    indices: Array  # (threads, Q * capacity) int64
    thresholds: Array  # (threads, Q, padded to panels) float32
    marks: Array  # (threads, Q) int64
    rooms: list[Array]  # of each thread: float32
    capacity: int

    @classmethod
    def make(cls, threads: int, number: int, k: int) -> "Lists":
        """Empty lists, with some million entries in all if that is enough."""
        capacity = 2 * k + max(3 * ROWS, min(8 * k + 4096, TOTAL_ENTRIES // number))
        thresholds = np.full((threads, pad_to(number, PANEL)), np.inf, np.float32)
        thresholds[:, :number] = -np.inf
        size = (threads, number * capacity)
        room = 2 * PANEL + TILE_ROWS * PANEL + ROW_TERMS * ROWS + 2 * LANES
        return cls(
            np.zeros((threads, number), np.int64), np.empty(size, np.float32), np.empty(size, np.float32),
            np.empty(size, np.int64), thresholds,
            np.full((threads, number), min(max(2 * k, 64), capacity - ROWS)),
            [aligned(room, np.float32) for _ in range(threads)], capacity,
        )  # fmt: skip

    def of(self, thread: int) -> tuple[Array, ...]:
        """The lists of a thread, as arguments of a kernel."""
        every = self.counts, self.lows, self.highs, self.indices, self.thresholds, self.marks
        return tuple(x[thread] for x in every)


@dataclass(frozen=True, slots=True)
class Span:
    """Rows that threads share, or that one thread takes alone."""

    begin: int
    end: int
    turn: Array  # (1,) int64: the number of rows taken

    @classmethod
    def of(cls, begin: int, end: int) -> "Span":
        """Rows from `begin` to `end`, none taken yet."""
        return cls(begin, end, np.zeros(1, np.int64))
