"""More options for files with several columns: which columns to read, and what to do with rows that lack a value."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from minembed.data.table import Reading
from minembed.errors import InputError
from minembed.types import Missing

Command = TypeVar("Command", bound=Callable[..., Any])
Result = TypeVar("Result")


def missing_option(what: str) -> Callable[[Command], Command]:
    """The option that says what to do with rows in which something is missing.

    >>> @click.command()
    ... @missing_option("a text")
    ... def run(missing): ...
    >>> run.params[0].name
    'missing'
    """
    told = f"Rows without {what}: stop with an error (default), skip them, or read them as empty."
    return click.option("--missing", type=click.Choice(get_args(Missing)), help=told)


def read_too(path: Path, reading: Reading, read: Callable[[Reading], Result]) -> Result:
    """Read a second file: the options, which were given for the first one, apply to it only if it needs them.

    If it can be read without them with certainty, they are ignored: so a heading does not become an example, and UTF-8
    is not read as another encoding.  A pipe, which can be read only once, is read with them.

    >>> read_too(Path("dev.csv"), Reading(header="no"), lambda reading: reading.header)
    >>> def doubtful(reading):
    ...     if reading.header is None:
    ...         raise InputError("does its first row name the columns?")
    ...     return reading.header
    >>> read_too(Path("dev.csv"), Reading(header="no"), doubtful)
    'no'
    """
    if path.exists() and not path.is_file():
        return read(reading)
    try:
        return read(Reading())
    except InputError:
        if reading == Reading():
            raise
        return read(reading)


def names_of(context: click.Context, parameter: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """Parse names that are separated by commas; a name with commas is in quotes.

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
        raise click.BadParameter("separate names by commas, as in question,answer", context, parameter)
    return tuple(names)
