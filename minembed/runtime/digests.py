"""Digests of more rows than fit into memory: kept on disk in sorted runs, and compared one range at a time.

Digests are uniformly distributed, so the number of rows in a range is proportional to its width.  Of equal rows, only
one per run is written to the disk, so no range gets too large, however often a row is repeated.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np

from minembed.types import Array

RUN = 1 << 18  # rows that are sorted or compared at a time
BINS = 1 << 10  # ranges of digests whose positions in a run are kept
Repeated = Callable[[Array, Array], None]  # rows, and the row that each repeats


def digests_of(contents: Iterable[bytes]) -> Array:  # -> (n, 2) uint64
    """The digests of contents, 128 bits each.

    >>> one, other, same = digests_of([b"a", b"b", b"a"]).tolist()
    >>> one == same, one == other
    (True, False)
    """
    joined = b"".join(hashlib.blake2b(content, digest_size=16).digest() for content in contents)
    return np.frombuffer(joined, np.uint64).reshape(-1, 2)


class Digests:
    """Digests of rows, added in the order of the rows, in a temporary file.

    >>> from tempfile import TemporaryFile
    >>> found = []
    >>> with TemporaryFile() as file:
    ...     digests = Digests(file, lambda rows, first: found.append((rows.tolist(), first.tolist())))
    ...     digests.add(digests_of([b"a", b"b"]), np.array([3, 4]))
    ...     digests.add(digests_of([b"a"]), np.array([5]))
    ...     digests.compare()
    >>> found
    [([5], [3])]
    """

    def __init__(self, file: BinaryIO, repeated: Repeated) -> None:
        """`repeated` gets rows and the row that each repeats, unordered; it may get a row more than once."""
        self._file, self._repeated = file, repeated
        self._waiting: list[Array] = []  # (n, 3) uint64: digests and rows
        self._room, self._bounds = RUN, list[Array]()  # for each run, where its bins begin in the file

    def add(self, digests: Array, rows: Array) -> None:  # (n, 2) uint64, (n,) rising
        """Add the digests of these rows."""
        some = np.column_stack([digests, rows.astype(np.uint64)])
        while len(some):
            self._waiting.append(some[: self._room])
            self._room -= len(self._waiting[-1])
            some = some[len(self._waiting[-1]) :]
            if not self._room:
                self._write_run()

    def compare(self) -> None:
        """Find all rows that repeat an earlier one."""
        for found in self.ranges():
            _without_repeats(found, self._repeated)

    def ranges(self) -> Iterator[Array]:  # of (n, 3) uint64
        """Digests and rows by rising digest, range by range; of equal digests, the earlier row first."""
        for (found,) in ranges_of([self]):
            yield found

    def _write_run(self) -> None:
        if not self._waiting:
            return
        run = _without_repeats(_sorted(np.concatenate(self._waiting)), self._repeated)
        start = self._file.seek(0, 2) // 24
        self._file.write(np.ascontiguousarray(run).data.cast("B"))
        edges = np.arange(BINS, dtype=np.uint64) << np.uint64(54)
        self._bounds.append(start + np.append(np.searchsorted(run[:, 0], edges), len(run)))
        self._waiting, self._room = [], RUN

    def bins(self) -> Array:  # -> (BINS,) int64
        """The number of rows in each range of digests."""
        self._write_run()
        return sum((np.diff(bounds) for bounds in self._bounds), np.zeros(BINS, np.int64))

    def between(self, first: int, end: int) -> Array:  # -> (n, 3) uint64
        """The digests and rows of the ranges from `first` up to `end`, by rising digest and row."""
        parts = [np.zeros((0, 3), np.uint64)]
        for bounds in self._bounds:
            begin, stop = int(bounds[first]), int(bounds[end])
            self._file.seek(24 * begin)
            content = self._file.read(24 * (stop - begin))
            parts.append(np.frombuffer(content, np.uint64).reshape(-1, 3))
        return _sorted(np.concatenate(parts))


def ranges_of(several: Sequence[Digests]) -> Iterator[list[Array]]:  # of (n, 3) uint64 each
    """Go through several sets of digests together, range by range.

    >>> list(ranges_of([]))
    []
    """
    counts = [digests.bins() for digests in several]
    total = sum(counts, np.zeros(BINS, np.int64))
    first = 0
    while several and first < BINS:
        end = first + 1
        while end < BINS and total[first : end + 1].sum() <= RUN:
            end += 1
        yield [digests.between(first, end) for digests in several]
        first = end


def rows_in_both(one: Array, other: Array) -> tuple[Array, Array]:  # (n, 3), (m, 3) uint64 -> (k,) int64 twice
    """The rows with equal digests in two parts of `ranges_of`, neither of which contains repeats.

    >>> one, other = (np.column_stack([digests_of(some), [7, 8]]).astype(np.uint64) for some in ([b"a", b"b"],) * 2)
    >>> [rows.tolist() for rows in rows_in_both(one[:1], other)]
    [[7], [7]]
    """
    both = np.concatenate([one, other])
    side = np.repeat([0, 1], [len(one), len(other)])
    order = np.lexsort((side, both[:, 1], both[:, 0]))
    both, side = both[order], side[order]
    at = np.flatnonzero((both[1:, :2] == both[:-1, :2]).all(axis=1) & (side[1:] != side[:-1]))
    return both[at, 2].astype(np.int64), both[at + 1, 2].astype(np.int64)


def _sorted(some: Array) -> Array:  # (n, 3) -> (n, 3)
    return some[np.lexsort((some[:, 2], some[:, 1], some[:, 0]))]


def _without_repeats(some: Array, repeated: Repeated) -> Array:  # (n, 3) sorted -> (m, 3)
    again = (some[1:, :2] == some[:-1, :2]).all(axis=1)
    if not again.any():
        return some
    new = np.append(True, ~again)
    firsts = some[new, 2][np.cumsum(new) - 1]
    repeated(some[~new, 2].astype(np.int64), firsts[~new].astype(np.int64))
    return some[new]
