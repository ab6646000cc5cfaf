"""The rows of an index, in immutable blocks: a search sees the index as it was before an `add`, or after it.

New rows become a new block.  Blocks of similar size are merged, so there are few blocks, and a row is copied a
logarithmic number of times.  A removed row is only marked, and dropped when half of its block is removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import get_args

import numpy as np

from minembed.search.index_marks import alive_rows, select
from minembed.search.quantized import QuantizedCorpus, quantize_corpus
from minembed.search.soundness import IN_MEMORY, Sound
from minembed.search.topk import pieces
from minembed.types import Array, IndexPrecision

Id = str | int
Record = tuple[Id, str | None, str | None]  # an id, a text, and fields as JSON
SMALL = 1024  # rows: blocks up to this size are always merged with the next
PIECE = 1 << 16  # rows that are packed or written at a time
PRECISIONS = get_args(IndexPrecision)
Coded = QuantizedCorpus | Array | None


@dataclass(frozen=True, slots=True)
class Block:
    """Some rows of an index, in order."""

    vectors: Array  # (n, D) float32
    coded: Coded  # scanned instead of the vectors: int8 rows, bits (n, words) uint64, or None
    records: Sequence[Record]  # n
    serials: Array | range  # (n,) int64, rising: numbers of rows that never change
    alive: Array | None = None  # (n,) bool, if some rows are removed
    sound: Sound = IN_MEMORY

    @property
    def count(self) -> int:
        """How many rows are not removed."""
        return len(self.vectors) if self.alive is None else int(np.count_nonzero(self.alive))

    def rows(self) -> Iterator[Array]:  # of (n,) int64
        """The rows that are not removed, in pieces."""
        for start, end in pieces(len(self.vectors), PIECE):
            some = np.arange(start, end)
            yield some if self.alive is None else some[self.alive[start:end]]

    def serials_of(self, rows: Array) -> Array:  # (m,) -> (m,) int64
        """The serial numbers of these rows."""
        return rows + self.serials.start if isinstance(self.serials, range) else self.serials[rows]

    def rows_of(self, serials: Array) -> Array:  # (m,) -> (m,) int64
        """The rows with these serial numbers, all of which must be there."""
        if isinstance(self.serials, range):
            return serials - self.serials.start
        return np.searchsorted(self.serials, serials)


def code(vectors: Array, precision: IndexPrecision) -> Coded:  # (n, D) float32
    """Make what a search with this precision scans instead of the vectors.

    >>> code(np.float32([[1, -1, 1]]), "binary").tolist() == [[0b10100000]]  # the first byte of 8
    True
    """
    if precision == "int8":
        return quantize_corpus(vectors)
    return pack_bits(vectors) if precision == "binary" else None


def pack_bits(vectors: Array) -> Array:  # (n, D) -> (n, D / 64 rounded up) uint64
    """Keep one bit per number: whether it is positive.

    >>> pack_bits(np.ones((2, 65))).shape
    (2, 2)
    """
    n, D = vectors.shape
    bits = np.zeros((n, -(-D // 64) * 8), np.uint8)
    for start, end in pieces(n, PIECE):
        bits[start:end, : -(-D // 8)] = np.packbits(vectors[start:end] > 0, axis=1)
    return bits.view(np.uint64)


def coded_rows(coded: Coded, rows: Array | slice) -> Coded:
    """These rows of the result of `code`.

    >>> coded_rows(np.array([[7], [8]]), slice(1, 2))
    array([[8]])
    """
    if isinstance(coded, QuantizedCorpus):
        return QuantizedCorpus(*(getattr(coded, field.name)[rows] for field in fields(coded)))
    return None if coded is None else coded[rows]


def merge(blocks: Sequence[Block]) -> Block:
    """Merge blocks, without the rows that are removed.

    >>> one = Block(np.ones((1, 2), np.float32), None, [("a", None, None)], np.array([0]))
    >>> merge([one, replace(one, serials=np.array([1]), records=[("b", None, None)])]).records
    [('a', None, None), ('b', None, None)]
    """
    for block in blocks:
        block.sound.everything()
    parts = [(block, alive_rows(block.alive, len(block.vectors))) for block in blocks]
    codes = [coded_rows(block.coded, rows) for block, rows in parts]
    coded: Coded = None
    if isinstance(codes[0], QuantizedCorpus):
        columns = (np.concatenate([getattr(part, field.name) for part in codes]) for field in fields(codes[0]))
        coded = QuantizedCorpus(*columns)
    elif codes[0] is not None:
        coded = np.concatenate([part for part in codes if isinstance(part, np.ndarray)])
    return Block(
        np.concatenate([block.vectors[rows] for block, rows in parts]),
        coded,
        [block.records[row] for block, rows in parts for row in rows.tolist()],
        np.concatenate([block.serials_of(rows) for block, rows in parts]),
    )


def append(blocks: tuple[Block, ...], block: Block) -> tuple[Block, ...]:
    """Add a block at the end, and merge blocks of similar size.

    >>> one = Block(np.ones((1, 2), np.float32), None, [("a", None, None)], np.array([0]))
    >>> [len(block.vectors) for block in append((one,), replace(one, serials=np.array([1])))]
    [2]
    """
    last, size = len(blocks), len(block.vectors)
    while last and len(blocks[last - 1].vectors) <= max(SMALL, 2 * size):
        last -= 1
        size += blocks[last].count
    return (*blocks[:last], block if last == len(blocks) else merge([*blocks[last:], block]))


def remove(blocks: tuple[Block, ...], serials: Array) -> tuple[Block, ...]:  # (m,) rising
    """Remove the rows with these serial numbers, all of which must be there.

    >>> one = Block(np.ones((3, 2), np.float32), None, [(name, None, None) for name in "abc"], np.arange(3))
    >>> [block.count for block in remove((one,), np.array([1]))]
    [2]
    """
    kept = []
    for block in blocks:
        inside = serials[
            np.searchsorted(serials, block.serials[0]) : np.searchsorted(serials, block.serials[-1], "right")
        ]
        if len(inside):
            alive = np.ones(len(block.vectors), bool) if block.alive is None else block.alive.copy()
            alive[block.rows_of(inside)] = False
            block = replace(block, alive=alive)
            if 2 * block.count <= len(alive) and block.count:
                block = merge([block])
        if block.count:
            kept.append(block)
    return tuple(kept)


def locate(blocks: Sequence[Block], positions: Array) -> Iterator[tuple[Block, Array, Array]]:  # (m,)
    """Find rows by their position among those that are not removed: (block, indices of positions, rows of the block).

    >>> one = Block(np.ones((2, 2), np.float32), None, [("a", "A", None), ("b", "B", None)], np.arange(2))
    >>> [(which.tolist(), rows.tolist()) for _, which, rows in locate([one, one], np.array([3, 0]))]
    [([1], [0]), ([0], [1])]
    """
    start = 0
    for block in blocks:
        end = start + block.count
        which = np.flatnonzero((positions >= start) & (positions < end))
        if len(which):
            inside = positions[which] - start
            yield block, which, inside if block.alive is None else select(block.alive, inside)
        start = end


def vectors_of(blocks: Sequence[Block], dimension: int) -> Array:  # -> (N, D) float32
    """The vectors of all rows that are not removed, read-only; those of a single block are not copied.

    >>> vectors_of([Block(np.ones((1, 2), np.float32), None, [("a", None, None)], np.array([0]))], 2)
    array([[1., 1.]], dtype=float32)
    """
    parts = [np.zeros((0, dimension), np.float32)]
    for block in blocks:
        block.sound.vectors()
        parts.append(block.vectors if block.alive is None else block.vectors[block.alive])
    found = (parts[1] if len(parts) == 2 else np.concatenate(parts)).view()
    found.flags.writeable = False
    return found


def records_of(blocks: Sequence[Block], positions: Array | None = None) -> list[Record]:  # (m,)
    """The ids, texts and fields at these positions, each read once; of all rows in order if `positions` is None.

    >>> one = Block(np.ones((2, 2), np.float32), None, [("a", "A", None), ("b", "B", None)], np.arange(2))
    >>> records_of([one], np.array([1, 0, 1]))
    [('b', 'B', None), ('a', 'A', None), ('b', 'B', None)]
    """
    if positions is None:
        positions = np.arange(sum(block.count for block in blocks))
    different, again = np.unique(positions, return_inverse=True)
    found: list[Record] = [("", None, None)] * len(different)
    for block, which, rows in locate(blocks, different):
        for i, row in zip(which.tolist(), rows.tolist(), strict=True):
            found[i] = block.records[row]
    return [found[i] for i in again.tolist()]
