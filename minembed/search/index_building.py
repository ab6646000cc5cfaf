"""Write an index of rows that come once, in order, and need not fit into memory.

How many there will be is known, so every tensor has its place in the file from the beginning: each piece of rows is
written to all of them at once.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from minembed.errors import InputError
from minembed.runtime.checksums import crc32_of, pieces_of
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import staging
from minembed.runtime.safetensors_files import Summed, header_of, size_of
from minembed.search.index_blocks import Id, Record, code
from minembed.search.index_files import TEXTS, VECTORS, Facts, is_id, layout
from minembed.search.index_saving import REMEDY, check_target, line_of, publish
from minembed.search.quantized import QuantizedCorpus
from minembed.types import Array


class Rows(NamedTuple):
    """Some rows of an index: vectors (n, D) float32, and an id, a text and fields as JSON of each."""

    vectors: Array
    records: Sequence[Record]


def build_on_disk(folder: Path, facts: Facts, count: int, rows: Iterable[Rows]) -> None:
    """Write an index of `count` rows to a folder, in place of the one that is there, whole or not at all.

    Raises InputError for a folder that holds anything else, NaN or infinity, an id that comes twice, or another number
    of rows; SourceError where the disk fails.  An index that is there stays then.

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
        with (staged / TEXTS).open("xb") as raw, (staged / VECTORS).open("xb") as vectors:
            writer = _Writer(Summed(raw), _Tensors.of(vectors, facts, count), count)
            for some in rows:
                writer.add(facts, some)
            writer.close()
        writer.ids.check()
        with (staged / VECTORS).open("rb") as file:
            size, crc = os.fstat(file.fileno()).st_size, crc32_of(pieces_of(file))
        files = {TEXTS: writer.texts.facts(), VECTORS: {"bytes": size, "crc32": crc}}
        publish(folder, staged, facts, writer.ids.largest + 1, count, files)


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


@dataclass(slots=True)
class _Ids:
    """Eight bytes of a digest of each id: enough to find ids that come twice without keeping the ids."""

    digests: Array  # (N,) uint64
    names: "_Names"
    largest: int = -1  # of the whole numbers

    def note(self, start: int, ids: Sequence[Id]) -> None:
        for i, name in enumerate(ids, start):
            if not is_id(name):
                raise InputError(f"row {i + 1}: {name!r} is no id: a str, or a whole number of 64 bits")
            text = f"{type(name).__name__} {name}".encode("utf-8", "surrogatepass")
            self.digests[i] = int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")
        self.largest = max([self.largest, *(name for name in ids if isinstance(name, int))])

    def check(self) -> None:
        """Raise InputError where an id came before; two ids with one digest are compared as they are."""
        order = np.argsort(self.digests, kind="stable")
        again = np.flatnonzero(self.digests[order[1:]] == self.digests[order[:-1]])
        for at in again.tolist():
            first, second = int(order[at]), int(order[at + 1])
            if self.names.of(first) == self.names.of(second):
                raise InputError(
                    f"rows {first + 1} and {second + 1} have the same id, {self.names.of(first)!r}; "
                    "every row needs its own"
                )


@dataclass(frozen=True, slots=True)
class _Names:
    """Ids, read again from the lines of texts that were written."""

    path: Path
    offsets: Array  # (N + 1,) int64

    def of(self, row: int) -> Id:
        with self.path.open("rb") as file:
            file.seek(int(self.offsets[row]))
            found: Id = json.loads(file.read(int(self.offsets[row + 1] - self.offsets[row])))["id"]
            return found


class _Writer:
    """The two files of an index, as they are filled."""

    def __init__(self, texts: Summed, tensors: _Tensors, count: int) -> None:
        self.texts, self.tensors, self.count, self.done = texts, tensors, count, 0
        self.offsets = np.zeros(-(-(count + 1) // 8) * 8, np.int64)
        path: Any = texts.file.name
        self.ids = _Ids(np.zeros(count, np.uint64), _Names(Path(path), self.offsets))

    def add(self, facts: Facts, rows: Rows) -> None:
        vectors, start = rows.vectors, self.done
        end = start + len(vectors)
        if end > self.count:
            raise InputError(f"there are more rows than the {self.count:,} that were announced")
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise InputError(f"row {start + int(np.argmax(bad)) + 1} holds NaN or infinity")
        self.ids.note(start, [name for name, _, _ in rows.records])
        lines = [line_of(record) for record in rows.records]
        self.offsets[start + 1 : end + 1] = self.texts.size + np.cumsum([len(line) for line in lines])
        self.texts.write(b"".join(lines))
        for name, values in _coded(vectors, facts):
            self.tensors.write(name, start, values)
        self.done = end

    def close(self) -> None:
        if self.done != self.count:
            raise InputError(f"there are {self.done:,} rows, not the {self.count:,} that were announced")
        self.offsets[self.count + 1 :] = self.offsets[self.count]
        self.tensors.write("offsets", 0, self.offsets)
        self.texts.file.flush()


def _coded(vectors: Array, facts: Facts) -> Iterator[tuple[str, Array]]:
    yield "vectors", vectors
    coded = code(vectors, facts.precision)
    if isinstance(coded, QuantizedCorpus):
        for name in ("levels", "scales", "lengths", "errors"):
            yield name, getattr(coded, name)
    elif coded is not None:
        yield "bits", coded
