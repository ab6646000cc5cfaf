"""`minembed embed -o FOLDER/`: a job, which continues where it stopped."""

import click

from minembed.cli.console import on_interrupt
from minembed.cli.model_choice import ModelChoice, load_model
from minembed.errors import MinembedError
from minembed.jobs.planning import Request
from minembed.jobs.running import embed_inputs
from minembed.jobs.state import status
from minembed.runtime.store import Place


def run_job(request: Request, choice: ModelChoice, max_seq_length: int | None) -> str:
    """Run a job, or continue it; returns a description of the result."""
    if not request.inputs:
        raise click.UsageError("no inputs: name files, folders or patterns")
    with on_interrupt(lambda: kept_in(request.folder)):
        report = embed_inputs(request, load_model(choice, max_seq_length))
    parts = [f"{request.folder}: {counted(report.texts, 'vector')}"]
    if report.rows > report.texts:
        parts.append(f"{counted(report.rows - report.texts, 'row')} without one")
    if report.reused:
        parts.append(f"{report.reused:,} of them from {request.reuse}")
    return f"{', '.join(parts)}, in {counted(report.shards, 'shard')}"


def counted(number: int, what: str) -> str:
    """A number with its unit, in the singular or the plural.

    >>> counted(1, "shard"), counted(2000, "row")
    ('1 shard', '2,000 rows')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def kept_in(folder: Place) -> str:
    """The message if the command is interrupted.

    >>> from pathlib import Path
    >>> kept_in(Path("no such folder"))
    'nothing is kept; the same command begins again'
    """
    try:
        state = status(folder)
    except (MinembedError, OSError):
        return "nothing is kept; the same command begins again"
    return f"{state.rows_done:,} of {state.rows:,} rows are kept in {folder}; the same command continues"
