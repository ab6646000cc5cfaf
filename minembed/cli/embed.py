"""`minembed embed`: texts in, vectors out."""

import shutil
import sys
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, get_args

import click

from minembed.cli.console import as_text, existing_file, on_interrupt, prints_to_terminal
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import check_places, id_option, keep_option, selection_options
from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.types import Precision, Truncation

if TYPE_CHECKING:
    from minembed.cli.embed_rows import Incoming, Pairs, Wanted
    from minembed.data.layout import Layout
    from minembed.types import Array


def check_output(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file name whose ending tells no form."""
    if value is not None:
        from minembed.data.layout import form_of_output
        from minembed.data.vectors import VECTORS

        try:
            form_of_output(value.name, VECTORS)
        except InputError as error:
            raise click.BadParameter(str(error), ctx, parameter) from error
    return value


def read_ranges(path: Path) -> "Array":  # -> (2, D): minimum and maximum of each column
    """Take the ranges of int8 from vectors in a .npy file; raises InputError for anything else."""
    import numpy as np

    from minembed.data.vectors import open_npy

    vectors = open_npy(path)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not len(vectors):
        raise InputError(f"{path} must hold float vectors, (N, D); make it with minembed embed -o")
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


def show(pairs: "Pairs", layout: "Layout") -> str:
    """Print a preview on a terminal, and JSON lines elsewhere."""
    import numpy as np

    from minembed.data.text_output import ROUNDED, json_lines
    from minembed.data.vectors import preview

    columns = shutil.get_terminal_size().columns
    for rows, vectors in pairs:
        if prints_to_terminal():
            with_text = [(row.text, vector) for row, vector in zip(rows, vectors, strict=True) if row.text is not None]
            block = np.array([vector for _, vector in with_text])
            shown = preview([text for text, _ in with_text], block, columns) if with_text else iter(())
        else:
            shown = json_lines(layout, ([row.row for row in rows], [vectors]), ROUNDED)
        for line in shown:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()
    return ""


def write(file: BinaryIO, empty: "Array", pairs: "Pairs", wanted: "Wanted", incoming: "Incoming") -> str:
    """Write the output file; returns what is told of it."""
    from minembed.cli.embed_rows import write_vectors
    from minembed.data.outputs import write_rows

    assert wanted.output is not None
    gone = 0

    def counted() -> "Pairs":
        nonlocal gone
        for rows, vectors in pairs:
            gone += sum(row.text is None for row in rows)
            yield rows, vectors

    if wanted.form is None:
        number = write_vectors(file, wanted.output, empty, counted(), wanted, incoming.identity)
    else:
        blocks = (([row.row for row in rows], [vectors]) for rows, vectors in counted())
        number = write_rows(file, wanted.form, incoming.layout, blocks)
    told = f"{wanted.output}: {number - gone:,} vectors of {empty.shape[1]} {empty.dtype} numbers"
    return told + (f", {gone:,} rows without one" if gone else "")


@click.command("embed", short_help="Turn texts into vectors.")
@click.argument("texts", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="A text a line, or a table of any form, packed or not; - is standard input.",
)
@id_option
@keep_option
@selection_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=check_output,
    help="Vectors: .npy, .npz (with ids), .safetensors; rows with their vectors: .csv, .tsv, .jsonl, .json, .parquet, "
    ".feather; default: to the screen, rounded.",
)
@model_options
@click.option("--normalize/--no-normalize", default=None, help="Scale to length 1; default: as the model says.")
@click.option("--prompt-name", metavar="NAME", help="Put this prompt of the model in front of every text.")
@click.option("--prompt", metavar="TEXT", help="Put these words in front of every text.")
@click.option("--truncate-dim", type=click.IntRange(min=1), metavar="N", help="Keep the first N numbers of a vector.")
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
    help="float vectors that give int8 and uint8 their range.",
)
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Read at most N tokens of a text.")
@click.option(
    "--truncation",
    type=click.Choice(get_args(Truncation)),
    default="warn",
    show_default=True,
    help="What to do about longer texts.",
)
@click.option("--batch-size", type=click.IntRange(min=1), metavar="N", help="Compute at most N texts together.")
def command(
    texts: tuple[str, ...],
    source: Path | None,
    keep: str | None,
    selection: Selection,
    output: Path | None,
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

    Texts are read and vectors written as they come, so files may be larger than memory.  An output file appears
    whole or not at all.  A table has all columns of the rows that were read, or those of --keep, and "embedding"; with
    --missing skip, a row without a text stays, without a vector.  .npy, .npz and .safetensors hold vectors alone, and
    leave such rows out.

    \b
    minembed embed "a text" "another"
    minembed embed -i texts.txt -o vectors.npy
    minembed embed -i shop.csv --field description -o shop.parquet
    minembed embed -i shop.csv --field description --id sku -o vectors.npz
    grep ERROR server.log | minembed embed - > vectors.jsonl
    """
    if precision in ("int8", "uint8") and calibration is None:
        raise click.UsageError(f"--precision {precision} needs --calibration")
    import numpy as np

    from minembed.cli.embed_rows import EMBEDDING, Wanted, from_arguments, from_file, paired
    from minembed.runtime.files import replacing
    from minembed.transformer.vectors import quantize_embeddings

    texts, source = check_places(texts, source)
    wanted = Wanted(output, keep, selection.identity)
    wanted.check(source is not None)
    with ExitStack() as stack:
        stack.enter_context(on_interrupt(lambda: left_over(output)))
        if source is None:
            incoming = from_arguments(map(as_text, texts))
        else:
            incoming = from_file(source, selection, wanted, lambda: stack.enter_context(wanted.work_file()))
        ranges = None if calibration is None else read_ranges(calibration)
        file = None if output is None else stack.enter_context(replacing(output))  # before the work, not after it
        loaded = load_model(choice, max_seq_length)
        stream = partial(
            loaded.stream,
            normalize_embeddings=normalize,
            prompt_name=prompt_name,
            prompt=prompt,
            truncate_dim=truncate_dim,
            precision=precision,
            ranges=ranges,
            show_progress_bar=None if output or not prints_to_terminal() else False,
            truncation=truncation,
            batch_size=batch_size,
        )
        empty = quantize_embeddings(np.zeros((0, loaded.engine.width(truncate_dim)), np.float32), precision, ranges)
        extra = replace(EMBEDDING, kind=empty.dtype, width=empty.shape[1])
        incoming = replace(incoming, layout=replace(incoming.layout, extra=(extra,)))
        pairs = paired(stream, incoming.rows, incoming.total)
        told = show(pairs, incoming.layout) if file is None else write(file, empty, pairs, wanted, incoming)
    if told:
        click.echo(told, err=True)


def left_over(output: Path | None) -> str:
    """What is said where the command is interrupted.

    >>> left_over(Path("x.npy"))
    'nothing is kept, and x.npy is as it was; the same command begins again'
    """
    if output is None:
        return "what was printed is whole; the same command begins again"
    return f"nothing is kept, and {output} is as it was; the same command begins again"
