"""`minembed train`: fine-tune a model on pairs, triplets or scored pairs."""

import json
import math
import os
import re
from pathlib import Path
from typing import Any

import click

from minembed.cli.console import DEFAULT_MODEL, existing_file
from minembed.errors import InputError

LOSS_NAMES: tuple[str, ...] = (
    "multiple_negatives_ranking",
    "multiple_negatives_symmetric_ranking",
    "triplet",
    "contrastive",
)
LOSS_NAMES += ("cosine_similarity", "cosent")  # minembed.train.losses has them too, which help need not import
NEED_LABELS = ("contrastive", "cosine_similarity", "cosent")
SAVED = "model"


@click.group("train", short_help="Train a model on your own pairs.")
def command() -> None:
    """Train a model on your own pairs."""


def _dims(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    if value is None:
        return None
    if not re.fullmatch(r"\d+(,\d+)*", value):
        raise click.BadParameter("give widths with commas between them, as in 384,128,64")
    return tuple(map(int, value.split(",")))


@command.command("contrastive")
@click.argument("examples", type=existing_file())
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("-m", "--model", default=DEFAULT_MODEL, metavar="NAME", help="The model to begin with.")
@click.option("--config", type=existing_file(), help="Settings from a .toml or .json file; options here win.")
@click.option("--loss", type=click.Choice(LOSS_NAMES), help="Default: multiple_negatives_ranking.")
@click.option("--columns", metavar="A,B,...", help="The columns of the texts; default: by the names people give them.")
@click.option("--label", metavar="NAME", help="The column of the scores or labels.")
@click.option("--score-range", type=(float, float), metavar="LOW HIGH", help="Map scores of this range to 0 to 1.")
@click.option("--evaluate", "evaluation", type=existing_file(), help="Scored pairs; the best weights on them are kept.")
@click.option("--epochs", type=click.IntRange(min=1), help="Times that every example is seen; default: 1.")
@click.option("--max-steps", type=click.IntRange(min=1), help="Stop after so many steps.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Examples; default: 32.")
@click.option("--learning-rate", type=float, help="Default: 5e-5.")
@click.option("--warmup", type=float, help="A share of the steps below 1, or a number of steps; default: 0.1.")
@click.option("--weight-decay", type=float, help="Default: 0.")
@click.option("--dropout", type=float, help="Default: 0.1.")
@click.option("--seed", type=click.IntRange(min=0), help="Default: 12.")
@click.option("--scale", type=float, help="One over the temperature; default: 20.")
@click.option("--margin", type=float, help="Of the triplet and contrastive losses.")
@click.option(
    "--matryoshka-dims", callback=_dims, metavar="N,N,...", help="Also train the first N numbers by themselves."
)
@click.option("--evaluate-every", type=click.IntRange(min=1), metavar="STEPS", help="Default: every epoch.")
@click.option("--save-every", type=click.IntRange(min=1), metavar="STEPS", help="Default: every epoch.")
@click.option("--patience", type=click.IntRange(min=1), help="Evaluations without a better score, then stop.")
@click.option("--recompute/--no-recompute", default=None, help="Less memory, a third more work.")
@click.option("--cached/--no-cached", default=None, help="Memory that does not grow with the batch, a third more work.")
@click.option("--max-seq-length", type=click.IntRange(min=1), metavar="N", help="Tokens of a text that are read.")
@click.option("--threads", type=click.IntRange(min=1), metavar="N", help="Default: the cores at hand.")
@click.option("--backend", type=click.Choice(["auto", "numpy", "numba"]), help="What computes.")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in FOLDER.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def contrastive(
    examples: Path,
    folder: Path,
    model: str,
    config: Path | None,
    columns: str | None,
    label: str | None,
    score_range: tuple[float, float] | None,
    evaluation: Path | None,
    max_seq_length: int | None,
    resume: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Bring texts that belong together near to each other, and others apart.

    EXAMPLES is a .csv, .jsonl or .parquet of pairs (anchor, positive), triplets (and negative), or scored pairs
    (sentence1, sentence2, score).  FOLDER gets checkpoints, history.jsonl, and in the end the trained model in
    FOLDER/model, which minembed and sentence-transformers load.

    \b
    minembed train contrastive pairs.csv tuned
    minembed train contrastive sts-train.csv tuned --loss cosent --score-range 0 5 --evaluate sts-dev.csv --epochs 3
    """
    from minembed.train.contrastive import BOUNDS, sts_score, train_contrastive
    from minembed.train.data import read_examples
    from minembed.train.model import Trainee
    from minembed.train.settings import Settings, change, read_settings

    settings = read_settings(config) if config else Settings()
    settings = change(settings, {name: value for name, value in options.items() if value is not None})
    saved = folder / SAVED
    if os.path.lexists(saved):
        raise InputError(f"{saved} exists already: name another folder, or move that one")
    names = columns.split(",") if columns else None
    labelled = settings.loss in NEED_LABELS
    bounds = BOUNDS.get(settings.loss, (-math.inf, math.inf))
    pairs = read_examples(
        examples, columns=names, label=label, score_range=score_range, labelled=labelled, bounds=bounds
    )
    scored = None if evaluation is None else read_examples(evaluation, score_range=score_range, labelled=True)
    trainee = Trainee.load(model, max_seq_length=max_seq_length)
    before = None if scored is None else sts_score(trainee, scored, settings)
    state = train_contrastive(trainee, pairs, settings, folder, evaluation=scored, resume=resume)
    facts = {"steps": state.step, "skipped": state.skipped, "spearman_before": before}
    facts |= {"spearman": state.best if scored else None, "best_step": state.best_step if scored else None}
    trainee.save(saved, notes_of(model, examples.name, len(pairs), settings, facts))
    if as_json:
        click.echo(json.dumps({"model": str(saved), "examples": len(pairs), **facts}))
        return
    click.echo(
        f"{len(pairs):,} examples, {state.step:,} steps" + (f", {state.skipped} skipped" if state.skipped else "")
    )
    if before is not None:
        click.echo(
            f"Spearman x 100 on {evaluation}: {100 * before:.2f} before, {100 * state.best:.2f} at the best step"
        )
    click.echo(f"the trained model is in {saved}")


def notes_of(model: str, data: str, examples: int, settings: Any, facts: dict[str, Any]) -> str:
    """What a model card says of the training.

    >>> from minembed.train.settings import Settings
    >>> print(notes_of("base", "pairs.csv", 9, Settings(), {"steps": 3, "spearman": None}).splitlines()[0])
    ## Training
    """
    from minembed.train.settings import to_json

    told = {name: value for name, value in to_json(settings).items() if value not in (None, False, [])}
    own = ("threads", "backend", "evaluate_every", "save_every", "max_bad_steps", "mask_probability")
    rows = [f"| {name} | {value} |" for name, value in told.items() if name not in own]
    found = ""
    if facts.get("spearman") is not None:
        found = f"\nSpearman's correlation with scored pairs: {facts['spearman_before']:.4f} before, "
        found += f"{facts['spearman']:.4f} after {facts['best_step']} steps.\n"
    head = f"## Training\n\nTrained from `{model}` with minembed, on {examples:,} examples of `{data}`, "
    head += f"{facts['steps']:,} steps.\n"
    return "\n".join([head + found, "| setting | value |", "|---|---|", *rows])
