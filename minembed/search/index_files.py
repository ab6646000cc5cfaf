"""An index on disk: what it is in index.json, and beside that a folder of its own for its rows and texts.

    index.json                       format, metric, precision, count, model, and the size and CRC-32 of the other files
    data-<random>/index.safetensors  offsets of the texts' lines, vectors, and what is scanned in their place
    data-<random>/texts.jsonl        a line each: {"id": ..., "text": ..., "fields": {...}}, or without fields

index_saving.py writes them.
"""

import json
import mmap
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import IndexFileError
from minembed.runtime.checksums import PIECE, crc32_of, crc32_of_json
from minembed.runtime.json_files import no_duplicates
from minembed.runtime.json_values import json_of
from minembed.runtime.paths import check_regular
from minembed.runtime.safetensors_files import DTYPES, Layout, header_of, size_of
from minembed.search.index_blocks import PRECISIONS, Block, Coded, Id, Record
from minembed.search.metrics import METRICS
from minembed.search.quantized import QuantizedCorpus, padded_width
from minembed.search.topk import pieces
from minembed.types import Array, IndexPrecision, Metric

MANIFEST, VECTORS, TEXTS = "index.json", "index.safetensors", "texts.jsonl"
FORMAT, VERSION = "minembed index", 1
DATA = re.compile(r"data-[0-9a-f]{16}")
LARGEST = 64 << 20  # bytes of index.json
AGAIN = "build the index again, or copy the whole folder again"


