"""`minembed dedupe`: a corpus without its near duplicates."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click
from click.core import ParameterSource

from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import cache_option, check_not_terminal, corpus_argument, output_option, selection_options
from minembed.data.copying import Keep, as_written, copy_rows
from minembed.data.corpus import Corpus
from minembed.data.excerpt import excerpt
from minembed.data.forms import BY_ENDING, form_of_name
from minembed.data.layout import form_of_rows
from minembed.data.outputs import write_table
from minembed.data.table import Table
from minembed.data.texts import Selection
from minembed.search.index_cache import vectors_of
from minembed.types import TextFormat

if TYPE_CHECKING:
    from minembed.types import Array


def groups(numbers: Sequence[int], texts: Sequence[str], first: "Array", scores: "Array") -> Iterator[dict[str, Any]]:
    """Describe each group of more than one text: the one that is kept, and its duplicates.

    >>> list(groups([1, 2], ["a", "A"], [0, 0], [1.0, 0.97]))
    [{'kept': {'id': 1, 'text': 'a'}, 'duplicates': [{'id': 2, 'score': 0.97, 'text': 'A'}]}]
    """
    members: dict[int, list[dict[str, Any]]] = {}
    for i, kept in enumerate(first):
        if i != kept:
            one = {"id": numbers[i], "score": round(float(scores[i]), 6), "text": texts[i]}
            members.setdefault(int(kept), []).append(one)
    for kept, others in sorted(members.items()):
        yield {"kept": {"id": numbers[kept], "text": texts[kept]}, "duplicates": others}


@click.command("dedupe", short_help="Remove near duplicates.")
@corpus_argument
@click.option(
    "--threshold",
    type=click.FloatRange(-1, 1),
    default=0.95,
    show_default=True,
    metavar="COSINE",
    help="Texts with at least this cosine are duplicates.",
)
@click.option("--exact", is_flag=True, help="Remove only equal texts: without a model, in little memory.")
@output_option("Where what is kept goes; default: standard output.")
@selection_options
@model_options
@click.option("--json", "as_json", is_flag=True, help="Print the groups of duplicates as JSON lines.")
@cache_option
def command(
    corpus: Path,
    threshold: float,
    exact: bool,
    output: Path | None,
    selection: Selection,
    choice: ModelChoice,
    as_json: bool,
    no_cache: bool,
) -> None:
    """Remove the texts of CORPUS that are nearly the same as an earlier one.

    CORPUS is a .txt (one text per line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, also compressed, or -
    for standard input. The other lines and rows are written unchanged and in order, with the heading of a table; rows
    of .parquet and .feather go to standard output as .jsonl. If -o has another format, rows are written in that format,
    with their types. With --json the groups are printed instead: the text that is kept, and those removed, with their
    cosines. With --exact, texts are duplicates only if they are equal.

    \b
    minembed dedupe reviews.txt -o unique.txt
    minembed dedupe shop.csv --field description --threshold 0.9 --json
    cat a.jsonl b.jsonl | minembed dedupe - --format jsonl > unique.jsonl
    minembed dedupe crawl.jsonl --exact -o unique.parquet
    """
    from minembed.runtime.files import replacing

    if exact:
        return leave_out_equal(corpus, output, selection)
    with ExitStack() as stack:
        check_not_terminal(corpus)
        source = Corpus.of(corpus, selection)
        form = None if output is None else form_of(output, source.read.table)
        survey = source.survey()
        passages = source.passages()
        numbers, texts = passages
        file = None if output is None else stack.enter_context(replacing(output))  # fail before the work, not after it
        loaded = load_model(choice)
        first, scores = compare(texts, vectors_of(source, survey, passages, loaded, not no_cache), threshold)
        left = {number for i, number in enumerate(numbers) if first[i] != i}
        table = source.read.table
        present = set(numbers) if table.form == "txt" else None  # blank lines are not rows

        def keep(number: int) -> bool:
            return number not in left and (present is None or number in present)

        if file is not None and form is not None:
            write_kept(file, form, table, keep)
        elif not as_json:
            sys.stdout.writelines(as_written(table, keep))
        if as_json:
            for group in groups(numbers, texts, first, scores):
                click.echo(json.dumps(group, ensure_ascii=False))
        elif output is not None:
            tell(numbers, texts, first, scores)
    kept = len(texts) - len(left)
    click.echo(f"{source.name}: {len(texts):,} texts, {kept:,} kept, {len(left):,} near duplicates removed", err=True)


OF_VECTORS = ("threshold", "as_json", "no_cache", "model", "revision", "threads", "dtype", "backend")


def leave_out_equal(corpus: Path, output: Path | None, selection: Selection) -> None:
    """Write the rows whose text did not occur in an earlier row."""
    import numpy as np

    from minembed.data.equal_texts import repeats
    from minembed.runtime.files import replacing

    context = click.get_current_context()
    for parameter in context.command.params:
        said = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if said and parameter.name in OF_VECTORS:
            raise click.UsageError(f"{parameter.opts[0]} says nothing with --exact, which embeds nothing")
    with ExitStack() as stack:
        check_not_terminal(corpus)
        source = Corpus.of(corpus, selection)
        table = source.read.table
        form = None if output is None else form_of(output, table)
        survey = source.survey()
        file = None if output is None else stack.enter_context(replacing(output))
        blank = table.form == "txt"  # lines without a text are not rows
        out = repeats(source.read, survey.rows, None if output is None else output.absolute().parent, blank)
        left = int(np.count_nonzero(out)) - (survey.missing if blank else 0)

        def keep(number: int) -> bool:
            return not out[number - 1]

        if file is not None and form is not None:
            write_kept(file, form, table, keep)
        else:
            sys.stdout.writelines(as_written(table, keep))
    texts = survey.rows - (survey.missing if source.read.missing == "skip" else 0)
    click.echo(f"{source.name}: {texts:,} texts, {texts - left:,} kept, {left:,} equal ones removed", err=True)


def form_of(output: Path, table: Table) -> TextFormat:
    """The format of an output, by its ending; raises InputError if that format cannot hold the rows."""
    if table.form == "txt" and output.suffix.lower() in BY_ENDING and form_of_name(output.name) == "txt":
        return "txt"
    return form_of_rows(output.name)


def write_kept(file: BinaryIO, form: TextFormat, table: Table, keep: Keep) -> None:
    """Write the rows that are kept: unchanged in the same format, with their types in another."""
    if form == table.form:
        copy_rows(table, keep, file)
    else:
        write_table(file, form, table, keep=keep)


def tell(numbers: Sequence[int], texts: Sequence[str], first: "Array", scores: "Array") -> None:
    """Print for each removed row: its number, the number of the kept row, their cosine, its text."""
    for i, kept in enumerate(first):
        if i != kept:
            click.echo(f"{numbers[i]}\t{numbers[kept]}\t{scores[i]:.4f}\t{excerpt(texts[i])}")


def compare(
    texts: Sequence[str], vectors: "Array", threshold: float
) -> tuple["Array", "Array"]:  # (N, D) -> (N,), (N,)
    """Find for each text the one that is kept instead of it, and its cosine with that one."""
    import numpy as np

    from minembed.search.communities import near_duplicates
    from minembed.search.similarity import pairwise

    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}  # equal texts are compared once
    own = np.array([place[text] for text in texts])
    _, begins = np.unique(own, return_index=True)  # the first row of each text
    first = begins[near_duplicates(vectors[begins], threshold)[own]]
    return first, pairwise(vectors, vectors[first], "cosine")
