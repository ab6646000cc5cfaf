"""`minembed train`: fine-tune a model on pairs, triplets or scored pairs, or let it learn words from texts alone."""

import json
import math
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from minembed.cli.columns import missing_option, names_of, read_too
from minembed.cli.console import existing_file, on_interrupt
from minembed.cli.model_choice import DEFAULT_MODEL, source_options
from minembed.cli.passages import reading_options
from minembed.data.table import Reading
from minembed.errors import InputError
from minembed.types import Backend, LabelledLoss, Loss, Missing, Schedule, Size

if TYPE_CHECKING:
    from minembed.data.examples import Examples
    from minembed.train.settings import Settings
    from minembed.train.trainer import State

Command = TypeVar("Command", bound=Callable[..., Any])
NEED_LABELS, LOSS_NAMES = get_args(LabelledLoss), get_args(Loss)
SCHEDULE_NAMES, SIZE_NAMES = get_args(Schedule), get_args(Size)
NEW_LENGTH, NEW_RATE = 128, 2e-3  # tokens, and learning rate, of a model made from nothing
SAVED, START = "model", "start"
UNTOLD = ("threads", "backend", "evaluate_every", "save_every", "max_bad_steps", "cached", "recompute")
OF_LOSSES = ("loss", "scale", "margin", "matryoshka_dims", "no_duplicates")
OF_MASKS = ("mask_probability", "whole_words")
MEASURES = {
    "spearman": "Spearman's correlation with scored pairs",
    "ndcg@10": "nDCG@10 of finding the text that stands beside another",
    "loss": "Loss in nats on texts that it was not trained on",
}


@click.group("train", short_help="Train a model on your own texts.")
def command() -> None:
    """Train a model on your own texts."""


