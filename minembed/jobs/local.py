"""A job on this machine: a loop over shards that goes on where it stopped."""

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from minembed.data.json_kinds import kind_from
from minembed.data.layout import Extra
from minembed.data.pairing import Pair, paired, recut
from minembed.data.texts import LOG, Selection, TextRow
from minembed.errors import InputError, TruncationWarning, warn
from minembed.jobs.folder import Report, begin, begun_plan, finish, is_finished, missing_shards, working_in, writing
from minembed.jobs.inputs import Inputs, find_files, open_inputs
from minembed.jobs.model_files import digest_of
from minembed.jobs.plan import Plan, ShardForm, check_same
from minembed.jobs.shards import name_of, sizes_of, with_ids, write_shard
from minembed.jobs.survey import rows_a_shard, survey, visible
from minembed.models.embedder import Embedder
from minembed.models.options import EncodeOptions, Options
from minembed.runtime.backend import resolve
from minembed.runtime.progress import CHARACTERS, Progress
from minembed.search.index_model import name_of as model_name
from minembed.transformer.vectors import quantize_embeddings
from minembed.types import Array, TextFormat
from minembed.version import __version__

EMBEDDING = "embedding"  # the column of the vectors
OF_BYTES = ("ranges", "calibration_embeddings")  # options that are arrays
FREE = ("batch_size", "show_progress_bar")  # options that change no vector


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a job: which texts, what is written, and how they become vectors."""

    inputs: Sequence[str | Path]
    folder: Path
    selection: Selection = field(default_factory=Selection)
    keep: str | None = None
    form: ShardForm = "parquet"
    shard_rows: int | None = None
    options: EncodeOptions = field(default_factory=EncodeOptions)

    def reading(self) -> dict[str, Any]:
        """How the inputs are read, as a plan has it."""
        said = asdict(self.selection.reading)
        own = self.selection
        return said | {
            "field": own.column,
            "missing": own.missing,
            "id": own.identity,
            "keep": self.keep,
            "shard_rows": self.shard_rows,
        }

    def settings(self) -> dict[str, Any]:
        """The options that change vectors, as a plan has them: of an array its checksum."""
        checked = Options(**self.options)
        found: dict[str, Any] = asdict(replace(checked, ranges=None, calibration_embeddings=None))
        for name in (*FREE, "output_value", "device", "convert_to_numpy"):
            del found[name]
        for name in OF_BYTES:
            array: Any = self.options.get(name)
            found[name] = None if array is None else hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return found


def embed_inputs(request: Request, model: Embedder, show_progress_bar: bool | None = None) -> Report:
    """Embed all texts of the inputs into a folder of shards, or go on where that stopped.

    Raises InputError where an input, the model or a setting is another than when the job began, with what differs;
    SourceError, an OSError with its errno, where the disk fails.  What is in the folder then is whole, and the same
    call goes on.
    """
    if request.form == "parquet":
        from minembed.data.arrow_rows import arrow_module

        arrow_module()
    elif request.keep is not None:
        raise InputError("shards in safetensors hold vectors and ids alone, so keep says nothing")
    with working_in(request.folder):
        plan, inputs, empty = _planned(request, model)
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


def _planned(request: Request, model: Embedder) -> tuple[Plan, Inputs, Array]:
    """The plan of the job in the folder, or a new one; its inputs, and an array (0, D) as vectors are."""
    settings = request.settings()
    options = Options(**request.options)
    width = model.engine.width(options.truncate_dim)
    empty = quantize_embeddings(
        np.zeros((0, width), np.float32), options.precision, options.ranges, options.calibration_embeddings
    )
    facts = {"sha256": digest_of(model), "dtype": model.dtype, "max_seq_length": model.max_seq_length}
    files, plan = find_files(request.inputs), begun_plan(request.folder)
    inside = next((path for path in files if path.resolve().is_relative_to(request.folder.resolve())), None)
    if inside is not None:
        raise InputError(f"{inside} is in the folder of the job itself: name another folder for the vectors")
    groups = {"model": facts, "settings": settings, "reading": request.reading()}
    kinds = None
    if plan is not None:
        check_same(plan, groups, files, request.folder)
        if plan.form != request.form:
            raise InputError(f"{request.folder} holds shards in {plan.form}: say so, or name another folder")
        kinds = None if plan.kinds is None else {name: kind_from(one) for name, one in plan.kinds.items()}
    extra = Extra(EMBEDDING, empty.dtype, empty.shape[1])
    form: TextFormat | None = "parquet" if request.form == "parquet" else None
    inputs = open_inputs(files, request.selection, request.keep, form, extra, kinds)
    if plan is None:
        rows = request.shard_rows or rows_a_shard(empty.dtype.itemsize * empty.shape[1])
        read, shards = survey(files, inputs.texts, rows, model.max_seq_length, form is not None)
        kinds_found = inputs.layout.kinds
        said = None if kinds_found is None else {name: asdict(kind) for name, kind in kinds_found.items()}
        plan = Plan(
            facts, settings, groups["reading"], request.form, read, shards, said, model_name(model), __version__
        )
        begin(request.folder, plan)
    return plan, replace(inputs, layout=replace(inputs.layout, extra=(extra,))), empty


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
