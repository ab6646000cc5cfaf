"""`minembed cluster`: groups of texts with similar meaning, named by their words."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from minembed.cli.map import seed_option, tell
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import (
    cache_option,
    check_not_terminal,
    corpus_argument,
    keep_option,
    output_option,
    selection_options,
)
from minembed.data.corpus import Corpus
from minembed.data.excerpt import excerpt
from minembed.data.layout import Extra, form_of_rows, kept_columns, layout_of
from minembed.data.outputs import write_table
from minembed.data.texts import Selection
from minembed.search.index_cache import vectors_of
from minembed.types import ClusterMethod, TextFormat

if TYPE_CHECKING:
    from minembed.maps.clusters import Clusters

ADDED = (Extra("cluster", int), Extra("cluster_name", str), Extra("cosine", float))  # added to the columns of the rows


@click.command("cluster", short_help="Group texts by meaning, and name the groups.")
@corpus_argument
@click.option("-k", type=click.IntRange(min=1), metavar="N", help="Number of clusters.")
@click.option("--auto", is_flag=True, help="Choose the number, 2 to 48, with the best mean silhouette of 2,000 texts.")
@output_option("Where the rows go, with their cluster: .csv, .tsv, .jsonl, .json, .parquet or .feather.")
@click.option(
    "--method",
    type=click.Choice(get_args(ClusterMethod)),
    default="kmeans",
    show_default=True,
    help="kmeans: up to 500,000 texts; hdbscan chooses the number itself, may leave texts in no cluster: up to 20,000.",
)
@seed_option("The same seed gives the same groups.")
@keep_option
@selection_options
@cache_option
@model_options
def command(
    corpus: Path,
    k: int | None,
    auto: bool,
    output: Path | None,
    method: ClusterMethod,
    seed: int,
    keep: str | None,
    selection: Selection,
    no_cache: bool,
    choice: ModelChoice,
) -> None:
    """Divide the texts of CORPUS into clusters of similar meaning, and name each by its most typical words.

    CORPUS is a .txt (one text per line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, also compressed, or -
    for standard input. Each cluster is printed with its number, its size, its words and the texts nearest to its
    centre. With -o the rows are written too, with their columns (all, or those of --keep) and three more: cluster (0 is
    the largest; -1: none), cluster_name, and cosine (of the text with the centre). Needs the extra viz.

    \b
    minembed cluster reviews.csv --auto -o groups.csv
    minembed cluster notes.txt -k 12
    minembed cluster shop.jsonl --method hdbscan -o groups.jsonl
    """
    from minembed.maps.clusters import check_count, cluster
    from minembed.runtime.files import replacing

    check_choice(k, auto, method)
    if keep is not None and output is None:
        raise click.UsageError("--keep chooses the columns of --output: name a file with -o")
    check_not_terminal(corpus)
    source = Corpus.of(corpus, selection)
    survey = source.survey()
    passages = source.passages()
    check_count(len(passages.texts), k, method)  # fail before the work, not after it
    columns = kept_columns(source.read.table, keep)
    form = check_rows(output, source, columns)
    loaded = load_model(choice)
    vectors = vectors_of(source, survey, passages, loaded, not no_cache)
    found = cluster(vectors, passages.texts, k, method=method, seed=seed, tell=tell)
    if output is not None and form is not None:
        with replacing(output) as file:
            table, present = source.read.table, set(passages.ids)
            stays = present.__contains__ if table.form == "txt" else None  # blank lines are not rows
            added = columns_of(source, passages.ids, found)
            write_table(file, form, table, extra=added, columns=columns, keep=stays)
    width = shutil.get_terminal_size().columns
    for line in summary(found, passages.texts, method):
        click.echo(line if len(line) <= width else line[: max(width - 3, 10)] + "...")


def check_rows(output: Path | None, source: Corpus, columns: tuple[str, ...] | None) -> TextFormat | None:
    """The format of the output, by its ending; raises InputError if that format cannot hold the rows."""
    if output is None:
        return None
    form = form_of_rows(output.name)
    layout_of(source.read.table, form, columns, ADDED)  # raises for names that occur twice
    return form


def check_choice(k: int | None, auto: bool, method: ClusterMethod) -> None:
    """Raise UsageError unless exactly one option gives the number of clusters."""
    if method == "kmeans" and (k is None) != auto:
        raise click.UsageError("how many clusters? Use -k N or --auto" + (", not both" if auto else ""))
    if method == "hdbscan" and k is not None:
        raise click.UsageError("hdbscan finds the number of clusters: omit -k")


def columns_of(source: Corpus, ids: Iterable[int], found: "Clusters") -> dict[Extra, list[Any]]:
    """The added columns, with a value for each row; None for a row without a text, or in no cluster."""
    place = {number: i for i, number in enumerate(ids)}
    rows = [place.get(row.number) for row in source.rows()]
    labels = [None if i is None else int(found.labels[i]) for i in rows]
    names = [None if label is None or label < 0 else found.names[label] for label in labels]
    cosines = [
        None if i is None or name is None else round(float(found.cosines[i]), 6)
        for i, name in zip(rows, names, strict=True)
    ]
    return dict(zip(ADDED, (labels, names, cosines), strict=True))


def summary(found: "Clusters", texts: list[str], method: str) -> Iterator[str]:
    """The output for people: each cluster with its number, its size, its words, its most typical texts."""
    counts = found.counts()
    left = len(texts) - sum(counts)
    how = {"kmeans": "k-means", "hdbscan": "islands of a t-SNE map"}[method]
    if found.silhouettes:
        how += f"; mean silhouette {found.silhouettes[len(counts)]:.3f}, the best of {len(found.silhouettes)} tried"
    none = f", {left:,} texts in none" if left else ""
    unit = "cluster" if len(counts) == 1 else "clusters"
    yield f"{len(texts):,} texts in {len(counts):,} {unit}{none} ({how})"
    width = len(str(len(counts) - 1))
    for i, (name, count) in enumerate(zip(found.names, counts, strict=True)):
        yield f"\n{i:>{width}}  {name}  ({count:,})"
        for row in found.typical(i):
            yield f"{'':{width}}    {excerpt(texts[row])}"
