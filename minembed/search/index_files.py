"""An index on disk: a description in index.json, and folders beside it for rows and texts.

    index.json                       format, metric, precision, count, model, and the size and CRC-32 of the other files
    data-<random>/index.safetensors  offsets of the texts' lines, vectors, and what is scanned instead of them
    data-<random>/texts.jsonl        a line per row: {"id": ..., "text": ..., "fields": {...}}, or without fields
    data-<random>/pieces.crc32       the CRC-32 of each 64 KiB of index.safetensors, then of texts.jsonl
    data-<random>/removed-<n>        a bit per row of part n: whether it was removed

An index that was written in one step has one part, that is one such folder (version 1).  One that was updated has
several (version 2), whose rows follow one another; marks of removed rows are in the folder of the update that last
removed rows.  index_saving.py writes them, index_stored.py maps them.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minembed.errors import IndexFileError
from minembed.runtime.checksums import crc32_of_json
from minembed.runtime.json_files import no_duplicates
from minembed.runtime.paths import check_regular
from minembed.runtime.safetensors_files import Layout
from minembed.search.index_blocks import PRECISIONS
from minembed.search.metrics import METRICS
from minembed.search.quantized import padded_width
from minembed.types import IndexPrecision, Metric

MANIFEST, VECTORS, TEXTS, SUMS = "index.json", "index.safetensors", "texts.jsonl", "pieces.crc32"
FORMAT, VERSION, VERSION_OF_PARTS = "minembed index", 1, 2
REMOVED = re.compile(r"removed-\d{1,6}")
DATA = re.compile(r"data-[0-9a-f]{16}")
LARGEST = 64 << 20  # bytes of index.json
AGAIN = "build the index again, or copy the whole folder again"


@dataclass(frozen=True, slots=True)
class Facts:
    """The description of an index, without its rows."""

    dimension: int
    metric: Metric
    precision: IndexPrecision
    model: Mapping[str, Any] | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


def layout(count: int, dimension: int, precision: IndexPrecision) -> Layout:
    """The tensors of index.safetensors, in the order of the file.

    >>> list(layout(3, 384, "int8"))
    ['offsets', 'vectors', 'levels', 'scales', 'lengths', 'errors']
    """
    tensors: Layout = {"offsets": ("I64", (-(-(count + 1) // 8) * 8,))}  # padded: the next tensor is aligned
    if precision == "binary":
        tensors["bits"] = ("U64", (count, -(-dimension // 64)))
    tensors["vectors"] = ("F32", (count, dimension))
    if precision == "int8":
        tensors["levels"] = ("U8", (count, padded_width(dimension)))
        tensors |= {name: ("F32", (count,)) for name in ("scales", "lengths", "errors")}
    return tensors


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read index.json and check all its entries; raises IndexFileError.

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
    if body.get("version") not in (VERSION, VERSION_OF_PARTS) or isinstance(body["version"], bool):
        raise IndexFileError(f"{path}: version {body.get('version')!r} of the format; this release reads 1 and 2")
    if not is_whole:
        raise IndexFileError(f"{path} was changed after it was written: its crc32 does not fit; {AGAIN}")
    if body["version"] == VERSION:
        body["parts"] = [{name: body.pop(name, None) for name in ("folder", "files")} | {"count": body.get("count")}]
    _check_entries(path, body)
    return body


def _check_entries(path: Path, body: Mapping[str, Any]) -> None:
    parts = body.get("parts")
    sound = {
        "count": _is_whole(body.get("count"), 0),
        "dimension": _is_whole(body.get("dimension"), 1),
        "next_id": _is_whole(body.get("next_id"), 0),
        "metric": body.get("metric") in tuple(METRICS),
        "precision": body.get("precision") in PRECISIONS,
        "model": body.get("model", 0) is None or isinstance(body.get("model"), dict),
        "metadata": isinstance(body.get("metadata"), dict),
        "parts": isinstance(parts, list) and bool(parts) and all(isinstance(part, dict) for part in parts),
    }
    _refuse(path, body, sound)
    for part in body["parts"]:
        files, removed = part.get("files"), part.get("removed")
        sound = {
            "folder": _is_folder(part.get("folder")),
            "count": _is_whole(part.get("count"), 0),
            "files": isinstance(files, dict)
            and all(_is_file(files.get(name)) for name in (TEXTS, VECTORS))
            and (SUMS not in files or _is_file(files[SUMS])),
            "removed": removed is None
            or (_is_file(removed) and _is_folder(removed.get("folder")) and _is_marks(removed.get("name"))),
        }
        _refuse(path, part, sound)


def _refuse(path: Path, said: Mapping[str, Any], sound: Mapping[str, object]) -> None:
    for name, is_sound in sound.items():
        if not is_sound:
            raise IndexFileError(f"{path}: {name} is {json.dumps(said.get(name))[:60]}, which no index has; {AGAIN}")


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= 1 << 63


def _is_file(value: object) -> bool:
    return isinstance(value, dict) and _is_whole(value.get("bytes"), 0)


def _is_folder(value: object) -> bool:
    return isinstance(value, str) and DATA.fullmatch(value) is not None


def _is_marks(value: object) -> bool:
    return isinstance(value, str) and REMOVED.fullmatch(value) is not None


def folders_of(body: Mapping[str, Any]) -> set[str]:
    """The data folders that an index.json names.

    >>> sorted(folders_of({"parts": [{"folder": "data-1"}, {"folder": "data-2", "removed": {"folder": "data-3"}}]}))
    ['data-1', 'data-2', 'data-3']
    """
    marks = (part.get("removed") for part in body["parts"])
    return {part["folder"] for part in body["parts"]} | {one["folder"] for one in marks if one}


def is_id(value: object) -> bool:
    """Whether a value may name a row: a str, or an int of 64 bits.

    >>> is_id("a"), is_id(7), is_id(True), is_id(1 << 64)
    (True, True, False, False)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return -(1 << 63) <= value < 1 << 63
    return isinstance(value, str)
