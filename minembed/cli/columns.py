"""More options of files with several columns: which ones are meant, and what happens to rows without them."""

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
    """The option that says what happens to rows in which something is missing.

    >>> @click.command()
    ... @missing_option("a text")
    ... def run(missing): ...
    >>> run.params[0].name
    'missing'
    """
    told = f"Rows without {what}: stop with an error (default), skip them, or read them as empty."
    return click.option("--missing", type=click.Choice(get_args(Missing)), help=told)


def read_too(path: Path, reading: Reading, read: Callable[[Reading], Result]) -> Result:
    """Read a second file, for which options were not meant in the first place: they hold where it needs them.

    It is read without them, if that is certain: so no heading becomes an example, and UTF-8 stays what it is.  A pipe,
    which can be read only once, is read with them.

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
        raise click.BadParameter("separate names by commas, as in question,answer", context, parameter)
    return tuple(names)
