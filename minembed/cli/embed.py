"""`minembed embed`: texts in, vectors out."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from minembed.cli.console import existing_file
from minembed.cli.model_choice import ModelChoice, model_options
from minembed.cli.passages import check_places, id_option, keep_option, selection_options
from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.types import Precision, Truncation

if TYPE_CHECKING:
    from minembed.jobs.plan import Engine, ShardForm
    from minembed.models.options import EncodeOptions
    from minembed.types import Array


def check_output(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Refuse a file name whose ending names no format."""
    if value is not None and not is_folder(value):
        from minembed.data.layout import form_of_output
        from minembed.data.vectors import VECTORS

        try:
            form_of_output(Path(value).name, VECTORS)
        except InputError as error:
            hint = f"; a folder, {value}/, gets shards" if "." not in Path(value).name else ""
            raise click.BadParameter(f"{error}{hint}", ctx, parameter) from error
    return value


def read_ranges(path: Path) -> "Array":  # -> (2, D): minimum and maximum of each column
    """Compute the ranges of int8 from vectors in a .npy file; raises InputError for anything else."""
    import numpy as np

    from minembed.data.vectors import open_npy

    vectors = open_npy(path)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not len(vectors):
        raise InputError(f"{path} must hold float vectors, (N, D); make it with minembed embed -o")
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


@click.command("embed", short_help="Turn texts into vectors.")
@click.argument("texts", nargs=-1)
@click.option(
    "-i",
    "--input",
    "sources",
    multiple=True,
    type=click.Path(),
    metavar="FILE",
    help="One text per line, or a table in any format, also compressed; - is standard input.",
)
@id_option
@keep_option
@selection_options
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    metavar="FILE|FOLDER/",
    callback=check_output,
    help="Vectors: .npy, .npz (with ids), .safetensors; rows with their vectors: .csv, .tsv, .jsonl, .json, .parquet, "
    ".feather; a folder gets shards, and can be continued; default: to the screen, rounded.",
)
@click.option("--status", is_flag=True, help="Show the progress of the job in the folder of -o.")
@click.option(
    "--shard-rows",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows per shard, at most; default: about 32 MB of vectors.",
)
@click.option(
    "--shard-form", type=click.Choice(("parquet", "safetensors")), help="Format of the shards; default: parquet."
)
@click.option(
    "--reuse",
    metavar="FOLDER",
    help="An older job; its vectors are reused for texts that it contains.",
)
@click.option(
    "--engine", type=click.Choice(("local", "ray")), help="What computes the shards; default: local. ray: a cluster."
)
@model_options
@click.option("--normalize/--no-normalize", default=None, help="Scale to length 1; default: as the model says.")
@click.option("--prompt-name", metavar="NAME", help="Prepend this prompt of the model to every text.")
@click.option("--prompt", metavar="TEXT", help="Prepend this text to every text.")
@click.option(
    "--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of each vector."
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Type of the numbers.",
)
@click.option(
    "--calibration",
    type=existing_file(),
    metavar="FILE.npy",
    help="Float vectors that define the range of int8 and uint8.",
)
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Read at most N tokens of each text.")
@click.option(
    "--truncation",
    type=click.Choice(get_args(Truncation)),
    default="warn",
    show_default=True,
    help="What to do with longer texts.",
)
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Compute at most N texts together.")
def command(
    texts: tuple[str, ...],
    sources: tuple[str, ...],
    keep: str | None,
    selection: Selection,
    output: str | None,
    status: bool,
    shard_rows: int | None,
    shard_form: "ShardForm | None",
    reuse: str | None,
    engine: "Engine | None",
    choice: ModelChoice,
    normalize: bool | None,
    prompt_name: str | None,
    prompt: str | None,
    truncate_dim: int | None,
    precision: Precision,
    calibration: Path | None,
    max_seq_length: int | None,
    truncation: Truncation,
    batch_size: int | None,
) -> None:
    """Turn texts into vectors, in order: from the arguments, a file, or standard input.

    Texts are read and vectors are written piece by piece, so files may be larger than memory. An output file is written
    completely or not at all. Output tables have the columns that were read, or those of --keep, and "embedding"; with
    --missing skip, a row without a text stays, without a vector. .npy, .npz and .safetensors hold only vectors, and
    skip such rows.

    With -o FOLDER/ it is a job: inputs are files, folders and patterns, and the folder gets shards, each complete or
    absent. If the job is interrupted, the same command continues where it stopped; --status shows its progress.

    \b
    minembed embed "a text" "another"
    minembed embed -i texts.txt -o vectors.npy
    minembed embed -i shop.csv --field description -o shop.parquet
    minembed embed -i shop.csv --field description --id sku -o vectors.npz
    minembed embed texts/ more/*.csv --field body -o vectors/
    grep ERROR server.log | minembed embed - > vectors.jsonl
    """
    if status:
        if output is None or not is_folder(output):
            raise click.UsageError("--status needs the folder of a job: -o FOLDER/")
        return show_status(output)
    if precision in ("int8", "uint8") and calibration is None:
        raise click.UsageError(f"--precision {precision} needs --calibration")
    options: EncodeOptions = {
        "normalize_embeddings": normalize,
        "prompt_name": prompt_name,
        "prompt": prompt,
        "truncate_dim": truncate_dim,
        "precision": precision,
        "ranges": None if calibration is None else read_ranges(calibration),
        "truncation": truncation,
        "batch_size": batch_size,
    }
    if output is not None and (is_folder(output) or len(sources) > 1):
        from minembed.cli.embed_job import run_job
        from minembed.jobs.planning import Request
        from minembed.runtime.places import as_place

        inputs = (*sources, *texts)
        form = shard_form or "parquet"
        older = None if reuse is None else as_place(reuse)
        folder = as_place(output)
        request = Request(inputs, folder, selection, keep, form, shard_rows, options, older, engine or "local")
        told = run_job(request, choice, max_seq_length)
    else:
        from minembed.cli.embed_file import embed_file

        if any(one is not None for one in (shard_rows, shard_form, reuse, engine)):
            raise click.UsageError("--shard-rows, --shard-form, --reuse and --engine need a job: -o FOLDER/")
        texts, source = check_places(texts, single(sources))
        place = None if output is None else Path(output)
        told = embed_file(texts, source, place, selection, keep, choice, max_seq_length, options)
    if told:
        click.echo(told, err=True)


