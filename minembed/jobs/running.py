"""Run a job: make the missing shards in its folder."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

from minembed.data.arrow_rows import arrow_module
from minembed.data.texts import LOG
from minembed.errors import InputError, MissingExtraError, SourceError, TruncationWarning, warn
from minembed.jobs.folder import Report, finish, is_finished, missing_shards, working_in
from minembed.jobs.local import Job, Made, Reader, make_shards, older_vectors
from minembed.jobs.plan import Plan
from minembed.jobs.planning import Request, plan_job
from minembed.models.embedder import Embedder
from minembed.runtime.progress import CHARACTERS, Progress


def embed_inputs(request: Request, model: Embedder, show_progress_bar: bool | None = None) -> Report:
    """Embed all texts of the inputs into a folder of shards, or continue where that stopped.

    Raises InputError if an input, the model or a setting has changed since the job began, with the difference;
    SourceError, an OSError with its errno, if the disk fails.  All files in the folder are complete then, and the same
    call continues.
    """
    if request.form == "parquet":
        _check_arrow()
    elif request.keep is not None:
        raise InputError("shards in safetensors hold vectors and ids alone, so keep says nothing")
    with _cluster(request, model), working_in(request.folder):
        job = Job(request, model, *plan_job(request, model))
        plan = job.plan
        numbers, made = missing_shards(request.folder, plan, LOG.info), Made()
        if len(numbers) < len(plan.shards):
            told = f"{request.folder}: {len(plan.shards) - len(numbers):,} of {len(plan.shards):,} shards are there"
            LOG.info(told + ("; going on" if numbers else ""))
        if numbers:
            with Progress(
                range(_work(plan)), CHARACTERS, show_progress_bar, done=_work(plan) - _work(plan, numbers)
            ) as bar:
                made = _make(job, numbers, bar)
        if numbers or not is_finished(request.folder, plan):
            finish(request.folder, plan)
    return Report(request.folder, plan.rows, plan.texts, len(plan.shards), len(numbers), made.reused)


def _cluster(request: Request, model: Embedder) -> AbstractContextManager[None]:
    """The context in which an engine runs."""
    if request.engine == "local":
        return nullcontext()
    from minembed.jobs.on_ray import cluster

    return cluster(request, model)


def _work(plan: Plan, numbers: Iterable[int] | None = None) -> int:
    """The work in some shards, or in all, in characters."""
    return sum(plan.shards[number].work for number in (range(len(plan.shards)) if numbers is None else numbers))


def _make(job: Job, numbers: Sequence[int], bar: Progress) -> Made:
    """Make the shards with these numbers with the requested engine."""
    if job.request.engine == "ray":
        from minembed.jobs.on_ray import make_on_ray

        made = make_on_ray(job, numbers, bar.advance)
        lost = missing_shards(job.request.folder, job.plan, LOG.info)
        if lost:  # another disk under the same name, or a file system that shows files late
            raise SourceError(
                f"workers made {len(lost):,} shards of {job.request.folder} that this machine does not see: "
                "the folder must be one folder for all nodes; the same call continues"
            )
    else:
        with older_vectors(job) as older:
            made = make_shards(job, Reader(job.inputs, job.plan), numbers, bar.advance, older)
    if made.cut and job.request.options.get("truncation", "warn") == "warn":
        warn(f"{made.cut:,} texts longer than {job.model.max_seq_length} tokens were cut", TruncationWarning)
    return made


def _check_arrow() -> None:
    """Raise MissingExtraError, which names the form that works without pyarrow, if it is missing."""
    try:
        arrow_module()
    except MissingExtraError as error:
        raise MissingExtraError(f"{error}; or write shards in safetensors: --shard-form safetensors") from error
