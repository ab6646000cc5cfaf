"""`minembed embed` for one file, or some texts: vectors to the screen, or to a file, completely or not at all."""

import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minembed.cli.console import as_text, on_interrupt, prints_to_terminal
from minembed.cli.embed_rows import EMBEDDING, Incoming, Wanted, from_arguments, from_file, write_vectors
from minembed.cli.model_choice import ModelChoice, load_model
from minembed.data.layout import Layout
from minembed.data.outputs import write_rows
from minembed.data.pairing import Pair, paired
from minembed.data.text_output import ROUNDED, json_lines
from minembed.data.texts import LOG, Selection
from minembed.data.vectors import preview
from minembed.models.options import EncodeOptions
from minembed.runtime.files import replacing
from minembed.runtime.paths import can_be_named, is_too_long
from minembed.transformer.vectors import quantize_embeddings
from minembed.types import Array


def embed_file(
    texts: tuple[str, ...],
    source: Path | None,
    output: Path | None,
    selection: Selection,
    keep: str | None,
    choice: ModelChoice,
    max_seq_length: int | None,
    options: EncodeOptions,
) -> str:
    """Embed the texts of the arguments, or of the file `source` if it is given; returns a description of the output."""
    wanted = Wanted(output, keep, selection.identity)
    wanted.check(source is not None)
    with ExitStack() as stack:
        stack.enter_context(on_interrupt(lambda: left_over(output)))
        if source is None:
            for text in texts:
                if is_file(text):
                    LOG.info(f"{text} is embedded as a text; -i {text} reads the file")
            incoming = from_arguments(map(as_text, texts))
        else:
            incoming = from_file(source, selection, wanted, lambda: stack.enter_context(wanted.work_file()))
        file = None if output is None else stack.enter_context(replacing(output))  # fail before the work, not after it
        loaded = load_model(choice, max_seq_length)
        shown = None if output or not prints_to_terminal() else False
        told: EncodeOptions = {**options, "show_progress_bar": shown}
        stream = partial(loaded.stream, **told)
        zero = np.zeros((0, loaded.engine.width(options.get("truncate_dim"))), np.float32)
        empty = quantize_embeddings(zero, options.get("precision", "float32"), options.get("ranges"))
        extra = replace(EMBEDDING, kind=empty.dtype, width=empty.shape[1])
        incoming = replace(incoming, layout=replace(incoming.layout, extra=(extra,)))
        pairs = paired(stream, incoming.rows, incoming.total)
        return show(pairs, incoming.layout) if file is None else write(file, empty, pairs, wanted, incoming)


def is_file(text: str) -> bool:
    """Whether a text is the name of an existing file or folder.

    >>> is_file("a text"), is_file("")
    (False, False)
    """
    return bool(text.strip(". ")) and can_be_named(Path(text)) and not is_too_long(Path(text)) and Path(text).exists()


def show(pairs: Iterable[Pair], layout: Layout) -> str:
    """Print a preview to a terminal, and JSON lines otherwise."""
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


def write(file: BinaryIO, empty: Array, pairs: Iterable[Pair], wanted: Wanted, incoming: Incoming) -> str:
    """Write the output file; returns a description of it."""
    assert wanted.output is not None
    gone = 0

    def counted() -> Iterator[Pair]:
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
    return told + (f", {gone:,} rows without a vector" if gone else "")


def left_over(output: Path | None) -> str:
    """The message if the command is interrupted.

    >>> left_over(Path("x.npy"))
    'nothing is kept, and x.npy is as it was; the same command begins again'
    """
    if output is None:
        return "what was printed is whole; the same command begins again"
    return f"nothing is kept, and {output} is as it was; the same command begins again"