def single(sources: tuple[str, ...]) -> Path | None:
    """The one file to read; raises UsageError for several, and for something that is not a file."""
    if len(sources) > 1:
        raise click.UsageError("several inputs need a folder for shards: -o FOLDER/")
    if not sources:
        return None
    if "://" in sources[0]:
        raise click.UsageError(f"{sources[0]}: what is read by URL becomes a folder of shards: -o FOLDER/")
    if Path(sources[0]).is_dir():
        raise click.UsageError(f"{sources[0]} is a folder; its files need a folder for shards: -o FOLDER/")
    context = click.get_current_context()
    parameter = next(one for one in context.command.params if one.name == "sources")
    kind = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
    found: Path = kind.convert(sources[0], parameter, context)
    return found


def is_folder(output: str) -> bool:
    """Whether an output is a folder of shards: it ends in "/", or is an existing folder.

    >>> is_folder("out/"), is_folder("x.npy")
    (True, False)
    """
    if "://" not in output:
        return output.endswith(("/", os.sep)) or Path(output).is_dir()
    if Path(output).suffix and not output.endswith("/"):
        raise click.UsageError(f"{output}: at a URL, shards are written into a folder: {output}/")
    return True


def show_status(output: str) -> None:
    """Print the progress of the job in a folder."""
    from minembed.jobs.state import status

    for line in status(output).lines():
        click.echo(line)
