"""The corpus of a command: the passages of a file or of standard input, and their index, kept in the cache."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from minembed.data.old_texts import FORMATS

if TYPE_CHECKING:
    pass

Command = TypeVar("Command", bound=Callable[..., Any])


def corpus_options(command: Command) -> Command:
    """Add the options that say how a corpus is written.

    >>> @click.command()
    ... @corpus_options
    ... def run(file_format, field): ...
    >>> [parameter.name for parameter in run.params]
    ['file_format', 'field']
    """
    form = click.option(
        "--format", "file_format", type=click.Choice(FORMATS), help="Format of the corpus; default: by its name."
    )
    field = click.option(
        "--field",
        metavar="NAME",
        help='Field or column of the texts; default: "text", or the first column of a CSV that has no such header.',
    )
    return form(field(command))


def one_line(text: str) -> str:
    r"""A text on one line, without what a terminal would take for a command.

    >>> one_line(" a\n\tb\x1b[2J")
    'a b\ufffd[2J'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
