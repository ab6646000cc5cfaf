"""`minembed map`: draw a corpus as a map, and measure how far it can be trusted."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from minembed.cli.console import existing_file
from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import cache_option, check_not_terminal, corpus_argument, output_option, selection_options
from minembed.data.corpus import Corpus, Passages
from minembed.data.texts import Selection, Survey, column_of
from minembed.errors import InputError
from minembed.search.index_cache import kept_vectors, vectors_of
from minembed.types import MapMethod

if TYPE_CHECKING:
    from minembed.types import Array

Command = TypeVar("Command", bound=Callable[..., Any])
CLUSTERS = ("auto", "kmeans", "hdbscan", "none")
ENDINGS = (".html", ".png", ".svg")


def check_output(ctx: click.Context, parameter: click.Parameter, value: Path) -> Path:
    """Refuse a file name whose ending names no format."""
    if value.suffix.lower() not in ENDINGS:
        raise click.BadParameter(f"{value.name!r} must end in {', '.join(ENDINGS)}", ctx, parameter)
    return value


def check_clusters(ctx: click.Context, parameter: click.Parameter, value: str) -> str | int:
    """Accept a number, or one of the names."""
    if value.isascii() and value.isdigit():
        return int(value)
    if value not in CLUSTERS:
        raise click.BadParameter(f"{value!r} is neither a number nor one of {', '.join(CLUSTERS)}", ctx, parameter)
    return value


def read(source: Corpus, label: str | None) -> tuple[Survey, Passages, list[str] | None]:
    """A survey of the file, its texts (except blank ones) with their numbers from 1, and their labels."""
    column = None if label is None else column_of(source.read.table, label, "--label")
    survey = source.survey()
    if column is None:
        return survey, source.passages(), None
    from minembed.data.labels import labelled_texts

    numbers, texts, labels = labelled_texts(source.read, column)
    return survey, Passages(numbers, texts), labels


def read_vectors(path: Path, numbers: list[int]) -> "Array":  # -> (N, D)
    """Read the vectors of texts from a .npy file, which has one for each text of the corpus, also for blank ones."""
    import numpy as np

    from minembed.data.vectors import open_npy

    vectors = open_npy(path)
    if vectors.ndim != 2:
        raise InputError(f"{path} must hold vectors, (N, D); make it with minembed embed -o")
    if numbers[-1] > len(vectors):
        raise InputError(f"{path} has {len(vectors):,} vectors, and the corpus has a text {numbers[-1]:,}")
    return vectors[np.array(numbers) - 1]


def drawn(count: int, sample: int | None, seed: int) -> list[int]:
    """The indices of a random sample of texts, in order; all of them, if there are no more.

    >>> drawn(3, 5, 0), len(drawn(100, 5, 0))
    ([0, 1, 2], 5)
    """
    import numpy as np

    if sample is None or sample >= count:
        return list(range(count))
    return np.sort(np.random.default_rng(seed).choice(count, sample, replace=False)).tolist()


def seed_option(told: str) -> Callable[[Command], Command]:
    """The option for the random seed.

    >>> @click.command()
    ... @seed_option("The same seed gives the same map.")
    ... def run(seed): ...
    >>> run.params[0].default
    0
    """
    return click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help=told)


@click.command("map", short_help="Draw a map on which similar texts are near.")
@corpus_argument
@output_option("A page (.html) or a picture (.png, .svg).", required=True, callback=check_output)
@click.option(
    "--method",
    type=click.Choice(get_args(MapMethod)),
    default="tsne",
    show_default=True,
    help="pca is built in; the others need the extra viz.",
)
@click.option("--dimensions", type=click.IntRange(2, 3), default=2, show_default=True, help="3 only with pca.")
@selection_options
@click.option("--label", metavar="NAME", help="Field or column with the group of each text.")
@click.option(
    "--clusters",
    default="auto",
    show_default=True,
    metavar="NAME|N",
    callback=check_clusters,
    help="Without --label: kmeans (of the vectors), or a number of clusters; hdbscan (islands of the map); or none.",
)
@click.option("--perplexity", type=float, metavar="P", help="Number of neighbours for t-SNE; default: 30.")
@click.option("--neighbours", type=int, metavar="N", help="Number of neighbours for UMAP; default: 15.")
@click.option("--sample", type=click.IntRange(min=1), metavar="N", help="Use N texts, drawn at random.")
@seed_option("The same seed gives the same map.")
@click.option("--vectors", type=existing_file(), metavar="FILE.npy", help="Vectors of the texts, instead of a model.")
@cache_option
@model_options
def command(
    corpus: Path,
    output: Path,
    method: MapMethod,
    dimensions: int,
    selection: Selection,
    label: str | None,
    clusters: str | int,
    perplexity: float | None,
    neighbours: int | None,
    sample: int | None,
    seed: int,
    vectors: Path | None,
    no_cache: bool,
    choice: ModelChoice,
) -> None:
    """Draw the texts of CORPUS on a map, on which texts of similar meaning are near each other.

    CORPUS is a .txt (one text per line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, also compressed, or -
    for standard input. The map says how far it can be trusted: which of its neighbourhoods are real, and which are torn
    apart. A page is one file that opens in any browser, without a network.

    \b
    minembed map notes.txt -o notes.html
    minembed map shop.csv --field description --label category -o shop.png
    minembed map notes.txt --method pca --dimensions 3 -o notes.html
    """
    from minembed.maps.chart import Map
    from minembed.maps.page import check_count
    from minembed.maps.projection import check_settings
    from minembed.maps.saving import write
    from minembed.runtime.files import replacing

    check_not_terminal(corpus)
    source = Corpus.of(corpus, selection, () if label is None else (label,))
    survey, passages, labels = read(source, label)
    rows = drawn(len(passages.texts), sample, seed)
    numbers, texts = [passages.ids[i] for i in rows], [passages.texts[i] for i in rows]
    check_settings(len(texts), method, dimensions, seed, perplexity, neighbours)  # fail before the work, not after it
    check_extras(method, output)
    if output.suffix.lower() == ".html":
        check_count(len(texts))

    with replacing(output) as file:
        settings: dict[str, Any] = {"perplexity": perplexity, "neighbours": neighbours, "dimensions": dimensions}
        if vectors is None:
            loaded = load_model(choice)
            kept = None if no_cache else kept_vectors(source, loaded)
            if kept is None:
                tell(f"embedding {len(texts):,} texts")
            if kept is None and len(texts) == len(passages.texts):  # no sample: all texts are needed
                kept = vectors_of(source, survey, passages, loaded, not no_cache)
            placed = loaded.encode(texts) if kept is None else kept[rows]
        else:
            placed = read_vectors(vectors, numbers)
        chart = Map.of(
            placed,
            texts,
            method=method,
            labels=None if labels is None else [labels[i] for i in rows],
            clusters=clusters,
            label_name=label or "",
            model=choice.name if vectors is None else vectors.name,
            seed=seed,
            tell=tell,
            **settings,
        )
        write(chart, file, output.suffix.lower().removeprefix("."))
    click.echo(f"{output}: {chart.title}\n{chart.trust_line}", err=True)


def tell(stage: str) -> None:
    """Print the current stage on standard error.

    >>> tell("measuring")
    """
    click.echo(f"{stage} ...", err=True)


def check_extras(method: MapMethod, output: Path) -> None:
    """Raise MissingExtraError before a model is loaded, if an extra is missing."""
    from minembed.maps import extra

    if method == "tsne" and not extra.has("sklearn"):
        raise extra.missing("t-SNE", "scikit-learn")
    if method == "umap" and not extra.has("umap"):
        raise extra.missing("UMAP", "umap-learn")
    if output.suffix.lower() != ".html" and not extra.has("matplotlib"):
        raise extra.missing("a picture", "matplotlib")
