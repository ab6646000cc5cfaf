"""The rows of an index in files: memory-mapped, and each piece compared with its checksum before it is read."""

import json
import mmap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import IndexFileError
from minembed.runtime.checksums import PIECE, SUMMED, crc32_of
from minembed.runtime.json_values import json_of
from minembed.runtime.paths import check_regular
from minembed.runtime.safetensors_files import DTYPES, header_of, size_of
from minembed.search.index_blocks import Block, Coded, Id, Record
from minembed.search.index_files import AGAIN, MANIFEST, SUMS, TEXTS, VECTORS, Facts, is_id, layout, read_manifest
from minembed.search.quantized import QuantizedCorpus
from minembed.search.soundness import Sound
from minembed.search.topk import pieces
from minembed.types import Array


@dataclass(slots=True, eq=False)
class StoredFile:
    """A memory-mapped file, and which of its pieces are known to be undamaged."""

    path: Path
    data: Array  # (bytes,) uint8
    crc: object  # of the whole file
    sums: Array | None = None  # (pieces,) uint32: of each SUMMED bytes; None if only the whole file has one
    known: Array = field(default_factory=lambda: np.zeros(1, bool))  # (pieces,): which were checked

    @staticmethod
    def open(path: Path, facts: Mapping[str, Any]) -> "StoredFile":
        """Map a file, whose size must be that in index.json; raises IndexFileError and FileNotFoundError."""
        try:
            size = path.stat().st_size
            if size != facts["bytes"]:
                raise IndexFileError(f"{path} has {size} bytes, not the {facts['bytes']} of {MANIFEST}; {AGAIN}")
            check_regular(path)
            with path.open("rb") as file:
                mapped = mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ) if size else b""
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as e:
            raise IndexFileError(f"{path} cannot be read ({e}); {AGAIN}") from e
        return StoredFile(path, np.frombuffer(mapped, np.uint8), facts.get("crc32"))

    def trust(self) -> None:
        """Mark all pieces as checked."""
        self.known[:] = True

    def check(self, begin: int = 0, end: int | None = None) -> None:
        """Raise IndexFileError unless these bytes are as written; pieces that were checked are not read again."""
        size = len(self.data)
        begin, end = max(begin, 0), size if end is None else min(end, size)
        if self.sums is None:
            self.check_pieces(np.zeros(1, np.int64))
        elif begin < end:
            first, last = begin // SUMMED, (end - 1) // SUMMED
            if not self.known[first : last + 1].all():
                self.check_pieces(np.arange(first, last + 1))

    def check_pieces(self, some: Array) -> None:  # (n,) int64
        """Raise IndexFileError unless these pieces are as written."""
        for piece in some[~self.known[some]].tolist():
            if self.sums is None:
                right = crc32_of(self.data[a:b].data for a, b in pieces(len(self.data), PIECE)) == self.crc
            else:
                right = crc32_of([self.data[piece * SUMMED : (piece + 1) * SUMMED].data]) == int(self.sums[piece])
            if not right:
                raise IndexFileError(f"{self.path} was changed after it was written: its crc32 does not fit; {AGAIN}")
            self.known[piece] = True


@dataclass(frozen=True, slots=True)
class StoredRecords(Sequence[Record]):
    """Ids, texts and fields in texts.jsonl, each read on access."""

    file: StoredFile
    offsets: Array  # (n + 1,) int64
    where: tuple[StoredFile, int]  # the file of the offsets, and their start in it

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def lines(self, rows: Array) -> Iterator[bytes]:  # (n,) rising
        """The raw lines of these rows."""
        if not len(rows):
            return
        first, stored, start = int(rows[0]), *self.where
        stored.check(start + 8 * first, start + 8 * (int(rows[-1]) + 2))
        ends = self.offsets[first : int(rows[-1]) + 2].tolist()
        self.file.check(ends[0], ends[-1])
        content = self.file.data[ends[0] : ends[-1]].tobytes()
        for row in (rows - first).tolist():
            yield content[ends[row] - ends[0] : ends[row + 1] - ends[0]]

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        stored, start = self.where
        stored.check(start + 8 * i, start + 8 * (i + 2))
        begin, end = self.offsets[i : i + 2].tolist()
        self.file.check(begin, end)
        try:
            line = json.loads(self.file.data[begin:end].tobytes().decode("utf-8"))
            name, text, fields = line["id"], line["text"], line.get("fields")
            kept = None if fields is None else json_of(fields, "fields")
        except (ValueError, RecursionError, TypeError, KeyError) as e:
            raise IndexFileError(f"{self.file.path}: line {i + 1} is no id and text ({e}); {AGAIN}") from e
        if not is_id(name) or not isinstance(text, str | None):
            raise IndexFileError(f"{self.file.path}: line {i + 1} is no id and text; {AGAIN}")
        return name, text, kept


