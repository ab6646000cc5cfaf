"""`minembed embed -o FOLDER/`: a job, which goes on where it stopped."""

from collections.abc import Sequence
from pathlib import Path

import click

from minembed.cli.console import on_interrupt
from minembed.cli.model_choice import ModelChoice, load_model
from minembed.data.texts import Selection
from minembed.errors import MinembedError
from minembed.jobs.local import embed_inputs
from minembed.jobs.plan import ShardForm
from minembed.jobs.planning import Request
from minembed.jobs.state import status
from minembed.models.options import EncodeOptions


def run_job(
    inputs: Sequence[str],
    output: str,
    selection: Selection,
    keep: str | None,
    form: ShardForm | None,
    shard_rows: int | None,
    choice: ModelChoice,
    max_seq_length: int | None,
    options: EncodeOptions,
) -> str:
    """Embed all inputs into a folder of shards, or go on with that; returns what is told of it."""
    if not inputs:
        raise click.UsageError("no inputs: name files, folders or patterns")
    folder = Path(output)
    request = Request(inputs, folder, selection, keep, form or "parquet", shard_rows, options)
    with on_interrupt(lambda: kept_in(folder)):
        report = embed_inputs(request, load_model(choice, max_seq_length))
    without = f", {report.rows - report.texts:,} rows without one" if report.rows > report.texts else ""
    return f"{folder}: {report.texts:,} vectors{without}, in {report.shards:,} shards"


def kept_in(folder: Path) -> str:
    """What is said where the command is interrupted.

    >>> kept_in(Path("no such folder"))
    'nothing is kept; the same command begins again'
    """
    try:
        state = status(folder)
    except (MinembedError, OSError):
        return "nothing is kept; the same command begins again"
    return f"{state.rows_done:,} of {state.rows:,} rows are kept in {folder}; the same command goes on"