@dataclass(frozen=True, slots=True)
class Facts:
    """What an index is, but for its rows."""

    dimension: int
    metric: Metric
    precision: IndexPrecision
    model: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def layout(count: int, dimension: int, precision: IndexPrecision) -> Layout:
    """The tensors of index.safetensors, in the order in which they lie in it.

    >>> list(layout(3, 384, "int8"))
    ['offsets', 'vectors', 'levels', 'scales', 'lengths', 'errors']
    """
    tensors: Layout = {"offsets": ("I64", (-(-(count + 1) // 8) * 8,))}  # filled up: what follows is aligned
    if precision == "binary":
        tensors["bits"] = ("U64", (count, -(-dimension // 64)))
    tensors["vectors"] = ("F32", (count, dimension))
    if precision == "int8":
        tensors["levels"] = ("U8", (count, padded_width(dimension)))
        tensors |= {name: ("F32", (count,)) for name in ("scales", "lengths", "errors")}
    return tensors


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read index.json and check every entry of it; raises IndexFileError.

    >>> read_manifest(Path("none"))
    Traceback (most recent call last):
        ...
    minembed.errors.IndexFileError: none holds no index: there is no index.json; `Index.save` makes one
    """
    path = folder / MANIFEST
    try:
        check_regular(path)
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise ValueError(f"more than {LARGEST} bytes")
        body = json.loads(raw.decode("utf-8"), object_pairs_hook=no_duplicates)
        crc = body.pop("crc32", None) if isinstance(body, dict) else None
        is_whole = crc == crc32_of_json(body)
    except (FileNotFoundError, NotADirectoryError) as e:
        raise IndexFileError(f"{folder} holds no index: there is no {MANIFEST}; `Index.save` makes one") from e
    except OSError as e:
        raise IndexFileError(f"{path} cannot be read ({e.strerror or e})") from e
    except (ValueError, RecursionError) as e:
        raise IndexFileError(f"{path} is not sound JSON ({e}); {AGAIN}") from e
    if not isinstance(body, dict) or body.get("format") != FORMAT:
        raise IndexFileError(f"{path} is not the file of an index; {AGAIN}")
    if body.get("version") != VERSION:
        raise IndexFileError(f"{path}: version {body.get('version')!r} of the format; this release reads {VERSION}")
    if not is_whole:
        raise IndexFileError(f"{path} was changed after it was written: its crc32 does not fit; {AGAIN}")
    _check_entries(path, body)
    return body


def _check_entries(path: Path, body: Mapping[str, Any]) -> None:
    def whole(value: object, least: int) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and least <= value <= 1 << 63

    files = body.get("files")
    sound = {
        "count": whole(body.get("count"), 0),
        "dimension": whole(body.get("dimension"), 1),
        "next_id": whole(body.get("next_id"), 0),
        "metric": body.get("metric") in tuple(METRICS),
        "precision": body.get("precision") in PRECISIONS,
        "folder": isinstance(body.get("folder"), str) and DATA.fullmatch(body["folder"]),
        "model": body.get("model", 0) is None or isinstance(body.get("model"), dict),
        "metadata": isinstance(body.get("metadata"), dict),
        "files": isinstance(files, dict)
        and all(isinstance(files.get(n), dict) and whole(files[n].get("bytes"), 0) for n in (TEXTS, VECTORS)),
    }
    for name, is_sound in sound.items():
        if not is_sound:
            raise IndexFileError(f"{path}: {name} is {json.dumps(body.get(name))[:60]}, which no index has; {AGAIN}")


@dataclass(slots=True, eq=False)
class StoredFile:
    """A memory-mapped file, and whether its bytes are known to be those that were written."""

    path: Path
    data: Array  # (bytes,) uint8
    crc: object
    checked: bool = False

    @staticmethod
    def open(path: Path, facts: Mapping[str, Any]) -> "StoredFile":
        """Map a file of the size that index.json says; raises IndexFileError, and FileNotFoundError."""
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

    def check(self) -> None:
        """Read the whole file once, and raise IndexFileError unless its CRC-32 is that of index.json."""
        if self.checked:
            return
        if crc32_of(self.data[start:end].data for start, end in pieces(len(self.data), PIECE)) != self.crc:
            raise IndexFileError(f"{self.path} was changed after it was written: its crc32 does not fit; {AGAIN}")
        self.checked = True


@dataclass(frozen=True, slots=True)
class StoredRecords(Sequence[Record]):
    """Ids, texts and fields in texts.jsonl, each read when it is asked for."""

    file: StoredFile
    offsets: Array  # (n + 1,) int64

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: Any) -> Any:
        if not 0 <= i < len(self):
            raise IndexError(i)
        begin, end = self.offsets[i : i + 2].tolist()
        try:
            line = json.loads(self.file.data[begin:end].tobytes().decode("utf-8"))
            name, text, fields = line["id"], line["text"], line.get("fields")
            kept = None if fields is None else json_of(fields, "fields")
        except (ValueError, RecursionError, TypeError, KeyError) as e:
            raise IndexFileError(f"{self.file.path}: line {i + 1} is no id and text ({e}); {AGAIN}") from e
        if not is_id(name) or not isinstance(text, str | None):
            raise IndexFileError(f"{self.file.path}: line {i + 1} is no id and text; {AGAIN}")
        return name, text, kept


def is_id(value: object) -> bool:
    """Whether a value may name a row: a str, or an int of 64 bits.

    >>> is_id("a"), is_id(7), is_id(True), is_id(1 << 64)
    (True, True, False, False)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str)


@dataclass(frozen=True, slots=True)
class Stored:
    """The two data files of an index, mapped."""

    vectors: StoredFile
    texts: StoredFile

    def check(self) -> None:
        """Read both files once, and raise IndexFileError unless they are what was written."""
        self.vectors.check()
        self.texts.check()


def load(folder: Path) -> tuple[Facts, int, Block | None]:
    """Map the files of an index: what it is, the next id of its own, and its rows, if it has any.

    Only index.json and the sizes and headers of the other files are looked at; `Block.check` reads these to the end.
    Raises IndexFileError for anything that is missing or damaged.

    >>> load(Path("none"))
    Traceback (most recent call last):
        ...
    minembed.errors.IndexFileError: none holds no index: there is no index.json; `Index.save` makes one
    """
    before = None
    while True:
        body = read_manifest(folder)
        try:
            return _load(folder / body["folder"], body)
        except FileNotFoundError as e:
            if body["folder"] == before:
                raise IndexFileError(f"{e.filename} is missing, though {MANIFEST} names it; {AGAIN}") from e
            before = body["folder"]  # replaced meanwhile: look again


def _load(folder: Path, body: Mapping[str, Any]) -> tuple[Facts, int, Block | None]:
    names = ("dimension", "metric", "precision", "model", "metadata")
    facts = Facts(**{name: body[name] for name in names})
    count = body["count"]
    texts = StoredFile.open(folder / TEXTS, body["files"][TEXTS])
    vectors = StoredFile.open(folder / VECTORS, body["files"][VECTORS])
    tensors = layout(count, facts.dimension, facts.precision)
    header, path = header_of(tensors), vectors.path
    size = len(header) + sum(size_of(*tensor) for tensor in tensors.values())
    if len(vectors.data) != size:
        raise IndexFileError(f"{path} has {len(vectors.data)} bytes; {count} rows of {MANIFEST} take {size}; {AGAIN}")
    if vectors.data[: len(header)].tobytes() != header:
        raise IndexFileError(f"{path} has not the header of {count} rows, {facts.dimension} wide; {AGAIN}")
    arrays, end = {}, len(header)
    for name, (dtype, shape) in tensors.items():
        part = vectors.data[end : end + size_of(dtype, shape)]
        arrays[name], end = part.view(DTYPES[dtype]).reshape(shape), end + len(part)
    if not count:
        Stored(vectors, texts).check()
        return facts, body["next_id"], None
    records = StoredRecords(texts, arrays["offsets"][: count + 1])
    coded: Coded = arrays.get("bits")
    if facts.precision == "int8":
        coded = QuantizedCorpus(*(arrays[name] for name in ("levels", "scales", "lengths", "errors")))
    serials = np.arange(count)
    return facts, body["next_id"], Block(arrays["vectors"], coded, records, serials, check=Stored(vectors, texts).check)


def ids_of(blocks: Iterable[Block]) -> Iterator[tuple[Id, int]]:
    """The id and the serial number of every row that is not removed.

    >>> list(ids_of([Block(np.ones((1, 2), np.float32), None, [("a", None, None)], np.array([7]))]))
    [('a', 7)]
    """
    for block in blocks:
        block.check()
        for row in block.rows().tolist():
            yield block.records[row][0], int(block.serials[row])
