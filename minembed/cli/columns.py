"""More options of files with several columns: which ones are meant, and what happens to rows without them."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from minembed.data.forms import form_of_name
from minembed.data.table import Reading
from minembed.types import Missing

Command = TypeVar("Command", bound=Callable[..., Any])


def missing_option(what: str) -> Callable[[Command], Command]:
    """The option that says what happens to rows in which something is missing.

    >>> @click.command()
    ... @missing_option("a text")
    ... def run(missing): ...
    >>> run.params[0].name
    'missing'
    """
    told = f"Rows without {what}: an error (the default), left out, or read as empty texts."
    return click.option("--missing", type=click.Choice(get_args(Missing)), help=told)


def reading_of_other(reading: Reading, path: Path) -> Reading:
    """How another file is written: alike, but that a form which its name tells wins.

    >>> reading_of_other(Reading("csv", delimiter=";"), Path("dev.jsonl"))
    Reading(form=None, encoding=None, delimiter=';', header=None, quotes=None)
    """
    return reading if form_of_name(path.name) is None else replace(reading, form=None)


def names_of(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Names with commas between them, in quotes where a name has commas.

    >>> @click.command()
    ... @click.option("--columns", callback=names_of)
    ... def run(columns): ...
    >>> names_of(click.Context(run), run.params[0], 'q,"a, b"')
    ('q', 'a, b')
    """
    if value is None:
        return None
    names = next(csv.reader([value]), [])
    if not names or not all(names):
        raise click.BadParameter("give names with commas between them, as in question,answer", context, parameter)
    return tuple(names)
