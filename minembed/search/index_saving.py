"""Write an index: a new data folder, and then index.json in one step.

Whatever happens, index.json names the files of the old index or those of the new one, whole.
"""

import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import IndexFileError, InputError
from minembed.runtime.checksums import Sums, crc32_of, crc32_of_json
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import alone_in, put_in_place, remove, staging
from minembed.runtime.paths import can_be_named
from minembed.runtime.safetensors_files import Summed, header_of, write_safetensors
from minembed.search.index_blocks import Block, Record, coded_rows
from minembed.search.index_files import (
    DATA,
    FORMAT,
    LARGEST,
    MANIFEST,
    SUMS,
    TEXTS,
    VECTORS,
    VERSION,
    VERSION_OF_PARTS,
    Facts,
    folders_of,
    layout,
    read_manifest,
)
from minembed.types import Array

REMEDY = "free some space there, make it writable, or save elsewhere"
ENCODE = json.JSONEncoder(ensure_ascii=False).encode
STALE = 3600  # seconds: older files that no index names were left by a process that was killed


def line_of(record: Record) -> bytes:
    r"""A line of texts.jsonl; a lone surrogate becomes a JSON escape.

    >>> line_of(("a", "\ud800", None)), line_of((7, "b", '{"price": 3}'))
    (b'{"id": "a", "text": "\\ud800"}\n', b'{"id": 7, "text": "b", "fields": {"price": 3}}\n')
    """
    name, text, fields = record
    line = ENCODE({"id": name, "text": text})
    if fields is not None:
        line = f'{line[:-1]}, "fields": {fields}}}'
    return line.encode("utf-8", "backslashreplace") + b"\n"


def _live(blocks: Iterable[Block]) -> Iterator[tuple[Block, Array]]:
    for block in blocks:
        for rows in block.rows():
            yield block, rows


def _write_texts(path: Path, blocks: Sequence[Block], sums: Sums) -> tuple[dict[str, int], Array]:
    with path.open("xb") as raw:
        file, offsets = Summed(raw, sums=sums), [np.zeros(1, np.int64)]
        for block, rows in _live(blocks):
            lines = [line_of(block.records[row]) for row in rows.tolist()]
            offsets.append(file.size + np.cumsum([len(line) for line in lines], dtype=np.int64))
            file.write(b"".join(lines))
        return file.facts(), np.concatenate(offsets)


def _write_vectors(path: Path, facts: Facts, blocks: Sequence[Block], offsets: Array, sums: Sums) -> dict[str, int]:
    tensors = layout(len(offsets) - 1, facts.dimension, facts.precision)
    (room,) = tensors["offsets"][1]
    padded = np.pad(offsets, (0, room - len(offsets)), mode="edge")
    rest = (_tensor(block, rows, name) for name in list(tensors)[1:] for block, rows in _live(blocks))
    return write_safetensors(path, header_of(tensors), chain([padded], rest), sums)


def _tensor(block: Block, rows: Array, name: str) -> Array:
    if name == "vectors":
        return block.vectors[rows]
    coded = coded_rows(block.coded, rows)
    return coded if isinstance(coded, np.ndarray) else getattr(coded, name)


def save(folder: Path, facts: Facts, next_id: int, blocks: Sequence[Block]) -> None:
    """Write an index to a folder, and replace the index that is there.

    Raises InputError for a folder that holds anything else, SourceError if the disk fails: then the old index stays.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save(Path(folder), Facts(2, "cosine", "float32"), 0, [])
    ...     read_manifest(Path(folder))["dimension"]
    2
    """
    for block in blocks:
        block.sound.everything()
    made = check_target(folder)
    try:
        with naming(f"cannot save the index to {folder}", REMEDY), staging(folder) as work:
            _save(folder, work, facts, next_id, blocks)
    finally:
        if made:
            with suppress(OSError):
                folder.rmdir()  # succeeds only if it is empty, that is if nothing was saved


def check_target(folder: Path) -> bool:
    """Whether the folder for an index has to be created; raises InputError if it holds anything else.

    >>> check_target(Path(__file__).parent / "none")
    True
    """
    if not can_be_named(folder):
        raise InputError(f"{str(folder)!r} cannot name a folder")
    if not os.path.lexists(folder):
        return True
    if not folder.is_dir():
        raise InputError(f"{folder} is a file: name a folder for the index")
    names = [path.name for path in folder.iterdir()]
    others = [name for name in names if not re.match(rf"{DATA.pattern}$|\.minembed-", name)]
    if others and MANIFEST not in names:
        raise InputError(f"{folder} holds other files ({min(others)}): name a new folder, or one with an index")
    return False


