"""`minembed models`: the most used checkpoints."""

import json
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from minembed.cli.console import table

if TYPE_CHECKING:
    from minembed.weights.sources.known import KnownModel

HEADER = ["  name", "width", "max", "MB", "licence", "on"]
NUMBERS = frozenset({1, 2, 3})
WIDEST = 66  # columns for a prefix; the screen has 80
LEGEND = """
max   the tokens of a text that are read
MB    what `minembed pull NAME` downloads; * is already on this machine
on    real: tested on its real weights, against sentence-transformers
      gen: only its family is tested, on generated weights (docs/models.md)
"""


@click.command("models", short_help="List checkpoints to choose from.")
@click.option("--json", "as_json", is_flag=True, help="Print everything known as JSON.")
def command(as_json: bool) -> None:
    """List checkpoints to choose from.

    Any other checkpoint of these families, on the Hub or in a folder, loads too.
    """
    from minembed.weights.sources.known import KNOWN

    if as_json:
        facts = [{**asdict(model), "computed": model.computed} for model in KNOWN]
        click.echo(json.dumps(facts, indent=1))
        return
    computed = [model for model in KNOWN if model.computed]
    groups = [(use, list(group)) for use, group in groupby(computed, lambda model: model.use)]
    rows = table([HEADER, *[_row(model) for _, group in groups for model in group]], right=NUMBERS)
    click.echo(rows.pop(0))
    for use, group in groups:
        click.echo(f"\n{use[0].upper()}{use[1:]}")
        for model in group:
            click.echo(rows.pop(0))
            if model.note:
                click.echo(f"    {model.note}")
    click.echo("\nNot supported")
    for line in table([[f"  {model.name}", model.refused] for model in KNOWN if not model.computed]):
        click.echo(line)
    click.echo(f"{LEGEND}\nSome need a prefix (embed --prompt):")
    for line in _prefixes(computed):
        click.echo(f"  {line}")


def _row(model: "KnownModel") -> list[str]:
    numbers = ["-" if n is None else str(n) for n in (model.width, model.max_tokens)]
    proof = "real" if model.tested else "gen"
    return [f"{_mark(model.name)} {model.name}", *numbers, f"{model.megabytes:,}", model.licence, proof]


def _mark(name: str) -> str:
    from minembed.errors import MinembedError
    from minembed.weights.sources.locate import locate

    try:
        locate(name, local_files_only=True)
    except MinembedError:
        return " "
    return "*"


def _prefixes(models: "list[KnownModel]") -> list[str]:
    wanted: dict[tuple[str, str], list[str]] = {}
    for model in models:
        if model.query_prefix:
            wanted.setdefault((model.query_prefix, model.passage_prefix), []).append(model.name.rpartition("/")[2])
    lines = []
    for (query, passage), names in wanted.items():
        lines += [", ".join(dict.fromkeys(map(_beginning, names))), f"  query    {_quoted(query)}"]
        lines += [f"  passage  {_quoted(passage)}"] if passage else []
    return lines


def _beginning(name: str) -> str:
    """The common beginning of similar names, by which they are grouped; versions with other prefixes stay separate.

    >>> _beginning("e5-small-v2"), _beginning("snowflake-arctic-embed-m-v2.0")
    ('e5-*', 'snowflake-arctic-embed-m-v2.0')
    """
    return name if name.endswith(("-v2.0", "-instruct")) else name.split("-")[0] + "-*"


def _quoted(prefix: str) -> str:
    """A prefix in quotes; a long one is truncated here, but not with --json."""
    text = json.dumps(prefix)
    return text if len(text) <= WIDEST else f'{text[: WIDEST - 2]}…"'
