"""Write an index from an iterator of rows that need not fit into memory.

The number of rows is known, so every tensor has its place in the file from the beginning, and each piece of rows is
written to all tensors at once.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, NamedTuple

import numpy as np

from minembed.errors import InputError
from minembed.runtime.checksums import Sums, crc32_of, pieces_of
from minembed.runtime.digests import Digests, digests_of
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import staging
from minembed.runtime.safetensors_files import Summed, header_of, size_of
from minembed.search.index_blocks import Id, Record, code
from minembed.search.index_files import SUMS, TEXTS, VECTORS, Facts, is_id, layout
from minembed.search.index_saving import REMEDY, NewPart, check_target, line_of, publish, write_sums
from minembed.search.quantized import QuantizedCorpus
from minembed.types import Array


class Rows(NamedTuple):
    """Some rows of an index: vectors (n, D) float32, and the id, text and fields (as JSON) of each."""

    vectors: Array
    records: Sequence[Record]


def build_on_disk(folder: Path, facts: Facts, count: int, rows: Iterable[Rows]) -> None:
    """Write an index of `count` rows to a folder, completely or not at all, and replace the index that is there.

    Raises InputError for a folder that holds anything else, NaN or infinity, a duplicate id, or another number of rows;
    SourceError if the disk fails.  Then an index that is already there stays.

    >>> from tempfile import TemporaryDirectory
    >>> from minembed.search.index import Index
    >>> with TemporaryDirectory() as folder:
    ...     rows = [Rows(np.eye(2, dtype=np.float32), [("a", "east", None), ("b", "north", None)])]
    ...     build_on_disk(Path(folder) / "index", Facts(2, "cosine", "int8"), 2, rows)
    ...     Index.load(Path(folder) / "index").search([0.0, 1.0], k=1)[0].text
    'north'
    """
    check_target(folder)
    with naming(f"cannot save the index to {folder}", REMEDY), staging(folder) as work:
        staged = work / "data"
        staged.mkdir()
        with TemporaryFile(dir=work) as file:
            ids = Ids(file)
            part = write_part(staged, facts, count, _noted(rows, ids))
            ids.check(staged / TEXTS)
        publish(folder, staged, facts, ids.largest + 1, [part])


def _noted(rows: Iterable[Rows], ids: "Ids") -> Iterator[Rows]:
    for some in rows:
        ids.note([name for name, _, _ in some.records])
        yield some


def write_part(staged: Path, facts: Facts, count: int, rows: Iterable[Rows]) -> NewPart:
    """Write the files of `count` rows into a folder, as the rows arrive.

    Raises InputError for NaN or infinity, and for another number of rows.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     rows = [Rows(np.eye(2, dtype=np.float32), [("a", "east", None), ("b", "north", None)])]
    ...     write_part(Path(folder), Facts(2, "cosine", "int8"), 2, rows).count
    2
    """
    sums = {TEXTS: Sums(), VECTORS: Sums()}
    with (staged / TEXTS).open("xb") as raw, (staged / VECTORS).open("xb") as vectors:
        writer = _Writer(Summed(raw, sums=sums[TEXTS]), _Tensors.of(vectors, facts, count), count)
        for some in rows:
            writer.add(facts, some)
        writer.close()
    read = _facts_of(staged / VECTORS, sums[VECTORS])
    return NewPart(count, {TEXTS: writer.texts.facts(), VECTORS: read, SUMS: write_sums(staged / SUMS, sums)})


def _facts_of(path: Path, sums: Sums) -> dict[str, int]:
    """The size and CRC-32 of a file that was not written in order."""

    def noted(file: BinaryIO) -> Iterator[bytes]:
        for piece in pieces_of(file):
            sums.add(piece)
            yield piece

    with path.open("rb") as file:
        return {"crc32": crc32_of(noted(file)), "bytes": file.tell()}


@dataclass(frozen=True, slots=True)
class _Tensors:
    """A safetensors file whose tensors are filled a few rows at a time."""

    file: BinaryIO
    starts: dict[str, int]  # where each tensor begins
    row_bytes: dict[str, int]

    @staticmethod
    def of(file: BinaryIO, facts: Facts, count: int) -> "_Tensors":
        tensors = layout(count, facts.dimension, facts.precision)
        header = header_of(tensors)
        starts, sizes, end = dict[str, int](), dict[str, int](), len(header)
        for name, (dtype, shape) in tensors.items():
            starts[name], sizes[name] = end, size_of(dtype, shape[1:])
            end += size_of(dtype, shape)
        file.write(header)
        file.truncate(end)
        return _Tensors(file, starts, sizes)

    def write(self, name: str, row: int, values: Array) -> None:
        self.file.seek(self.starts[name] + row * self.row_bytes[name])
        if values.size:
            self.file.write(np.ascontiguousarray(values, values.dtype.newbyteorder("<")).data.cast("B"))


class Ids:
    """The ids of rows that arrive in order: finds duplicates, and the largest number."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` is an empty temporary file for digests."""
        self.largest, self._rows, self._again = -1, 0, list[tuple[int, int]]()
        self._digests = Digests(file, self._repeated)

    def note(self, ids: Sequence[Id]) -> None:
        """Take the ids of the next rows; raises InputError for an invalid one."""
        for i, name in enumerate(ids, self._rows + 1):
            if not is_id(name):
                raise InputError(f"row {i}: {name!r} is no id: a str, or a whole number of 64 bits")
        texts = (f"{type(name).__name__} {name}".encode("utf-8", "surrogatepass") for name in ids)
        self._digests.add(digests_of(texts), np.arange(self._rows, self._rows + len(ids)))
        self.largest = max([self.largest, *(name for name in ids if isinstance(name, int))])
        self._rows += len(ids)

    def check(self, texts: Path | None) -> None:
        """Raise InputError for a duplicate id, with both rows, and with the id if `texts` is the file with the ids."""
        self._digests.compare()
        if self._again:
            row, first = min(self._again)
            name = "" if texts is None else f", {_id_in(texts, row)!r}"
            raise InputError(f"rows {first + 1} and {row + 1} have the same id{name}; every row needs its own")

    def _repeated(self, rows: Array, firsts: Array) -> None:
        at = int(np.argmin(rows))
        self._again.append((int(rows[at]), int(firsts[at])))