@dataclass(frozen=True, slots=True)
class Stored(Sound):
    """The checks of the two data files of a part."""

    file: StoredFile  # of the vectors
    texts: StoredFile
    spans: Mapping[str, tuple[int, int]]  # of each tensor in it
    row_bytes: int  # of a vector

    def everything(self) -> None:
        """Check both files."""
        self.file.check()
        self.texts.check()

    def coded(self) -> None:
        """Check what is scanned instead of the vectors."""
        for name, span in self.spans.items():
            if name not in ("offsets", "vectors"):
                self.file.check(*span)

    def vectors(self, rows: Array | None = None) -> None:
        """Check the vectors of these rows, or of all if None."""
        start, end = self.spans["vectors"]
        if rows is None or self.file.sums is None:
            self.file.check(start, end)
        elif rows.size:
            begins = start + rows.reshape(-1) * self.row_bytes
            first, last = begins // SUMMED, (begins + self.row_bytes - 1) // SUMMED
            for step in range(1 + self.row_bytes // SUMMED):
                some = np.minimum(first + step, last)
                if not self.file.known[some].all():
                    self.file.check_pieces(np.unique(some))
            self.file.check_pieces(np.unique(last[~self.file.known[last]]))


def load(folder: Path, verify: bool = True) -> tuple[Facts, int, tuple[Block, ...]]:
    """Map the files of an index: returns its description, its next automatic id, and its rows.

    Only index.json, the checksums, and the sizes and headers of the other files are read now; the contents are compared
    with their checksums before they are read, or never without `verify`.  Raises IndexFileError for anything missing or
    damaged.

    >>> load(Path("none"))
    Traceback (most recent call last):
        ...
    minembed.errors.IndexFileError: none holds no index: there is no index.json; `Index.save` makes one
    """
    before = None
    while True:
        body = read_manifest(folder)
        try:
            return _load(folder, body, verify)
        except FileNotFoundError as e:
            if body["parts"] == before:
                raise IndexFileError(f"{e.filename} is missing, though {MANIFEST} names it; {AGAIN}") from e
            before = body["parts"]  # the index may have been replaced meanwhile: read it again


def facts_in(body: Mapping[str, Any]) -> Facts:
    """The description of an index in its index.json.

    >>> facts_in({"dimension": 2, "metric": "dot", "precision": "int8", "model": None, "metadata": {}}).metric
    'dot'
    """
    return Facts(**{name: body[name] for name in ("dimension", "metric", "precision", "model", "metadata")})


def blocks_of(folder: Path, body: Mapping[str, Any], facts: Facts, verify: bool = True) -> list[Block]:
    """Map the rows of each part that an index.json names; raises IndexFileError and FileNotFoundError.

    >>> blocks_of(Path("none"), {"parts": []}, Facts(2, "dot", "int8"))
    []
    """
    serial, blocks = 0, list[Block]()
    for part in body["parts"]:
        block = _block(folder, facts, part, serial, verify)
        serial += part["count"]
        blocks += [] if block is None else [block]
    return blocks


def _load(folder: Path, body: Mapping[str, Any], verify: bool) -> tuple[Facts, int, tuple[Block, ...]]:
    facts = facts_in(body)
    blocks = blocks_of(folder, body, facts, verify)
    count = sum(block.count for block in blocks)
    if count != body["count"]:
        raise IndexFileError(f"{folder / MANIFEST}: count is {body['count']}, its parts have {count} rows; {AGAIN}")
    return facts, body["next_id"], tuple(block for block in blocks if block.count)


def _block(folder: Path, facts: Facts, part: Mapping[str, Any], serial: int, verify: bool) -> Block | None:
    count, files, place = part["count"], part["files"], folder / part["folder"]
    texts, vectors = (StoredFile.open(place / name, files[name]) for name in (TEXTS, VECTORS))
    tensors = layout(count, facts.dimension, facts.precision)
    header, path = header_of(tensors), vectors.path
    size = len(header) + sum(size_of(*tensor) for tensor in tensors.values())
    if len(vectors.data) != size:
        raise IndexFileError(f"{path} has {len(vectors.data)} bytes; {count} rows of {MANIFEST} take {size}; {AGAIN}")
    if vectors.data[: len(header)].tobytes() != header:
        raise IndexFileError(f"{path} has not the header of {count} rows, {facts.dimension} wide; {AGAIN}")
    _with_sums(place, files, vectors, texts)
    if not verify:
        vectors.trust()
        texts.trust()
    arrays, spans, end = dict[str, Array](), dict[str, tuple[int, int]](), len(header)
    for name, (dtype, shape) in tensors.items():
        spans[name] = end, end + size_of(dtype, shape)
        arrays[name], end = vectors.data[slice(*spans[name])].view(DTYPES[dtype]).reshape(shape), spans[name][1]
    sound = Stored(vectors, texts, spans, 4 * facts.dimension)
    if not count:
        sound.everything()
        return None
    records = StoredRecords(texts, arrays["offsets"][: count + 1], (vectors, spans["offsets"][0]))
    coded: Coded = arrays.get("bits")
    if facts.precision == "int8":
        coded = QuantizedCorpus(*(arrays[name] for name in ("levels", "scales", "lengths", "errors")))
    alive = _alive(folder, part)
    return Block(arrays["vectors"], coded, records, range(serial, serial + count), alive, sound)


def _with_sums(place: Path, files: Mapping[str, Any], *stored: StoredFile) -> None:
    """Give files the checksums of their pieces, if the index has them."""
    if SUMS not in files:
        return  # written by an older version
    file = StoredFile.open(place / SUMS, files[SUMS])
    file.check()
    counts = [-(-len(one.data) // SUMMED) for one in stored]
    if len(file.data) != 4 * sum(counts):
        raise IndexFileError(f"{file.path} has {len(file.data)} bytes, not 4 a piece; {AGAIN}")
    start = 0
    for one, count in zip(stored, counts, strict=True):
        one.sums, one.known = file.data[4 * start : 4 * (start + count)].view("<u4"), np.zeros(count, bool)
        start += count


def _alive(folder: Path, part: Mapping[str, Any]) -> Array | None:  # -> (n,) bool
    """Which rows of a part are not removed; None if all are there."""
    removed = part.get("removed")
    if removed is None:
        return None
    file = StoredFile.open(folder / removed["folder"] / removed["name"], removed)
    file.check()
    if len(file.data) != -(-part["count"] // 8):
        raise IndexFileError(f"{file.path} has {len(file.data)} bytes, not a bit a row; {AGAIN}")
    return np.unpackbits(file.data, count=part["count"]) == 0


def ids_of(blocks: Iterable[Block]) -> Iterator[tuple[Id, int]]:
    """The id and the serial number of every row that is not removed.

    >>> list(ids_of([Block(np.ones((1, 2), np.float32), None, [("a", None, None)], np.array([7]))]))
    [('a', 7)]
    """
    for block in blocks:
        for rows in block.rows():
            for row, serial in zip(rows.tolist(), block.serials_of(rows).tolist(), strict=True):
                yield block.records[row][0], serial
