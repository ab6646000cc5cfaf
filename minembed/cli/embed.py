"""`minembed embed`: texts in, vectors out."""

import shutil
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from minembed.cli.console import as_text, existing_file, load_model, model_options, prints_to_terminal
from minembed.cli.passages import check_not_terminal, check_places, selection_options
from minembed.data.source import Source
from minembed.data.texts import LOG, Selection, open_texts
from minembed.types import Backend, Dtype, Precision, Truncation

if TYPE_CHECKING:
    from minembed.types import Array

OUTPUTS = (".npy", ".jsonl", ".safetensors", ".parquet")


def check_output(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file name whose ending tells no format."""
    if value is not None and value.suffix.lower() not in OUTPUTS:
        raise click.BadParameter(f"{value.name!r} must end in {', '.join(OUTPUTS)}", ctx, parameter)
    return value


def read_texts(source: Path, selection: Selection) -> Iterator[str]:
    """Open a file and tell how it is read; the texts come as they are needed."""
    check_not_terminal(source)
    read = open_texts(Source.of(source), selection)
    LOG.info(read.told(read.survey() if read.table.source.again else None))
    return (row.text for row in read.rows(whole_rows=False) if row.text is not None)


def read_ranges(path: Path) -> "Array":  # -> (2, D): minimum and maximum of each column
    """Take the ranges of int8 from vectors in a .npy file; raises InputError for anything else."""
    import numpy as np

    from minembed.data.vectors import open_npy
    from minembed.errors import InputError

    vectors = open_npy(path)
    if vectors.ndim != 2 or vectors.dtype.kind != "f" or not len(vectors):
        raise InputError(f"{path} must hold float vectors, (N, D); make it with minembed embed -o")
    return np.stack([vectors.min(axis=0), vectors.max(axis=0)])


def paired(
    stream: "Callable[[Iterator[str]], Iterator[Array]]", texts: Iterable[str]
) -> "Iterator[tuple[list[str], Array]]":
    """Yield blocks of vectors with the texts that they belong to, and keep no more than those.

    >>> import numpy as np
    >>> [texts for texts, _ in paired(lambda texts: iter([np.zeros((2, 1)) for _ in [list(texts)]]), ["a", "b"])]
    [['a', 'b']]
    """
    waiting: deque[str] = deque()

    def noted() -> Iterator[str]:
        for text in texts:
            waiting.append(text)
            yield text

    for block in stream(noted()):
        yield [waiting.popleft() for _ in range(len(block))], block


def show(blocks: "Iterator[tuple[list[str], Array]]") -> None:
    """Print a preview on a terminal, and JSON lines elsewhere."""
    from minembed.data.vectors import ROUNDED, json_lines, preview

    columns = shutil.get_terminal_size().columns
    for texts, block in blocks:
        shown = preview(texts, block, columns) if prints_to_terminal() else json_lines(texts, block, ROUNDED)
        for line in shown:
            sys.stdout.write(line + "\n")
        sys.stdout.flush()


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
@selection_options
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=check_output,
    help=".npy, .jsonl, .safetensors or .parquet; default: to the screen, rounded.",
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
    selection: Selection,
    output: Path | None,
    model: str,
    revision: str | None,
    offline: bool,
    threads: int | None,
    dtype: Dtype | None,
    backend: Backend,
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
    whole or not at all.

    \b
    minembed embed "a text" "another"
    minembed embed -i texts.txt -o vectors.npy
    minembed embed -i shop.csv --field description -o vectors.safetensors
    grep ERROR server.log | minembed embed - > vectors.jsonl
    """
    if precision in ("int8", "uint8") and calibration is None:
        raise click.UsageError(f"--precision {precision} needs --calibration")
    import numpy as np

    from minembed.data.vectors import WRITERS
    from minembed.runtime.files import replacing
    from minembed.transformer.vectors import quantize_embeddings

    texts, source = check_places(texts, source)
    incoming: Iterable[str] = map(as_text, texts) if source is None else read_texts(source, selection)
    with ExitStack() as stack:
        ranges = None if calibration is None else read_ranges(calibration)
        file = None if output is None else stack.enter_context(replacing(output))  # before the work, not after it
        loaded = load_model(model, revision, offline, threads, dtype, backend, max_seq_length)
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
        blocks = paired(stream, incoming)
        if file is None or output is None:
            show(blocks)
            return
        empty = quantize_embeddings(np.zeros((0, loaded.engine.width(truncate_dim)), np.float32), precision, ranges)
        rows = WRITERS[output.suffix.lower()](file, empty, blocks)
    click.echo(f"{output}: {rows:,} vectors of {empty.shape[1]} {empty.dtype} numbers", err=True)
