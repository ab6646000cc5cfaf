"""Update an index to a newer job: new rows are added, and rows that no longer exist are removed.

Rows are compared by digests of their contents in the index: id, text and fields, and the vector if there is no text.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from minembed.errors import InputError
from minembed.jobs.indexing import facts_of_vectors, finished_plan, index, rows_of
from minembed.jobs.plan import Plan
from minembed.runtime.digests import Digests, digests_of, ranges_of, rows_in_both
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import staging
from minembed.runtime.places import as_place
from minembed.runtime.progress import Progress
from minembed.runtime.store import Place
from minembed.search.index_blocks import Block
from minembed.search.index_building import Ids, Rows, write_part
from minembed.search.index_files import Facts, read_manifest
from minembed.search.index_saving import REMEDY, line_of, publish, write_marks
from minembed.search.index_stored import StoredRecords, blocks_of, facts_in
from minembed.types import Array

MOST_PARTS = 8  # an index with more is slower to search: it is rebuilt
NO_TEXT = b'"text": null'


@dataclass(frozen=True, slots=True)
class Update:
    """The changes of an update."""

    rows: int  # in the index now
    added: int
    removed: int
    rebuilt: bool = False  # built from scratch


def update_index(folder: str | Place, output: str | Path, *, show_progress_bar: bool | None = None) -> Update:
    """Update the index in the folder `output`, which `index` built from an older job, to the finished job in `folder`.

    Both jobs must have the same model and settings.  Rows that are in both, with the same id, text and fields, stay in
    place; the others are removed, and new ones appended: searches find the same rows and scores as in an index that is
    built from scratch, but possibly in another order for equal scores.  If more than half of the rows would change, or
    after many updates, the index is built from scratch.

    The update is atomic.  Raises InputError if the job is not finished, the index is not of a job or of other vectors,
    an id occurs twice, or another process changes the index meanwhile; SourceError if the disk fails.

    >>> update_index("no such folder", "index")
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job: minembed embed INPUT -o no such folder/ begins one
    """
    folder, output = as_place(folder), Path(output).absolute()
    plan, body = finished_plan(folder), read_manifest(output)
    facts = facts_in(body)
    _check_alike(folder, plan, output, facts)
    with naming(f"cannot save the index to {output}", REMEDY), staging(output) as work:
        blocks = blocks_of(output, body, facts)
        kept, new, ids = _compared(folder, plan, blocks, work, show_progress_bar)
        added, removed = len(new) - np.count_nonzero(new), len(kept) - np.count_nonzero(kept)
        removed -= sum(len(block.vectors) - block.count for block in blocks)  # those removed before
        done = Update(len(new), int(added), int(removed))
        if not added and not removed:
            return done
        if 2 * (added + removed) <= len(new) and len(blocks) < MOST_PARTS:
            said = {**facts.metadata, "source": str(folder), "job": plan.identity()}
            changed = _Changed(replace(facts, metadata=said), body, blocks, kept, new)
            _write(output, work / "data", changed, rows_of(folder, plan, wanted=~new), ids.largest + 1)
            return done
    index(folder, output, metric=facts.metric, precision=facts.precision, show_progress_bar=show_progress_bar)
    return replace(done, rebuilt=True)


def _check_alike(folder: Place, plan: Plan, output: Path, facts: Facts) -> None:
    made = facts.metadata.get("vectors")
    if made is None:
        raise InputError(f"{output} is no index of a job, or of an older version of minembed: build it again")
    if made != facts_of_vectors(plan):
        raise InputError(
            f"{output} holds vectors of another model or other settings than those of {folder}: build it again"
        )


def _compared(
    folder: Place, plan: Plan, blocks: list[Block], work: Path, show: bool | None
) -> tuple[Array, Array, Ids]:
    """The rows of the index that stay, by serial numbers, and the job's rows that it has: (N,) and (M,) bool."""
    total = sum(len(block.vectors) for block in blocks)
    kept, new = np.zeros(total, bool), np.zeros(plan.texts, bool)
    with ExitStack() as stack:
        files = [stack.enter_context(TemporaryFile(dir=work)) for _ in range(3)]
        old, own, ids = Digests(files[0], _ignored), Digests(files[1], _ignored), Ids(files[2])
        bar = stack.enter_context(Progress(range(plan.texts + sum(block.count for block in blocks)), "row", show))
        for block in blocks:
            for rows in block.rows():
                old.add(digests_of(_contents(block, rows)), block.serials_of(rows))
                bar.advance(len(rows))
        start = 0
        for some in rows_of(folder, plan):
            ids.note([name for name, _, _ in some.records])
            own.add(digests_of(_contents_of(some)), np.arange(start, start + len(some.records)))
            start += len(some.records)
            bar.advance(len(some.records))
        ids.check(None)
        for one, other in ranges_of([old, own]):
            serials, numbers = rows_in_both(one, other)
            kept[serials], new[numbers] = True, True
    return kept, new, ids


def _ignored(rows: Array, firsts: Array) -> None:
    """Do nothing: rows with equal ids are detected by their ids."""


def _contents(block: Block, rows: Array) -> Iterator[bytes]:
    """The contents of some rows of an index, as bytes."""
    records: Any = block.records
    assert isinstance(records, StoredRecords)
    for row, line in zip(rows.tolist(), records.lines(rows), strict=True):
        if NO_TEXT in line:
            block.sound.vectors(np.array([row]))
            line += block.vectors[row].tobytes()
        yield line


def _contents_of(some: Rows) -> Iterator[bytes]:
    """The same for rows of a job."""
    for record, vector in zip(some.records, some.vectors, strict=True):
        line = line_of(record)
        yield line + np.ascontiguousarray(vector, "<f4").tobytes() if NO_TEXT in line else line


@dataclass(frozen=True, slots=True)
class _Changed:
    """An existing index, and its rows that stay."""

    facts: Facts  # of the new one
    body: Mapping[str, Any]  # its index.json
    blocks: list[Block]
    kept: Array  # (N,) bool, by serial number
    new: Array  # (M,) bool: which of the new rows it has


def _write(output: Path, staged: Path, changed: _Changed, rows: Iterator[Rows], next_id: int) -> None:
    """Write the new rows and the marks of removed ones, and publish both."""
    staged.mkdir()
    parts = list[Any]()
    for number, (part, block) in enumerate(zip(changed.body["parts"], changed.blocks, strict=True)):
        kept = changed.kept[block.serials_of(np.arange(len(block.vectors)))]
        if kept.all():
            parts.append(part)
        elif kept.any():
            same = block.alive is not None and np.array_equal(block.alive, kept)
            parts.append(part if same else {**part, "removed": write_marks(staged / f"removed-{number}", ~kept)})
    added = len(changed.new) - int(np.count_nonzero(changed.new))
    if added:
        parts.append(write_part(staged, changed.facts, added, rows))
    next_id = max(next_id, changed.body["next_id"])
    publish(output, staged, changed.facts, next_id, parts, count=len(changed.new), before=changed.body)
