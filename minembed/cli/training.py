"""The common parts of both trainings: options, the folder of the model, the text of its model card."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

import click

from minembed.cli.console import existing_file
from minembed.cli.model_choice import source_options
from minembed.errors import InputError
from minembed.types import Backend, Schedule

if TYPE_CHECKING:
    from minembed.train.settings import Settings
    from minembed.train.trainer import State

Command = TypeVar("Command", bound=Callable[..., Any])
SCHEDULE_NAMES, SAVED = get_args(Schedule), "model"
UNTOLD = ("threads", "backend", "evaluate_every", "save_every", "max_bad_steps", "cached", "recompute")
OF_LOSSES = ("loss", "scale", "margin", "matryoshka_dims", "no_duplicates")
OF_MASKS = ("mask_probability", "whole_words")
MEASURES = {
    "spearman": "Spearman's correlation with scored pairs",
    "ndcg@10": "nDCG@10 of finding the partner of each text",
    "loss": "Loss in nats on texts that it was not trained on",
}


def common_options(command: Command) -> Command:
    """Add the options of every training.

    >>> @click.command()
    ... @common_options
    ... def run(**options): ...
    >>> [parameter.name for parameter in run.params][:3]
    ['model', 'revision', 'offline']
    """
    count = click.IntRange(min=1)
    options = (
        *source_options(),
        click.option("--config", type=existing_file(), help="Settings (.toml or .json); options override them."),
        click.option("--epochs", type=count, metavar="N", help="Passes over all examples; default: 1."),
        click.option("--max-steps", type=count, metavar="N", help="Stop after N steps."),
        click.option("--batch-size", type=count, metavar="N", help="Examples per batch; default: 32."),
        click.option("--accumulation", type=count, metavar="N", help="Batches per step; default: 1."),
        click.option("--learning-rate", type=float, metavar="RATE", help="Default: 5e-5; 2e-3 with --init."),
        click.option(
            "--schedule", type=click.Choice(SCHEDULE_NAMES), help="Fall of the learning rate; default: linear."
        ),
        click.option(
            "--warmup", type=float, metavar="N", help="Warm-up in steps, or as a share below 1; default: 0.1."
        ),
        click.option("--weight-decay", type=float, metavar="X", help="Default: 0."),
        click.option("--max-grad-norm", type=float, metavar="X", help="Clip gradients to this norm; default: 1."),
        click.option("--dropout", type=float, metavar="P", help="Default: 0.1."),
        click.option("--seed", type=click.IntRange(0, 2**64 - 1), metavar="N", help="Default: 12."),
        click.option("--group-by-length/--no-group-by-length", default=None, help="Batch texts of similar length."),
        click.option("--evaluate-every", type=count, metavar="STEPS", help="Default: every epoch."),
        click.option("--save-every", type=count, metavar="STEPS", help="Default: every epoch."),
        click.option("--patience", type=count, metavar="N", help="Stop after N evaluations without a better score."),
        click.option("--max-bad-steps", type=count, metavar="N", help="Stop after N non-finite steps; default: 5."),
        click.option("--recompute/--no-recompute", default=None, help="Less memory; a third more computation."),
        click.option("--max-seq-length", type=count, metavar="N", help="Read at most N tokens of each text."),
        click.option("--threads", type=count, metavar="N", help="Default: all available cores."),
        click.option("--backend", type=click.Choice(get_args(Backend)), help="Implementation; auto: the fastest."),
        click.option("--resume", is_flag=True, help="Continue from the checkpoint in FOLDER."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    )
    for option in reversed(options):
        command = option(command)
    return command


def settings_of(config: Path | None, options: dict[str, Any], learning_rate: float = 5e-5) -> "Settings":
    """The settings of the file; those of the command line replace them."""
    from minembed.train.settings import Settings, change, read_settings

    settings = Settings(learning_rate=learning_rate)
    settings = read_settings(config, settings) if config else settings
    return change(settings, {name: value for name, value in options.items() if value is not None})


def place_of(folder: Path) -> Path:
    """The folder of the trained model, which is checked before the work, not after it."""
    saved = folder / SAVED
    if os.path.lexists(saved):
        raise InputError(f"{saved} exists already: name another folder, or move that one")
    return saved


def left_over(folder: Path) -> str:
    """The message if a training is interrupted.

    >>> left_over(Path("tuned"))
    'no checkpoint was written yet; the same command begins again'
    """
    from minembed.train.checkpoints import has_checkpoint

    if has_checkpoint(folder):
        return f"{folder} keeps the last checkpoint; the same command with --resume continues from it"
    return "no checkpoint was written yet; the same command begins again"


def tell(what: str, state: "State") -> None:
    """Print how long the model was trained, and on what."""
    click.echo(f"{what}, {state.step:,} steps" + (f", {state.skipped} skipped" if state.skipped else ""))


def notes_of(model: str, data: str, examples: int, settings: "Settings", facts: dict[str, Any]) -> str:
    """The text on the training in a model card.

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