def _dims(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", value):
        raise click.BadParameter("give widths with commas between them, as in 384,128,64")
    return tuple(map(int, value.split(",")))


def common_options(command: Command) -> Command:
    """Add the options that every training has.

    >>> @click.command()
    ... @common_options
    ... def run(**options): ...
    >>> [parameter.name for parameter in run.params][:3]
    ['model', 'revision', 'offline']
    """
    count = click.IntRange(min=1)
    options = (
        *source_options(),
        click.option("--config", type=existing_file(), help="Settings from a .toml or .json file; options here win."),
        click.option("--epochs", type=count, metavar="N", help="Times that every example is seen; default: 1."),
        click.option("--max-steps", type=count, metavar="N", help="Stop after so many steps."),
        click.option("--batch-size", type=count, metavar="N", help="Examples; default: 32."),
        click.option("--accumulation", type=count, metavar="N", help="Batches that make one step; default: 1."),
        click.option("--learning-rate", type=float, metavar="RATE", help="Default: 5e-5; 2e-3 with --init."),
        click.option("--schedule", type=click.Choice(SCHEDULE_NAMES), help="Of the learning rate; default: linear."),
        click.option("--warmup", type=float, metavar="N", help="A share of the steps below 1, or steps; default: 0.1."),
        click.option("--weight-decay", type=float, metavar="X", help="Default: 0."),
        click.option("--max-grad-norm", type=float, metavar="X", help="Gradients are cut to this; default: 1."),
        click.option("--dropout", type=float, metavar="P", help="Default: 0.1."),
        click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Default: 12."),
        click.option("--group-by-length/--no-group-by-length", default=None, help="Put like lengths in a batch."),
        click.option("--evaluate-every", type=count, metavar="STEPS", help="Default: every epoch."),
        click.option("--save-every", type=count, metavar="STEPS", help="Default: every epoch."),
        click.option("--patience", type=count, metavar="N", help="Evaluations without a better score, then stop."),
        click.option("--max-bad-steps", type=count, metavar="N", help="In a row, not finite, then stop; default: 5."),
        click.option("--recompute/--no-recompute", default=None, help="Less memory, a third more work."),
        click.option("--max-seq-length", type=count, metavar="N", help="Tokens of a text that are read."),
        click.option("--threads", type=count, metavar="N", help="Default: the cores at hand."),
        click.option("--backend", type=click.Choice(get_args(Backend)), help="What computes."),
        click.option("--resume", is_flag=True, help="Go on from the checkpoint in FOLDER."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@command.command("contrastive")
@click.argument("examples", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--loss",
    type=click.Choice(LOSS_NAMES),
    metavar="NAME",
    help=f"{', '.join(LOSS_NAMES[:-1])} or {LOSS_NAMES[-1]}; default: the first.",
)
@click.option(
    "--columns",
    callback=names_of,
    metavar="A,B,...",
    help="Columns of the texts: anchor, positive, negatives; default: by the names people give them.",
)
@click.option("--label", metavar="NAME", help="Column of the scores or labels; default: by the names people give it.")
@click.option(
    "--negatives", type=click.IntRange(min=1), metavar="N", help="Of a list of them, the first N; default: all."
)
@click.option("--score-range", type=(float, float), metavar="LOW HIGH", help="Map scores of this range to 0 to 1.")
@click.option(
    "--evaluate",
    "evaluation",
    type=existing_file(),
    help="Scored pairs (Spearman's correlation), or pairs to be found (nDCG@10); the best weights on them are kept.",
)
@click.option(
    "--evaluate-columns", callback=names_of, metavar="A,B", help="Columns of the texts of --evaluate, as --columns."
)
@click.option("--evaluate-label", metavar="NAME", help="Column of the scores of --evaluate, as --label.")
@missing_option("a text or a label")
@reading_options
@click.option("--scale", type=float, metavar="X", help="One over the temperature; default: 20.")
@click.option("--margin", type=float, metavar="X", help="Of the triplet and contrastive losses.")
@click.option("--matryoshka-dims", callback=_dims, metavar="N,N,...", help="Also train the first N numbers alone.")
@click.option("--no-duplicates/--duplicates", default=None, help="Keep a text from being its own negative.")
@click.option("--cached/--no-cached", default=None, help="Memory that does not grow with the batch, a third more work.")
@common_options
def contrastive(
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
    """Bring texts that belong together near to each other, and others apart.

    EXAMPLES is a table (.csv, .tsv, .jsonl, .json, .parquet, .feather) of pairs (anchor, positive), triplets (and
    negative), scored pairs (sentence1, sentence2, score), or queries with lists of texts (query, pos, neg).  FOLDER
    gets checkpoints, history.jsonl, and in the end the trained model in FOLDER/model, which minembed and
    sentence-transformers load.
    The options on how EXAMPLES is written hold for the file of --evaluate, too, where it cannot be read without them.

    \b
    minembed train contrastive pairs.csv tuned
    minembed train contrastive faq.csv tuned --columns question,answer
    minembed train contrastive sts.csv tuned --loss cosent --evaluate dev.csv
    """
    from minembed.data.examples import read_examples
    from minembed.train.contrastive import BOUNDS, check_examples, train_contrastive
    from minembed.train.evaluation import NDCG, evaluate, measure_of
    from minembed.train.model import Trainee

    settings, saved = _settings(config, options), _place(folder)
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
    _tell(f"{len(pairs):,} examples", state)
    if before is not None:
        name = "nDCG@10" if measure == NDCG else "Spearman"
        click.echo(f"{name} x 100 on {evaluation}: {100 * before:.2f} before, {100 * state.best:.2f} at the best step")
    click.echo(f"the trained model is in {saved}")


def _held_back(
    path: Path | None, columns: tuple[str, ...] | None, label: str | None, reading: Reading, missing: Missing | None
) -> "Examples | None":
    """The examples that weights are judged by: scored pairs, or pairs; the scale of scores is no matter."""
    from minembed.data.examples import read_examples

    if path is None:
        return None
    read = partial(read_examples, path, columns=columns, label=label, labelled=None, missing=missing or "error")
    return read_too(path, reading, lambda found: read(reading=found, option="--evaluate-columns"))


@command.command("mlm")
@click.argument("texts", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--init", type=click.Choice(SIZE_NAMES), help="Begin with nothing: a vocabulary of TEXTS, no model.")
@click.option("--field", metavar="NAME", help="Column of the texts: a name, number or path; default: found out.")
@missing_option("a text")
@reading_options
@click.option("--evaluate", "evaluation", type=existing_file(), help="Other texts; the best weights on them are kept.")
@click.option("--evaluate-field", metavar="NAME", help="Column of the texts of --evaluate; default: as --field.")
@click.option("--mask-probability", type=float, metavar="P", help="How much of a text is hidden; default: 0.15.")
@click.option("--whole-words/--no-whole-words", default=None, help="Hide all pieces of a word together.")
@common_options
def masked_lm(
    texts: Path,
    folder: Path,
    init: str | None,
    field: str | None,
    missing: Missing | None,
    reading: Reading,
    evaluation: Path | None,
    evaluate_field: str | None,
    model: str,
    revision: str | None,
    offline: bool,
    config: Path | None,
    max_seq_length: int | None,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Let a model learn words from texts alone: some are hidden, and it learns to name them.

    TEXTS is a .txt (a text a line) or a table (.csv, .tsv, .jsonl, .json, .parquet, .feather).  FOLDER gets
    checkpoints, history.jsonl, and in the end the trained model in FOLDER/model, with the head that names words.
    The options on how TEXTS is written hold for the file of --evaluate, too, where it cannot be read without them.

    \b
    minembed train mlm texts.txt adapted --evaluate held-out.txt
    minembed train mlm texts.txt new --init small --epochs 10
    """
    from minembed.data.examples import read_texts
    from minembed.train.masked_lm import masked_loss, train_masked_lm
    from minembed.train.model import Trainee
    from minembed.train.scratch import new_model

    if init is not None and model != DEFAULT_MODEL:
        raise click.UsageError("--init begins without a model: leave --model out")
    saved = _place(folder)
    settings = _settings(config, options, NEW_RATE) if init else _settings(config, options)
    found, held = read_texts(texts, field, reading=reading, missing=missing), tuple[str, ...]()
    if evaluation is not None:
        read = partial(read_texts, evaluation, evaluate_field or field, missing=missing)
        held = read_too(evaluation, reading, lambda found: read(reading=found))
    start: str | Path = model
    if init is not None:
        start = folder / START
        if not start.is_dir():
            new_model(start, found, size=init, seed=settings.seed, max_seq_length=max_seq_length or NEW_LENGTH)
    trainee = Trainee.load(
        start,
        max_seq_length=max_seq_length,
        head=True,
        make_head=True,
        seed=settings.seed,
        revision=revision,
        local_files_only=offline,
    )
    before = masked_loss(trainee, held, settings) if held else None
    with on_interrupt(lambda: left_over(folder)):
        state = train_masked_lm(trainee, found, settings, folder, evaluation=held, resume=resume)
    facts = {"steps": state.step, "skipped": state.skipped, "loss_before": before}
    facts |= {"loss": -state.best if held else None, "best_step": state.best_step if held else None}
    origin = f"`{model}`" if init is None else f"nothing ({init})"
    trainee.save(saved, notes_of(origin, texts.name, len(found), settings, facts))
    if as_json:
        click.echo(json.dumps({"model": str(saved), "texts": len(found), **facts}))
        return
    _tell(f"{len(found):,} texts", state)
    if before is not None:
        click.echo(f"Loss on {evaluation}: {before:.3f} nats before, {-state.best:.3f} at the best step")
    click.echo(f"the trained model is in {saved}")


def _settings(config: Path | None, options: dict[str, Any], learning_rate: float = 5e-5) -> "Settings":
    """Those of the file, and over them those of the command line."""
    from minembed.train.settings import Settings, change, read_settings

    settings = Settings(learning_rate=learning_rate)
    settings = read_settings(config, settings) if config else settings
    return change(settings, {name: value for name, value in options.items() if value is not None})


def _place(folder: Path) -> Path:
    """Where the trained model goes: looked at before the work, not after it."""
    saved = folder / SAVED
    if os.path.lexists(saved):
        raise InputError(f"{saved} exists already: name another folder, or move that one")
    return saved


def left_over(folder: Path) -> str:
    """What is said where a training is interrupted.

    >>> left_over(Path("tuned"))
    'no checkpoint was written yet; the same command begins again'
    """
    from minembed.train.checkpoints import has_checkpoint

    if has_checkpoint(folder):
        return f"{folder} keeps the last checkpoint; the same command with --resume goes on from it"
    return "no checkpoint was written yet; the same command begins again"


def _tell(what: str, state: "State") -> None:
    click.echo(f"{what}, {state.step:,} steps" + (f", {state.skipped} skipped" if state.skipped else ""))


def notes_of(model: str, data: str, examples: int, settings: "Settings", facts: dict[str, Any]) -> str:
    """What a model card says of the training.

    >>> from minembed.train.settings import Settings
    >>> print(notes_of("`base`", "pairs.csv", 9, Settings(), {"steps": 3, "spearman": None}).splitlines()[0])
    ## Training
    """
    from minembed.train.settings import to_json

    told = {name: value for name, value in to_json(settings).items() if value not in (None, False, [])}
    other = OF_LOSSES if "loss" in facts else OF_MASKS
    rows = [f"| {name} | {value} |" for name, value in told.items() if name not in (*UNTOLD, *other)]
    found = ""
    for name, title in MEASURES.items():
        if facts.get(name) is not None:
            before, after = facts[f"{name}_before"], facts[name]
            found = f"\n{title}: {before:.4f} before, {after:.4f} after {facts['best_step']} steps.\n"
    head = f"## Training\n\nTrained from {model} with minembed, on {examples:,} examples of `{data}`, "
    head += f"{facts['steps']:,} steps.\n"
    return "\n".join([head + found, "| setting | value |", "|---|---|", *rows])
