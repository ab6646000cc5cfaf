"""`minembed index`: build an index of a corpus, which a search opens at once."""

from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click
from click.core import ParameterSource

from minembed.cli.model_choice import ModelChoice, load_model, model_options
from minembed.cli.passages import check_not_terminal, id_option, keep_option, selection_options
from minembed.data.corpus import Corpus
from minembed.data.layout import kept_columns
from minembed.data.texts import Selection
from minembed.types import IndexPrecision, Metric

if TYPE_CHECKING:
    from minembed.runtime.store import Place

OF_JOBS = ("corpus", "output", "precision", "metric", "update")  # options for vectors that exist already


@click.command("index", short_help="Make an index of a corpus, for search.")
@click.argument("corpus", callback=lambda context, parameter, value: place_of(context, parameter, value))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="FOLDER",
    help="A new folder; an index that is there is replaced.",
)
@id_option
@keep_option
@selection_options
@model_options
@click.option(
    "--precision",
    type=click.Choice(get_args(IndexPrecision)),
    default="float32",
    show_default=True,
    help="What to scan: float32 and int8 are exact, binary is approximate.",
)
@click.option(
    "--metric", type=click.Choice(get_args(Metric)), help="How vectors are compared; default: as the model says."
)
@click.option("--update", is_flag=True, help="For a job: update the existing index with the rows that changed.")
def command(
    corpus: "Place",
    output: Path,
    keep: str | None,
    selection: Selection,
    choice: ModelChoice,
    precision: IndexPrecision,
    metric: Metric | None,
    update: bool,
) -> None:
    """Embed the passages of CORPUS, and save them as an index for `minembed search` and `minembed.Index`.

    CORPUS is a .txt (one passage per line), .csv, .tsv, .jsonl, .json, .parquet or .feather file, also compressed, or -
    for standard input. The id of a passage is its cell in the column --id, or the number of its row, from 1. The other
    columns of its row (or those of --keep) are stored as its fields. CORPUS may also be the folder of a `minembed
    embed` job, or its URL (s3://, gs://); its vectors are then used, in bounded memory. The index is written
    completely or not at all. With --update, the index of an older job becomes that of a newer one: new rows are
    added, and missing rows are removed.

    \b
    minembed index notes.jsonl -o notes-index
    minembed search notes-index "how do I bake bread?"
    """
    from minembed.search.index import Index
    from minembed.search.index_saving import check_target

    check_target(output.absolute())  # fail before the work, not after it
    if not isinstance(corpus, Path) or corpus.is_dir():
        return index_job(corpus, output, precision, metric, update)
    if update:
        raise click.UsageError("--update needs the folder of a job of minembed embed")
    check_not_terminal(corpus)
    source = Corpus.of(corpus, selection)
    kept = kept_columns(source.read.table, keep)
    source.survey()
    ids, texts = source.passages()
    loaded = load_model(choice)
    index = Index.build(
        loaded,
        texts,
        ids=ids,
        fields=source.fields(kept),
        metric=metric,
        precision=precision,
        metadata={"source": source.name},
    )
    index.save(output)
    click.echo(
        f"{output}: {len(index):,} passages, {index.dimension} numbers each, {precision}, {index.metric}", err=True
    )


def place_of(context: click.Context, parameter: click.Parameter, value: str) -> "Place":
    """An existing file or folder, standard input, or the URL of a folder."""
    if "://" in value:
        from minembed.runtime.places import as_place

        return as_place(value)
    found: Path = click.Path(exists=True, allow_dash=True, path_type=Path).convert(value, parameter, context)
    return found


def index_job(folder: "Place", output: Path, precision: IndexPrecision, metric: Metric | None, update: bool) -> None:
    """Build an index of the vectors of a job, or update one."""
    from minembed.jobs.indexing import index
    from minembed.jobs.updating import update_index
    from minembed.search.index import Index

    context = click.get_current_context()
    for parameter in context.command.params:
        said = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if said and parameter.name not in OF_JOBS:
            raise click.UsageError(f"{parameter.opts[0]} has no effect: {folder} already has its vectors")
    if update:
        if any(context.get_parameter_source(name) is ParameterSource.COMMANDLINE for name in ("precision", "metric")):
            raise click.UsageError("--update cannot change the precision or the metric of an index")
        done = update_index(folder, output)
        how = ", built anew" if done.rebuilt else ""
        click.echo(f"{output}: {done.added:,} rows added, {done.removed:,} removed{how}", err=True)
    else:
        index(folder, output, metric=metric, precision=precision)
    made = Index.load(output, verify=False)
    click.echo(
        f"{output}: {len(made):,} passages, {made.dimension} numbers each, {made.precision}, {made.metric}", err=True
    )
