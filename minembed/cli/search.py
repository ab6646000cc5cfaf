"""`minembed search`: the passages of a corpus that are most similar to a query."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from click.core import ParameterSource

from minembed.cli.columns import read_too
from minembed.cli.console import as_text, file_or_stdin, prints_to_terminal
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import (
    cache_option,
    check_not_terminal,
    id_option,
    keep_option,
    passages_of,
    selection_options,
)
from minembed.data.corpus import Corpus
from minembed.data.excerpt import excerpt
from minembed.data.layout import kept_columns
from minembed.data.source import STDIN
from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.search.index_cache import index_of
from minembed.types import Color, IndexPrecision

if TYPE_CHECKING:
    from minembed.search.index import Hit, Index


def read_queries(queries: Sequence[str], file: Path | None, field: str | None, corpus: Selection) -> list[str]:
    """Read the queries from the arguments, and then from a file (or standard input).

    The options for reading the corpus apply to this file, too, if it cannot be read without them.
    """
    found = [as_text(query) for query in queries]
    if file is not None:
        found += read_too(
            file, corpus.reading, lambda reading: passages_of((), file, Selection(reading, field, corpus.missing)).texts
        )
    if not found:
        raise click.UsageError("no query: give one, or a file of them with --queries")
    return found


def open_index(
    folder: Path,
    choice: ModelChoice,
    model_is_given: bool,
) -> "Index":
    """Load an index, and its model, or another one if the user names it."""
    from minembed.search.index import Index

    own = Index.load(folder).model
    if not model_is_given:
        if own is None:
            raise InputError(f"{folder} was made from vectors: name their model with --model")
        revision, dtype = choice.revision or own["revision"], choice.dtype or own["dtype"]
        choice = replace(choice, name=own["name"], revision=revision, dtype=dtype)
    loaded = load_model(choice)
    return Index.load(folder, loaded)


def with_fields(hit: "Hit", names: Sequence[str]) -> "Hit":
    """A hit with the named fields of its row; without fields, if none is named."""
    fields = {name: hit.fields[name] for name in names if name in hit.fields} if hit.fields else {}
    return replace(hit, fields=fields or None)


def show(queries: Sequence[str], found: Sequence[Sequence["Hit"]], metric: str, depth: str) -> None:
    """Print hits for people, in the width of the terminal."""
    from minembed.cli.heatmap import paint

    columns = shutil.get_terminal_size().columns
    scores = [hit.score for hits in found for hit in hits]
    low, high = (0.0, 1.0) if metric == "cosine" else (min(scores, default=0.0), max(scores, default=1.0))
    width = max((len(str(hit.id)) for hits in found for hit in hits), default=1)
    for number, (query, hits) in enumerate(zip(queries, found, strict=True)):
        if len(queries) > 1:
            click.echo(("\n" if number else "") + click.style(excerpt(query), bold=True), color=depth != "never")
        for hit in hits:
            score = f" {hit.score:.4f} "
            room = max(columns - len(score) - width - 4, 10)
            text = excerpt(hit.text or "", room)
            score = paint(score, (hit.score - low) / (high - low or 1.0), depth)
            click.echo(f"{score}  {excerpt(str(hit.id)):>{width}}  {text}", color=depth != "never")


def write(queries: Sequence[str], found: Sequence[Sequence["Hit"]], as_json: bool) -> None:
    """Print hits for programs: one JSON object per line, with the fields of its row, or columns separated by tabs."""
    for query, hits in zip(queries, found, strict=True):
        for rank, hit in enumerate(hits, 1):
            if as_json:
                facts = {"query": query, "rank": rank, "id": hit.id, "score": round(hit.score, 6), "text": hit.text}
                more = {} if hit.fields is None else {"fields": hit.fields}
                click.echo(json.dumps(facts | more, ensure_ascii=False))
            else:
                row = [f"{hit.score:.6f}", str(hit.id), hit.text or ""]
                click.echo("\t".join(map(excerpt, [query, *row] if len(queries) > 1 else row)))


@click.command("search", short_help="Find the passages most similar to a query.")
@click.argument("corpus", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.argument("queries", nargs=-1, metavar="[QUERY]...")
@click.option("-k", type=click.IntRange(min=1), default=10, show_default=True, metavar="N", help="Passages per query.")
@click.option(
    "--queries",
    "query_file",
    type=file_or_stdin(),
    metavar="FILE",
    help="More queries, one per line or in a table in any format; - is standard input.",
)
@click.option("--query-field", metavar="NAME", help="Column of the queries in --queries; default: detected.")
@id_option
@keep_option
@selection_options
@model_options
@click.option(
    "--precision",
    type=click.Choice(get_args(IndexPrecision)),
    help="What to scan: float32 (the default) and int8 are exact, binary is approximate.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per passage.")
@cache_option
@click.option(
    "--color",
    type=click.Choice(get_args(Color)),
    default="auto",
    show_default=True,
    help="Colours of the scores.",
)
@click.pass_context
def command(
    ctx: click.Context,
    corpus: Path,
    queries: tuple[str, ...],
    k: int,
    query_file: Path | None,
    query_field: str | None,
    keep: str | None,
    selection: Selection,
    choice: ModelChoice,
    precision: IndexPrecision | None,
    as_json: bool,
    no_cache: bool,
    color: str,
) -> None:
    """Print the passages of CORPUS that are most similar to each query, best first, with their scores and numbers.

    CORPUS is a .txt (one passage per line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, also compressed, -
    for standard input, or a folder made by `minembed index`. One line on standard error says how it is read. The index
    of a file is kept in minembed's cache, and made again when the file, the model or a setting has changed.

    On a terminal the scores are coloured; elsewhere a line has score, number and passage, separated by tabs (and first
    the query, if there are several). Only the first 10,000 characters of a passage are printed; --json prints all, with
    the other columns of its row (or those of --keep) as "fields".

    \b
    minembed search notes.txt "how do I bake bread?"
    minembed search shop.csv --field description -k 3 --queries wishes.txt --json
    git log --format=%s | minembed search - "fix a race"
    """
    if corpus == STDIN and query_file == STDIN:
        raise click.UsageError("corpus and --queries cannot both be standard input")
    if keep is not None and not as_json:
        raise click.UsageError("--keep chooses the columns that --json prints: add --json")
    wanted = read_queries(queries, query_file, query_field, selection)
    if corpus.is_dir():
        of_queries = Selection(selection.reading, missing=selection.missing) if query_file else Selection()
        if precision or selection not in (Selection(), of_queries):
            raise click.UsageError(
                "an index already has its precision, texts and ids: omit --precision and the options for reading files"
            )
        kept = None if keep in (None, "all") else tuple(name.strip() for name in str(keep).split(",") if keep != "none")
        given = ctx.get_parameter_source("model") is not ParameterSource.DEFAULT
        index = open_index(corpus, choice, model_is_given=given)
    else:
        check_not_terminal(corpus)
        source = Corpus.of(corpus, selection)  # fail before the model is loaded, not after it
        kept = kept_columns(source.read.table, keep)
        index = index_of(source, load_model(choice), precision or "float32", not no_cache)
    from minembed.cli.heatmap import colour_depth

    found = index.search(wanted, k, backend=choice.backend, threads=choice.threads)
    if selection.identity is not None:
        found = [[replace(hit, id=source.id_in(hit.id, hit.text, hit.fields)) for hit in hits] for hits in found]
    if kept is not None:
        found = [[with_fields(hit, kept) for hit in hits] for hits in found]
    depth = colour_depth(color, sys.stdout)
    if as_json or (not prints_to_terminal() and depth == "never"):
        write(wanted, found, as_json)
    else:
        show(wanted, found, index.metric, depth)
