"""A job on this machine: a loop over shards that goes on where it stopped."""

import platform
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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
from minembed.jobs.planning import Request, facts_asked, plan_job
from minembed.jobs.reuse import known_vectors, reusing
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
        numbers, reused = missing_shards(request.folder, plan, LOG.info), 0
        if len(numbers) < len(plan.shards):
            told = f"{request.folder}: {len(plan.shards) - len(numbers):,} of {len(plan.shards):,} shards are there"
            LOG.info(told + ("; going on" if numbers else ""))
        if numbers:
            with Progress(
                range(_work(plan)), CHARACTERS, show_progress_bar, done=_work(plan) - _work(plan, numbers)
            ) as bar:
                reused = _embed(request, model, plan, inputs, numbers, empty, bar)
        if numbers or not is_finished(request.folder, plan):
            finish(request.folder, plan)
    return Report(request.folder, plan.rows, plan.texts, len(plan.shards), len(numbers), reused)


def _work(plan: Plan, numbers: Iterable[int] | None = None) -> int:
    """How much there is to read in some shards, or in all."""
    return sum(plan.shards[number].work for number in (range(len(plan.shards)) if numbers is None else numbers))


def _embed(
    request: Request, model: Embedder, plan: Plan, inputs: Inputs, numbers: Sequence[int], empty: Array, bar: Progress
) -> int:
    """Embed the shards with these numbers, one after the other; returns how many vectors were known."""
    options, cut, known = replace(Options(**request.options), show_progress_bar=False), list[int](), list[int]()
    stream = partial(model.engine.stream, options=options, tell_cut=lambda some: cut.append(len(some)))
    rows = _rows_of(inputs, plan, numbers)
    texts = (row for row, _ in rows) if request.form == "parquet" else with_ids(rows)
    counts, starts = [_written(plan, number) for number in numbers], plan.starts()
    with ExitStack() as stack:
        if request.reuse is None:
            pairs = paired(stream, texts, None)
        else:
            facts = facts_asked(request, model)
            older = stack.enter_context(known_vectors(request.reuse, facts, empty, request.folder))
            pairs = reusing(stream, texts, older, known)
        watched = _watched(pairs, bar, visible(model.max_seq_length))
        blocks = recut(watched, (size for count in counts for size in sizes_of(count)))
        for number, count in zip(numbers, counts, strict=True):
            about = {"job": plan.identity(), "shard": number, "first_row": starts[number], **_machine(model)}
            with writing(request.folder, name_of(number, plan.form)) as file:
                own = islice(blocks, len(list(sizes_of(count))))
                write_shard(file, plan.form, inputs.layout, own, empty, about)
    if sum(cut) and options.truncation == "warn":
        warn(f"{sum(cut):,} texts longer than {model.max_seq_length} tokens were cut", TruncationWarning)
    return sum(known)


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
