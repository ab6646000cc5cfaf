"""A job on this machine: a loop over shards that goes on where it stopped."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any

from minembed.data.arrow_rows import arrow_module
from minembed.data.pairing import Pair, paired, recut
from minembed.data.texts import LOG, TextRow
from minembed.errors import InputError, TruncationWarning, warn
from minembed.jobs.folder import Report, finish, is_finished, missing_shards, working_in, writing
from minembed.jobs.inputs import Inputs
from minembed.jobs.plan import Plan
from minembed.jobs.planning import Request, plan_job
from minembed.jobs.shards import name_of, sizes_of, with_ids, write_shard
from minembed.jobs.survey import visible
from minembed.models.embedder import Embedder
from minembed.models.options import Options
from minembed.runtime.backend import resolve
from minembed.runtime.progress import CHARACTERS, Progress
from minembed.types import Array
from minembed.version import __version__


def embed_inputs(request: Request, model: Embedder, show_progress_bar: bool | None = None) -> Report:
    """Embed all texts of the inputs into a folder of shards, or go on where that stopped.

    Raises InputError where an input, the model or a setting is another than when the job began, with what differs;
    SourceError, an OSError with its errno, where the disk fails.  What is in the folder then is whole, and the same
    call goes on.
    """
    if request.form == "parquet":
        arrow_module()
    elif request.keep is not None:
        raise InputError("shards in safetensors hold vectors and ids alone, so keep says nothing")
    with working_in(request.folder):
        plan, inputs, empty = plan_job(request, model)
        numbers = missing_shards(request.folder, plan, LOG.info)
        if len(numbers) < len(plan.shards):
            LOG.info(
                f"{request.folder}: {len(plan.shards) - len(numbers):,} of {len(plan.shards):,} shards are there"
                + ("; going on" if numbers else "")
            )
        _embed(request, model, plan, inputs, numbers, empty, show_progress_bar)
        if numbers or not is_finished(request.folder, plan):
            finish(request.folder, plan)
    return Report(request.folder, plan.rows, plan.texts, len(plan.shards), len(numbers))


def _embed(
    request: Request,
    model: Embedder,
    plan: Plan,
    inputs: Inputs,
    numbers: Sequence[int],
    empty: Array,
    show: bool | None,
) -> None:
    """Embed the shards with these numbers, one after the other."""
    if not numbers:
        return
    options, cut = replace(Options(**request.options), show_progress_bar=False), list[int]()
    rows = _rows_of(inputs, plan, numbers)
    texts = (row for row, _ in rows) if request.form == "parquet" else with_ids(rows)
    total = sum(shard.work for shard in plan.shards)
    done = total - sum(plan.shards[number].work for number in numbers)
    counts = [_written(plan, number) for number in numbers]
    with Progress(range(total), CHARACTERS, show, done=done) as bar:
        stream = partial(model.engine.stream, options=options, tell_cut=lambda some: cut.append(len(some)))
        pairs = _watched(paired(stream, texts, None), bar, visible(model.max_seq_length))
        blocks = recut(pairs, (size for count in counts for size in sizes_of(count)))
        starts = plan.starts()
        for number, count in zip(numbers, counts, strict=True):
            about = {"job": plan.identity(), "shard": number, "first_row": starts[number], **_machine(model)}
            with writing(request.folder, name_of(number, plan.form)) as file:
                own = islice(blocks, len(list(sizes_of(count))))
                write_shard(file, plan.form, inputs.layout, own, empty, about)
    if sum(cut) and options.truncation == "warn":
        warn(f"{sum(cut):,} texts longer than {model.max_seq_length} tokens were cut", TruncationWarning)


def _written(plan: Plan, number: int) -> int:
    """How many rows a shard's file has."""
    shard = plan.shards[number]
    return shard.rows if plan.form == "parquet" else shard.texts


def _rows_of(inputs: Inputs, plan: Plan, numbers: Sequence[int]) -> Iterator[tuple[TextRow, Any]]:
    """The rows of some shards, from inputs that are read from the beginning."""
    wanted, rows = frozenset(numbers), inputs.rows()
    for number, shard in enumerate(plan.shards[: max(numbers) + 1]):
        some = islice(rows, shard.rows)
        if number in wanted:
            yield from some
        else:
            for _ in some:
                pass


def _watched(pairs: Iterator[Pair], bar: Progress, limit: int) -> Iterator[Pair]:
    for rows, vectors in pairs:
        bar.advance(sum(min(len(row.text or ""), limit) for row in rows))
        yield rows, vectors


def _machine(model: Embedder) -> Mapping[str, str]:
    """What else bits depend on: the processor, what computed, and the version."""
    kernels = model.backend != "numpy"
    cpu = resolve("describe", model.backend)() if kernels else platform.machine()
    return {"cpu": cpu, "backend": model.backend, "minembed": __version__}