def _id_in(texts: Path, row: int) -> Id:
    with texts.open("rb") as file:
        found: Id = json.loads(next(islice(file, row, None)))["id"]
        return found


class _Writer:
    """The two files of a part, as they are filled."""

    def __init__(self, texts: Summed, tensors: _Tensors, count: int) -> None:
        self.texts, self.tensors, self.count, self.done = texts, tensors, count, 0

    def add(self, facts: Facts, rows: Rows) -> None:
        vectors, start = rows.vectors, self.done
        end = start + len(vectors)
        if end > self.count:
            raise InputError(f"there are more rows than the {self.count:,} that were announced")
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise InputError(f"row {start + int(np.argmax(bad)) + 1} holds NaN or infinity")
        lines = [line_of(record) for record in rows.records]
        offsets = self.texts.size + np.cumsum([len(line) for line in lines], dtype=np.int64)
        self.tensors.write("offsets", start + 1, offsets)
        self.texts.write(b"".join(lines))
        for name, values in _coded(vectors, facts):
            self.tensors.write(name, start, values)
        self.done = end

    def close(self) -> None:
        if self.done != self.count:
            raise InputError(f"there are {self.done:,} rows, not the {self.count:,} that were announced")
        more = -(self.count + 1) % 8  # the offsets are padded
        self.tensors.write("offsets", self.count + 1, np.full(more, self.texts.size, np.int64))
        self.texts.file.flush()


def _coded(vectors: Array, facts: Facts) -> Iterator[tuple[str, Array]]:
    yield "vectors", vectors
    coded = code(vectors, facts.precision)
    if isinstance(coded, QuantizedCorpus):
        for name in ("levels", "scales", "lengths", "errors"):
            yield name, getattr(coded, name)
    elif coded is not None:
        yield "bits", coded
