"""The local engine: a loop over shards, each written as its vectors are computed."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from minembed.data.columns import Column
from minembed.data.pairing import Pair, paired, recut
from minembed.data.texts import TextRow
from minembed.jobs.folder import writing
from minembed.jobs.inputs import Inputs
from minembed.jobs.plan import Plan
from minembed.jobs.planning import Request, facts_asked
from minembed.jobs.reuse import Known, known_vectors, reusing
from minembed.jobs.shards import name_of, sizes_of, with_ids, write_shard
from minembed.jobs.survey import visible
from minembed.models.embedder import Embedder
from minembed.models.options import Options
from minembed.runtime.backend import resolve
from minembed.types import Array
from minembed.version import __version__

Row = tuple[TextRow, Column | None]


@dataclass(frozen=True, slots=True)
class Job:
    """A job ready to run: the request, the model, the plan, the open inputs, and an empty array (0, D) of vectors."""

    request: Request
    model: Embedder
    plan: Plan
    inputs: Inputs
    empty: Array


@dataclass(frozen=True, slots=True)
class Made:
    """Counts from making some shards."""

    reused: int = 0  # vectors from an older job
    cut: int = 0  # texts that were truncated to the model's limit


@dataclass(slots=True)
class Reader:
    """The rows of one shard after another; inputs are read only once if the numbers of shards increase."""

    inputs: Inputs
    plan: Plan
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    last: Iterator[Row] = field(default_factory=lambda: iter(()))  # of the last requested shard
    at: int | None = None  # the next shard; None before the first, and after an error

    def shard(self, number: int) -> Iterator[Row]:
        """The rows of a shard."""
        at, self.at = self.at, None
        if at is None or number < at:
            at, self.rows = 0, self.inputs.rows()
        else:
            skip(self.last)
        for shard in self.plan.shards[at:number]:
            skip(islice(self.rows, shard.rows))
        self.at, self.last = number + 1, islice(self.rows, self.plan.shards[number].rows)
        return self.last


def skip(rows: Iterator[Row]) -> None:
    """Read rows to their end.

    >>> skip(iter([]))
    """
    for _ in rows:
        pass


def older_vectors(job: Job) -> AbstractContextManager[Known | None]:
    """A context with the vectors of an older job; None if none are reused.

    >>> older_vectors(Job(Request([], Path("out")), None, None, None, None)).__enter__()
    """
    request = job.request
    if request.reuse is None:
        return nullcontext()
    local = request.engine == "local" and isinstance(request.folder, Path)
    work = Path(str(request.folder)) if local else None  # otherwise in the folder of temporary files
    return known_vectors(request.reuse, facts_asked(request, job.model), job.empty, work)


def make_shards(
    job: Job, reader: Reader, numbers: Sequence[int], advance: Callable[[int], None], older: Known | None = None
) -> Made:
    """Embed the shards with these numbers, one after another, and write them.

    `advance` is called with the number of characters that were processed; `older` are vectors that exist already.
    """
    request, model, plan = job.request, job.model, job.plan
    options, cut, known = replace(Options(**request.options), show_progress_bar=False), list[int](), list[int]()
    stream = partial(model.engine.stream, options=options, tell_cut=lambda some: cut.append(len(some)))
    rows = (row for number in numbers for row in reader.shard(number))
    texts = (row for row, _ in rows) if request.form == "parquet" else with_ids(rows)
    counts, starts = [_written(plan, number) for number in numbers], plan.starts()
    pairs = paired(stream, texts, None) if older is None else reusing(stream, texts, older, known)
    watched = _watched(pairs, advance, visible(model.max_seq_length))
    blocks = recut(watched, (size for count in counts for size in sizes_of(count)))
    for number, count in zip(numbers, counts, strict=True):
        about = {"job": plan.identity(), "shard": number, "first_row": starts[number], **_machine(model)}
        with writing(request.folder, name_of(number, plan.form)) as file:
            own = islice(blocks, len(list(sizes_of(count))))
            write_shard(file, plan.form, job.inputs.layout, own, job.empty, about)
    return Made(sum(known), sum(cut))


def _written(plan: Plan, number: int) -> int:
    """The number of rows in a shard's file."""
    shard = plan.shards[number]
    return shard.rows if plan.form == "parquet" else shard.texts


def _watched(pairs: Iterator[Pair], advance: Callable[[int], None], limit: int) -> Iterator[Pair]:
    for rows, vectors in pairs:
        advance(sum(min(len(row.text or ""), limit) for row in rows))
        yield rows, vectors


def _machine(model: Embedder) -> Mapping[str, str]:
    """What else the bits depend on: the processor, the backend and the version."""
    kernels = model.backend != "numpy"
    cpu = resolve("describe", model.backend)() if kernels else platform.machine()
    return {"cpu": cpu, "backend": model.backend, "minembed": __version__}
