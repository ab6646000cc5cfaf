"""`minembed train contrastive`: fine-tune a model on pairs, triplets or scored pairs."""

import json
import math
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from minembed.cli.columns import missing_option, names_of, read_too
from minembed.cli.console import existing_file, on_interrupt
from minembed.cli.passages import reading_options
from minembed.cli.training import common_options, left_over, notes_of, place_of, settings_of, tell
from minembed.data.table import Reading
from minembed.types import LabelledLoss, Loss, Missing

if TYPE_CHECKING:
    from minembed.data.examples import Examples

NEED_LABELS, LOSS_NAMES = get_args(LabelledLoss), get_args(Loss)


def _dims(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", value):
        raise click.BadParameter("separate widths by commas, as in 384,128,64")
    return tuple(map(int, value.split(",")))


@click.command("contrastive")
@click.argument("examples", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--loss",
    type=click.Choice(LOSS_NAMES),
    metavar="NAME",
    help=f"{', '.join(LOSS_NAMES[:-1])} or {LOSS_NAMES[-1]}; default: the first one.",
)
@click.option(
    "--columns",
    callback=names_of,
    metavar="A,B,...",
    help="Columns of the texts: anchor, positive, negatives; default: by their usual names.",
)
@click.option("--label", metavar="NAME", help="Column of the scores or labels; default: by its usual names.")
@click.option(
    "--negatives", type=click.IntRange(min=1), metavar="N", help="Use the first N of a list of negatives; default: all."
)
@click.option("--score-range", type=(float, float), metavar="LOW HIGH", help="Map scores from this range to 0 to 1.")
@click.option(
    "--evaluate",
    "evaluation",
    type=existing_file(),
    help="Scored pairs (Spearman's correlation), or pairs without scores (nDCG@10); the best weights are kept.",
)
@click.option(
    "--evaluate-columns", callback=names_of, metavar="A,B", help="Columns of the texts of --evaluate, as --columns."
)
@click.option("--evaluate-label", metavar="NAME", help="Column of the scores of --evaluate, as --label.")
@missing_option("a text or a label")
@reading_options
@click.option("--scale", type=float, metavar="X", help="1 / temperature of the loss; default: 20.")
@click.option("--margin", type=float, metavar="X", help="Margin of the triplet and contrastive losses.")
@click.option(
    "--matryoshka-dims", callback=_dims, metavar="N,N,...", help="Also train the first N numbers of each vector."
)
@click.option("--no-duplicates/--duplicates", default=None, help="Never put the same text into a batch twice.")
@click.option(
    "--cached/--no-cached", default=None, help="Memory does not grow with the batch; a third more computation."
)
@common_options
def command(
    examples: Path,
    folder: Path,
    columns: tuple[str, ...] | None,
    label: str | None,
    negatives: int | None,
    score_range: tuple[float, float] | None,
    evaluation: Path | None,
    evaluate_columns: tuple[str, ...] | None,
    evaluate_label: str | None,
    missing: Missing | None,
    reading: Reading,
    model: str,
    revision: str | None,
    offline: bool,
    config: Path | None,
    max_seq_length: int | None,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Train vectors of texts that belong together to be near, and others to be apart.

    EXAMPLES is a table (.csv, .tsv, .jsonl, .json, .parquet, .feather) of pairs (anchor, positive), triplets (and
    negative), scored pairs (sentence1, sentence2, score), or queries with lists of texts (query, pos, neg).  FOLDER
    gets checkpoints, history.jsonl, and at the end the trained model in FOLDER/model, which minembed and
    sentence-transformers load. The options on the format of EXAMPLES also apply to the file of --evaluate, if it cannot
    be read without them.

    \b
    minembed train contrastive pairs.csv tuned
    minembed train contrastive faq.csv tuned --columns question,answer
    minembed train contrastive sts.csv tuned --loss cosent --evaluate dev.csv
    """
    from minembed.data.examples import read_examples
    from minembed.train.contrastive import BOUNDS, check_examples, train_contrastive
    from minembed.train.evaluation import NDCG, evaluate, measure_of
    from minembed.train.model import Trainee

    settings, saved = settings_of(config, options), place_of(folder)
    pairs = read_examples(
        examples,
        columns=columns,
        label=label,
        score_range=score_range,
        labelled=settings.loss in NEED_LABELS,
        bounds=BOUNDS.get(settings.loss, (-math.inf, math.inf)),
        reading=reading,
        missing=missing or "error",
        negatives=negatives,
        apart=settings.loss == "triplet",
    )
    check_examples(pairs, settings)
    held = _held_back(evaluation, evaluate_columns, evaluate_label, reading, missing)
    measure = "spearman" if held is None else measure_of(held)
    trainee = Trainee.load(model, max_seq_length=max_seq_length, revision=revision, local_files_only=offline)
    before = None if held is None else evaluate(trainee, held, settings)
    with on_interrupt(lambda: left_over(folder)):
        state = train_contrastive(trainee, pairs, settings, folder, evaluation=held, resume=resume)
    facts = {"steps": state.step, "skipped": state.skipped, f"{measure}_before": before}
    facts |= {measure: state.best if held else None, "best_step": state.best_step if held else None}
    trainee.save(saved, notes_of(f"`{model}`", examples.name, len(pairs), settings, facts))
    if as_json:
        click.echo(json.dumps({"model": str(saved), "examples": len(pairs), **facts}))
        return
    tell(f"{len(pairs):,} examples", state)
    if before is not None:
        name = "nDCG@10" if measure == NDCG else "Spearman"
        click.echo(f"{name} x 100 on {evaluation}: {100 * before:.2f} before, {100 * state.best:.2f} at the best step")
    click.echo(f"the trained model is in {saved}")


def _held_back(
    path: Path | None, columns: tuple[str, ...] | None, label: str | None, reading: Reading, missing: Missing | None
) -> "Examples | None":
    """The examples that evaluate the weights: scored pairs, or pairs; scores may have any scale."""
    from minembed.data.examples import read_examples

    if path is None:
        return None
    read = partial(read_examples, path, columns=columns, label=label, labelled=None, missing=missing or "error")
    return read_too(path, reading, lambda found: read(reading=found, option="--evaluate-columns"))
