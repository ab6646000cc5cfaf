"""`minembed info`: describe a checkpoint, and how it would be computed here."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import click

from minembed.cli.console import table
from minembed.cli.model_choice import DEFAULT_MODEL, ModelChoice, load_model


@click.command("info", short_help="Describe a model.")
@click.argument("name", default=DEFAULT_MODEL)
@click.option("--revision", metavar="REV", help="Branch, tag or commit on the Hub.")
@click.option("--offline", is_flag=True, help="Use only what is on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, revision: str | None, offline: bool, as_json: bool) -> None:
    """Load a model (all-MiniLM-L6-v2 by default) and describe it.

    Prints architecture, pooling, prompts, maximum length, where the model was found, and which backend would compute
    it.
    """
    facts = load_model(ModelChoice(name, revision, offline)).info()
    if as_json:
        click.echo(json.dumps(facts, ensure_ascii=False, indent=1))
        return
    for line in table([[key, value] for key, value in flat(facts)]):
        click.echo(line)


def flat(facts: Mapping[str, Any], indent: str = "") -> Iterator[tuple[str, str]]:
    """Turn nested facts into lines of key and value, indented below their heading.

    >>> list(flat({"pooling": ("mean", "max"), "config": {"hidden_size": 384}, "revision": None}))
    [('pooling', 'mean, max'), ('config', ''), ('  hidden_size', '384'), ('revision', '-')]
    """
    for key, value in facts.items():
        if isinstance(value, Mapping) and value:
            yield indent + key, ""
            yield from flat(value, indent + "  ")
        elif isinstance(value, tuple | list):
            yield indent + key, ", ".join(map(str, value)) or "-"
        elif isinstance(value, str) and value != value.strip():
            yield indent + key, repr(value)  # prompts end in a space
        else:
            yield indent + key, "-" if value is None or value == {} else str(value)
