"""`minembed train`: fine-tune a model on pairs, triplets or scored pairs, or train it on plain texts."""

import click

from minembed.cli import train_contrastive, train_mlm


@click.group("train", short_help="Train a model on your own texts.")
def command() -> None:
    """Train a model on your own texts."""


command.add_command(train_contrastive.command)
command.add_command(train_mlm.command)