def _save(folder: Path, work: Path, facts: Facts, next_id: int, blocks: Sequence[Block]) -> None:
    staged = work / "data"
    staged.mkdir()
    sums = {VECTORS: Sums(), TEXTS: Sums()}
    texts, offsets = _write_texts(staged / TEXTS, blocks, sums[TEXTS])
    vectors = _write_vectors(staged / VECTORS, facts, blocks, offsets, sums[VECTORS])
    files = {VECTORS: vectors, TEXTS: texts, SUMS: write_sums(staged / SUMS, sums)}
    publish(folder, staged, facts, next_id, [NewPart(len(offsets) - 1, files)])


def write_sums(path: Path, sums: Mapping[str, Sums]) -> dict[str, int]:
    """Write the checksums of the pieces of a part's files, and return the size and CRC-32 of the file written.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_sums(Path(folder) / "sums", {VECTORS: Sums(), TEXTS: Sums()})
    {'bytes': 0, 'crc32': 0}
    """
    content = b"".join(np.array(sums[name].found(), "<u4").tobytes() for name in (VECTORS, TEXTS))
    path.write_bytes(content)
    return {"bytes": len(content), "crc32": crc32_of([content])}


def write_marks(path: Path, removed: Array) -> dict[str, Any]:  # (n,) bool
    """Write marks of removed rows into a folder that is published later, and return their entry for index.json.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_marks(Path(folder) / "removed-0", np.array([True, False]))["bytes"]
    1
    """
    content = np.packbits(removed).tobytes()
    path.write_bytes(content)
    return {"folder": None, "name": path.name, "bytes": len(content), "crc32": crc32_of([content])}


@dataclass(frozen=True, slots=True)
class NewPart:
    """A part of an index whose files are in the folder that is published with it: their sizes and CRC-32."""

    count: int
    files: Mapping[str, Mapping[str, int]]


OldPart = Mapping[str, Any]  # as in index.json; if its marks of removed rows are in the new folder, "folder" is None


def publish(
    folder: Path,
    staged: Path,
    facts: Facts,
    next_id: int,
    parts: Sequence[NewPart | OldPart],
    *,
    count: int | None = None,
    before: Mapping[str, Any] | None = None,
) -> None:
    """Move the files of an index to their place, and name them in index.json, which replaces an older one.

    `count` is the number of rows, if some are removed.  `before` is the index.json that old parts come from.  Raises
    InputError if another process has replaced it meanwhile, or if index.json would be too large.
    """
    token = f"data-{os.urandom(8).hex()}"
    body: dict[str, Any] = {"format": FORMAT, "dimension": facts.dimension, "metric": facts.metric}
    body |= {"precision": facts.precision, "next_id": next_id, "model": facts.model, "metadata": facts.metadata}
    said = [_said(part, token) for part in parts]
    body["count"] = sum(part["count"] for part in said) if count is None else count
    if len(said) == 1 and said[0].get("removed") is None:
        body |= {"version": VERSION} | {name: said[0][name] for name in ("folder", "files")}
    else:
        body |= {"version": VERSION_OF_PARTS, "parts": said}
    manifest = json.dumps(body | {"crc32": crc32_of_json(body)}, indent=2).encode() + b"\n"
    if len(manifest) > LARGEST:
        raise InputError(
            f"metadata is too large: {MANIFEST} would have {len(manifest)} bytes; at most {LARGEST} are read"
        )
    with alone_in(folder) as alone:
        named = _folders(folder)
        if before is not None and read_manifest(folder) != before:
            raise InputError(f"{folder} was changed meanwhile by another process: give the command again")
        put_in_place(staged, folder / token, folder / MANIFEST, manifest)
        _clean(folder, folders_of({"parts": said}), named, alone)


def _said(part: NewPart | OldPart, token: str) -> dict[str, Any]:
    """The entry of a part in index.json."""
    if isinstance(part, NewPart):
        return {"folder": token, "count": part.count, "files": part.files}
    said = dict(part)
    if said.get("removed") is not None and said["removed"]["folder"] is None:
        said["removed"] = {**said["removed"], "folder": token}
    return said


def _folders(folder: Path) -> set[str]:
    """The data folders of the existing index; none if there is no index."""
    try:
        return folders_of(read_manifest(folder))
    except IndexFileError:
        return set()


def _clean(folder: Path, current: set[str], before: set[str], alone: bool) -> None:
    """Remove the data of the replaced index, and of killed processes; other processes may be saving now.

    If this process is `alone`, no other process has data here that is not named yet.
    """
    for path in folder.glob("data-*"):
        with suppress(OSError):
            stale = time.time() - path.stat().st_mtime > STALE
            if path.name not in current and DATA.fullmatch(path.name) and (alone or stale or path.name in before):
                remove(path)
