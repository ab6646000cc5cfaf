"""`minembed models`: the checkpoints that people use most."""

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from minembed.cli.console import table

if TYPE_CHECKING:
    from minembed.weights.known import KnownModel

HEADER = ["  name", "width", "tokens", "MB", "licence", "pool"]
NUMBERS = frozenset({1, 2, 3})


@click.command("models", short_help="List checkpoints to choose from.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON: all that is known of each.")
def command(as_json: bool) -> None:
    """List checkpoints to choose from.

    Any other BERT checkpoint on the Hub, or in a folder, loads by its name just as well.
    """
    from minembed.weights.known import KNOWN

    if as_json:
        click.echo(json.dumps([asdict(model) for model in KNOWN], indent=1))
        return
    computed = [model for model in KNOWN if model.computed]
    others = [model for model in KNOWN if not model.computed]
    groups = [(use, list(group)) for use, group in groupby(computed, lambda model: model.use)]
    rows = table([HEADER, *[_row(model) for _, group in groups for model in group]], right=NUMBERS)
    click.echo(rows.pop(0))
    for use, group in groups:
        click.echo(f"\n{use[0].upper()}{use[1:]}")
        for _ in group:
            click.echo(rows.pop(0))
    click.echo("\nNot computed by this version")
    for line in table([[*_row(model)[:4], model.family] for model in others], right=NUMBERS):
        click.echo(line)
    click.echo("\nMB is what `minembed pull NAME` fetches; * is on this machine already.")
    for model in computed:
        if model.tested:
            click.echo(f"Tested on its real weights, against sentence-transformers: {model.name}.")
    click.echo("Some want a prefix (embed --prompt):")
    for line in _prefixes(computed):
        click.echo(f"  {line}")


def _row(model: "KnownModel") -> list[str]:
    numbers = [str(model.width), str(model.max_tokens), f"{model.megabytes:,}"]
    return [f"{'*' if _is_here(model.name) else ' '} {model.name}", *numbers, model.licence, model.pooling]


def _is_here(name: str) -> bool:
    from minembed.errors import MinembedError
    from minembed.weights.sources import locate

    try:
        locate(name, local_files_only=True)
    except MinembedError:
        return False
    return True


def _prefixes(models: "list[KnownModel]") -> list[str]:
    wanted: dict[tuple[str, str], list[str]] = {}
    for model in models:
        if model.query_prefix:
            family = model.name.rpartition("/")[2].split("-")[0] + "-*"
            names = wanted.setdefault((model.query_prefix, model.passage_prefix), [])
            if family not in names:
                names.append(family)
    lines = []
    for (query, passage), names in wanted.items():
        lines += [", ".join(names), f'  query    "{query}"']
        lines += [f'  passage  "{passage}"'] if passage else []
    return lines
