"""Reuse of an older job's vectors of the same texts: only new texts of a changed corpus are computed."""

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np

from minembed.data.arrow_rows import BATCH, ArrowRow, open_arrow
from minembed.data.columns import Column, text_of, value_of
from minembed.data.pairing import Pair, naming_rows
from minembed.data.texts import LOG, TextRow
from minembed.errors import InputError
from minembed.jobs.folder import begun_plan
from minembed.jobs.plan import Plan, first_difference
from minembed.jobs.shards import EMBEDDING, column_of, is_whole, name_of, vectors_in
from minembed.runtime.disk_errors import naming
from minembed.runtime.store import Place
from minembed.types import Array

GROUP = 8 * BATCH  # rows that are looked up together


@dataclass(frozen=True, slots=True)
class Known:
    """Vectors by the digest of their text: 24 bytes of memory per vector, and the vectors on disk."""

    first: Array  # (N,) uint64, ascending: half of the digest
    second: Array  # (N,) uint64: the other half
    places: Array  # (N,) int64: the row in the file
    file: Any
    dtype: "np.dtype[Any]"
    width: int

    def __len__(self) -> int:
        return len(self.first)

    def find(self, text: str) -> Array | None:  # -> (D,)
        """The vector of a text; None if there is none."""
        one, other = _digest(text)
        at = int(np.searchsorted(self.first, np.uint64(one)))
        while at < len(self.first) and self.first[at] == one:
            if self.second[at] == other:
                size = self.dtype.itemsize * self.width
                self.file.seek(int(self.places[at]) * size)
                return np.frombuffer(self.file.read(size), self.dtype)
            at += 1
        return None


def _digest(text: str) -> tuple[int, int]:
    found = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
    return int.from_bytes(found[:8], "little"), int.from_bytes(found[8:], "little")


def older_plan(folder: Place, groups: Mapping[str, Mapping[str, Any]]) -> Plan:
    """The plan of an older job whose vectors can be used; `groups` are the requested model and settings.

    Raises InputError if there is no job, its vectors were made by another model or setting, or its shards have no
    texts.

    >>> older_plan(Path("no such folder"), {})
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job whose vectors could be used again
    """
    plan = begun_plan(folder)
    if plan is None:
        raise InputError(f"{folder} holds no job whose vectors could be used again")
    for group in ("model", "settings"):
        difference = first_difference(getattr(plan, group), groups[group])
        if difference is not None:
            raise InputError(f"the vectors of {folder} were made with another {group.removesuffix('s')} {difference}")
    if plan.form != "parquet":
        raise InputError(f"{folder} holds shards without texts, so it cannot be told whose vectors they are")
    return plan


@contextmanager
def known_vectors(
    folder: Place, groups: Mapping[str, Mapping[str, Any]], empty: Array, work: Path | None = None
) -> Iterator[Known]:
    """Open the vectors of an older job; they are copied to an unnamed file, in `work` or the temporary folder.

    `groups` are the requested model and settings, `empty` is an array (0, D) of the vectors' dtype.  Raises the errors
    of `older_plan`.
    """
    plan = older_plan(folder, groups)
    text = plan.search["text"]
    attempt = f"cannot copy the vectors of {folder} to {work or gettempdir()}"
    with naming(attempt, "free some space there"):
        copy = TemporaryFile(dir=work)
    with copy as file:
        digests = array("Q")
        with naming(attempt, "free some space there"):
            for some in _vectors_of(folder, plan, column_of(text)):
                for found, vector in some:
                    digests.extend(_digest(found))
                    file.write(vector.tobytes())
            file.flush()
        halves = np.frombuffer(digests, np.uint64).reshape(-1, 2)
        order = np.argsort(halves[:, 0], kind="stable")
        known = Known(halves[order, 0], halves[order, 1], order, file, empty.dtype, empty.shape[1])
        LOG.info(f"{folder}: {len(known):,} vectors can be used again")
        yield known


def _vectors_of(folder: Place, plan: Plan, text: Column) -> Iterator[Iterable[tuple[str, Array]]]:
    for number in range(len(plan.shards)):
        path = folder / name_of(number, plan.form)
        if not is_whole(path, plan, number):
            continue
        with path.open("rb") as file:
            if text.path[0] not in open_arrow(file, "parquet", str(path)).schema_arrow.names:
                raise InputError(f"{folder} holds shards without texts, so it cannot be told whose vectors they are")
        for batch, vectors, valid in vectors_in(path, [text.path[0], EMBEDDING]):
            yield zip(_texts(batch, valid, text, str(path)), vectors, strict=True)


def _texts(batch: Any, rows: list[int], text: Column, name: str) -> Iterator[str]:
    for i in rows:
        yield text_of(value_of(ArrowRow(batch, i, name), text), text.name, name) or ""


def reusing(
    stream: Callable[[Iterable[str]], Iterator[Array]], rows: Iterator[TextRow], known: Known, count: list[int]
) -> Iterator[Pair]:
    """Yield rows with their vectors, known ones and computed ones; `count` is called with the number of known ones.

    Rows are processed in groups of a fixed size, so that none waits for a window of new texts to fill.
    """
    while group := list(islice(rows, GROUP)):
        found = [None if row.text is None else known.find(row.text) for row in group]
        new = [row for row, vector in zip(group, found, strict=True) if row.text is not None and vector is None]
        with naming_rows(new.__getitem__):
            computed = (vector for block in stream(row.text or "" for row in new) for vector in block)
            vectors = [
                next(computed) if vector is None and row.text is not None else vector
                for row, vector in zip(group, found, strict=True)
            ]
        count.append(sum(vector is not None for vector in found))
        yield group, np.array(vectors) if all(vector is not None for vector in vectors) else vectors
