"""`minembed train mlm`: masked language modelling on plain texts, from existing or random weights."""

import json
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from minembed.cli.columns import missing_option, read_too
from minembed.cli.console import existing_file, on_interrupt
from minembed.cli.model_choice import DEFAULT_MODEL
from minembed.cli.passages import reading_options
from minembed.cli.training import common_options, left_over, notes_of, place_of, settings_of, tell
from minembed.data.table import Reading
from minembed.types import Missing, Size

SIZE_NAMES = get_args(Size)
NEW_LENGTH, NEW_RATE = 128, 2e-3  # tokens, and learning rate, of a model with random weights
START = "start"


@click.command("mlm")
@click.argument("texts", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--init", type=click.Choice(SIZE_NAMES), help="Start from random weights and a vocabulary of TEXTS.")
@click.option("--field", metavar="NAME", help="Column of the texts: a name, number or path; default: detected.")
@missing_option("a text")
@reading_options
@click.option(
    "--evaluate", "evaluation", type=existing_file(), help="Other texts for evaluation; the best weights are kept."
)
@click.option("--evaluate-field", metavar="NAME", help="Column of the texts of --evaluate; default: as --field.")
@click.option("--mask-probability", type=float, metavar="P", help="Share of the tokens that are hidden; default: 0.15.")
@click.option("--whole-words/--no-whole-words", default=None, help="Hide all pieces of a word together.")
@common_options
def command(
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
    """Train a model on plain texts: some words are hidden, and it learns to predict them.

    TEXTS is a .txt (one text per line) or a table (.csv, .tsv, .jsonl, .json, .parquet, .feather). FOLDER gets
    checkpoints, history.jsonl, and at the end the trained model in FOLDER/model, with the head that predicts words. The
    options on the format of TEXTS also apply to the file of --evaluate, if it cannot be read without them.

    \b
    minembed train mlm texts.txt adapted --evaluate held-out.txt
    minembed train mlm texts.txt new --init small --epochs 10
    """
    from minembed.data.examples import read_texts
    from minembed.train.masked_lm import masked_loss, train_masked_lm
    from minembed.train.model import Trainee
    from minembed.train.scratch import new_model

    if init is not None and model != DEFAULT_MODEL:
        raise click.UsageError("--init starts without a model: omit --model")
    saved = place_of(folder)
    settings = settings_of(config, options, NEW_RATE) if init else settings_of(config, options)
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
    tell(f"{len(found):,} texts", state)
    if before is not None:
        click.echo(f"Loss on {evaluation}: {before:.3f} nats before, {-state.best:.3f} at the best step")
    click.echo(f"the trained model is in {saved}")
