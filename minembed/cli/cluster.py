"""`minembed cluster`: the texts of a file in groups of like meaning, named by their words."""

import csv
import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, get_args

import click

from minembed.cli.console import load_model, model_options
from minembed.cli.map import tell
from minembed.cli.passages import cache_option, check_not_terminal, one_line, selection_options
from minembed.data.copying import json_line
from minembed.data.corpus import Corpus
from minembed.data.texts import Selection
from minembed.errors import InputError
from minembed.search.index_cache import vectors_of
from minembed.types import Backend, ClusterMethod, Dtype

if TYPE_CHECKING:
    from minembed.maps.clusters import Clusters

ENDINGS = (".jsonl", ".csv")
OWN = ("cluster", "cluster_name", "cosine")  # the columns that are added
NONE: dict[str, Any] = dict.fromkeys(OWN)


def check_output(ctx: click.Context, parameter: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a file name whose ending tells no form."""
    if value is not None and value.suffix.lower() not in ENDINGS:
        raise click.BadParameter(f"{value.name!r} must end in {', '.join(ENDINGS)}", ctx, parameter)
    return value


@click.command("cluster", short_help="Group texts by meaning, and name the groups.")
@click.argument("corpus", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("-k", type=click.IntRange(min=1), metavar="N", help="How many clusters.")
@click.option("--auto", is_flag=True, help="Choose how many, 2 to 48: the highest mean silhouette of 2,000 texts.")
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    callback=check_output,
    help=f"Where the rows go, with their cluster: {', '.join(ENDINGS)}.",
)
@click.option(
    "--method",
    type=click.Choice(get_args(ClusterMethod)),
    default="kmeans",
    show_default=True,
    help="kmeans: up to 500,000 texts; hdbscan, which finds how many itself and leaves texts out: up to 20,000.",
)
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="The same, the same groups."
)
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
    selection: Selection,
    no_cache: bool,
    model: str,
    revision: str | None,
    offline: bool,
    threads: int | None,
    dtype: Dtype | None,
    backend: Backend,
) -> None:
    """Divide the texts of CORPUS into clusters of like meaning, and name each by its most typical words.

    CORPUS is a .txt (a text a line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, packed or not, or - for
    standard input.  Each cluster is printed with its number, its size, its words and the texts nearest to its centre.
    With -o the rows are written as well, with all their columns and three more: cluster (the largest is 0; -1: in
    none), cluster_name, and cosine, with the centre of the cluster.  Needs the extra viz.

    \b
    minembed cluster reviews.csv --auto -o groups.csv
    minembed cluster notes.txt -k 12
    minembed cluster shop.jsonl --field description --method hdbscan -o groups.jsonl
    """
    from minembed.maps.clusters import check_count, cluster
    from minembed.runtime.files import replacing

    check_choice(k, auto, method)
    check_not_terminal(corpus)
    source = Corpus.of(corpus, selection)
    survey = source.survey()
    passages = source.passages()
    check_count(len(passages.texts), k, method)  # before the work, not after it
    names = columns_of(source)
    loaded = load_model(model, revision, offline, threads, dtype, backend)
    vectors = vectors_of(source, survey, passages, loaded, not no_cache)
    found = cluster(vectors, passages.texts, k, method=method, seed=seed, tell=tell)
    if output is not None:
        with replacing(output) as file:
            write(rows_with(source, passages.ids, found), names, file, output.suffix.lower())
    width = shutil.get_terminal_size().columns
    for line in summary(found, passages.texts, method):
        click.echo(line if len(line) <= width else line[: max(width - 3, 10)] + "...")


def check_choice(k: int | None, auto: bool, method: ClusterMethod) -> None:
    """Raise UsageError unless it is said in one way how many clusters there are."""
    if method == "kmeans" and (k is None) != auto:
        raise click.UsageError("how many clusters? Say -k N, or --auto" + (", not both" if auto else ""))
    if method == "hdbscan" and k is not None:
        raise click.UsageError("hdbscan finds how many clusters there are: no -k")


def columns_of(source: Corpus) -> list[str]:
    """The columns of all rows; raises InputError where one has the name of one that will be added."""
    names = dict.fromkeys(source.read.table.columns)
    if source.read.table.form in ("json", "jsonl"):  # each row has its own
        names = dict.fromkeys(name for row in source.rows() for name in row.row.values)
    for name in OWN:
        if name in names:
            raise InputError(f"{source.name} has a column {name!r}, which cluster adds: rename it, or leave it out")
    return list(names)


def rows_with(source: Corpus, ids: Iterable[int], found: "Clusters") -> Iterator[dict[str, Any]]:
    """Yield each row with its cluster; of a row without a text that is None."""
    place = {number: i for i, number in enumerate(ids)}
    for number, _, row in source.rows():
        added, i = NONE, place.get(number)
        if i is not None:
            label = int(found.labels[i])
            own = (found.names[label], round(float(found.cosines[i]), 6)) if label >= 0 else (None, None)
            added = dict(zip(OWN, (label, *own), strict=True))
        elif source.read.table.form == "txt":
            continue  # blank lines are no rows
        yield {**row.values, **added}


def write(rows: Iterable[Mapping[str, Any]], names: list[str], file: BinaryIO, ending: str) -> None:
    """Write rows to an open file, in the form of its ending.

    >>> file = io.BytesIO()
    >>> write([{"text": "one", "tags": ["a"], "cluster": 0}], ["text", "tags"], file, ".csv")
    >>> file.getvalue().decode().splitlines()
    ['text,tags,cluster,cluster_name,cosine', 'one,"[""a""]",0,,']
    """
    if ending == ".jsonl":
        for row in rows:
            file.write(json_line(row).encode("utf-8", "backslashreplace"))
        return
    line = io.StringIO()
    writer = csv.DictWriter(line, [*names, *OWN], lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: as_cell(value) for name, value in row.items()})
        file.write(line.getvalue().encode("utf-8", "replace"))
        line.seek(0)
        line.truncate()


def as_cell(value: Any) -> Any:
    """A value in a cell of CSV; lists and objects as JSON.

    >>> as_cell("one"), as_cell({"a": True})
    ('one', '{"a": true}')
    """
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict | bool) else value


def summary(found: "Clusters", texts: list[str], method: str) -> Iterator[str]:
    """What there is to say, for people: each cluster with its number, its size, its words, its most typical texts."""
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
            yield f"{'':{width}}    {one_line(texts[row])}"
