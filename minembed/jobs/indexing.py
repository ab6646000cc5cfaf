"""The shards of a job as an index for search, built in bounded memory."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from minembed.data.arrow_rows import BATCH, ArrowRow
from minembed.data.columns import Column, text_of, value_of
from minembed.data.corpus import id_of
from minembed.data.plain_values import plain_row
from minembed.data.vectors import TENSOR
from minembed.errors import InputError
from minembed.jobs.folder import begun_plan, is_finished
from minembed.jobs.plan import Plan
from minembed.jobs.shards import EMBEDDING, column_of, ids_from, name_of, vectors_in
from minembed.jobs.state import status
from minembed.runtime.places import as_place, on_disk
from minembed.runtime.progress import Progress
from minembed.runtime.store import Place
from minembed.search.index_arguments import check_choices
from minembed.search.index_blocks import Record
from minembed.search.index_building import Rows, build_on_disk
from minembed.search.index_files import Facts
from minembed.types import Array, IndexPrecision, Metric

ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def index(
    folder: str | Place,
    output: str | Path,
    *,
    metric: Metric | None = None,
    precision: IndexPrecision = "float32",
    show_progress_bar: bool | None = None,
) -> int:
    """Build an index in the folder `output` from all vectors of a finished job; returns the number of its rows.

    No model is loaded.  Ids are those of the job's column of ids, or the row numbers, from 1; texts and fields are
    those of the shards.  The default `metric` is the model's.  Raises InputError if the job is not finished, its
    vectors are not float32, or were not made as the model embeds documents; SourceError if the disk fails.  After an
    error, an existing index is unchanged.

    >>> index("no such folder", "index")
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job: minembed embed INPUT -o no such folder/ begins one
    """
    folder = as_place(folder)
    plan = finished_plan(folder)
    metric = metric or plan.search["metric"]
    check_choices(metric, precision)
    model: dict[str, Any] = plan.search["model"]
    said = {"source": str(folder), "job": plan.identity(), "vectors": facts_of_vectors(plan)}
    facts = Facts(len(model["probe"]), metric, precision, model, said)
    with Progress(range(plan.texts), "row", show_progress_bar) as bar:
        build_on_disk(Path(output).absolute(), facts, plan.texts, _watched(rows_of(folder, plan), bar))
    return plan.texts


def finished_plan(folder: Place) -> Plan:
    """The plan of a job whose vectors can be searched; raises InputError if it is not finished, or they cannot.

    >>> finished_plan(Path("no such folder"))
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job: minembed embed INPUT -o no such folder/ begins one
    """
    state, plan = status(folder), begun_plan(folder)
    assert plan is not None
    if not is_finished(folder, plan) or state.shards_done < state.shards:
        raise InputError(f"{state.lines()[0]}: an index needs all of them; the command that began the job continues it")
    check_searchable(folder, plan)
    return plan


def facts_of_vectors(plan: Plan) -> str:
    """A hash of everything that a vector depends on beside its text.

    >>> facts_of_vectors(Plan({}, {}, {}, "parquet", (), ()))
    'dee36ace772e1ed7'
    """
    body = json.dumps([plan.model, plan.settings], sort_keys=True)
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def check_searchable(folder: Place, plan: Plan) -> None:
    """Raise InputError if the vectors of a job cannot be used for search."""
    if plan.settings["precision"] != "float32":
        raise InputError(
            f"{folder} holds vectors in {plan.settings['precision']}: an index needs float32, and makes int8 or binary "
            "itself; embed with --precision float32"
        )
    if not plan.search["documents"]:
        raise InputError(
            f"{folder} holds vectors that were not made as the model embeds documents (by its prompt, or their "
            "length): searches would find the wrong rows; embed with --prompt-name document, or without other options"
        )


def _watched(rows: Iterator[Rows], bar: Progress) -> Iterator[Rows]:
    for some in rows:
        bar.advance(len(some.vectors))
        yield some


def rows_of(folder: Place, plan: Plan, wanted: Array | None = None) -> Iterator[Rows]:  # (texts,) bool
    """The rows of all shards that have a vector, in order, a few at a time; with `wanted`, only the marked ones."""
    before = 0
    for number, (shard, start) in enumerate(zip(plan.shards, plan.starts(), strict=True)):
        path, some = folder / name_of(number, plan.form), wanted
        if wanted is not None:
            some = wanted[before : before + shard.texts]
            before += shard.texts
            if not some.any():
                continue
        rows = _parquet_rows(path, plan, start) if plan.form == "parquet" else _tensor_rows(path)
        yield from rows if some is None else _wanted(rows, some)


def _wanted(rows: Iterator[Rows], wanted: Array) -> Iterator[Rows]:
    start = 0
    for some in rows:
        here = np.flatnonzero(wanted[start : start + len(some.records)])
        start += len(some.records)
        if len(here):
            yield Rows(some.vectors[here], [some.records[i] for i in here.tolist()])


def _parquet_rows(path: Place, plan: Plan, start: int) -> Iterator[Rows]:
    own = None if plan.search["id"] is None else column_of(plan.search["id"])
    text = column_of(plan.search["text"])
    for batch, vectors, valid in vectors_in(path):
        rest = batch.select([name for name in batch.schema.names if name != EMBEDDING])
        known = _as_python(rest)
        rows = ((i, f"{path}, row {i + 1}") for i in valid)
        records = [
            _record(ArrowRow(rest, i, place) if known is None else known[i], place, start + i + 1, text, own)
            for i, place in rows
        ]
        yield Rows(vectors, records)
        start += len(batch)


def _as_python(batch: Any) -> list[dict[str, Any]] | None:
    """All rows of a batch at once; None if a value needs conversion one by one."""
    try:
        return batch.to_pylist() if len(set(batch.schema.names)) == batch.num_columns else None
    except (ValueError, OverflowError):
        return None


def _record(row: Mapping[str, Any], place: str, number: int, text: Column, own: Column | None) -> Record:
    name = number if own is None else id_of(value_of(row, own), own.name, place)
    fields = plain_row(row)
    found = None
    if text.path[0] in fields:
        found = text_of(value_of(row, text), text.name, place)
        if len(text.path) == 1:
            fields.pop(text.path[0])
    return name, found, ENCODE(fields) if fields else None


def _tensor_rows(path: Place) -> Iterator[Rows]:
    with on_disk(path) as local, safe_open(local, "np") as file:
        ids = ids_from({name: file.get_tensor(name) for name in file.keys() if name != TENSOR})
        vectors = file.get_slice(TENSOR)
        for at in range(0, len(ids), BATCH):
            some = ids[at : at + BATCH]
            yield Rows(vectors[at : at + len(some)], [(name, None, None) for name in some])
