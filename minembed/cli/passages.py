"""The options for reading a user's file, and the texts that a command takes from arguments or a file."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from minembed.cli.console import as_text, file_or_stdin, new_file
from minembed.data.corpus import Corpus, Passages
from minembed.data.source import STDIN
from minembed.data.table import Reading
from minembed.data.texts import Selection
from minembed.types import Header, Missing, Quotes, TextFormat

Command = TypeVar("Command", bound=Callable[..., Any])
FORMS = ".txt (one text per line), .csv, .tsv, .jsonl, .json, .parquet or .feather, also compressed"


def reading_options(command: Command) -> Any:
    """Add the options that describe the format of a file; the command gets them as `reading`.

    >>> @click.command()
    ... @reading_options
    ... def run(reading): ...
    >>> [parameter.name for parameter in run.params]
    ['file_format', 'encoding', 'delimiter', 'header', 'quotes']
    """
    options = (
        click.option(
            "--format",
            "file_format",
            type=click.Choice(get_args(TextFormat)),
            help="Format of the file; default: by its name, or by its content.",
        ),
        click.option(
            "--encoding", metavar="NAME", help="Encoding of the file; default: UTF-8, or UTF-16 with a byte-order mark."
        ),
        click.option(
            "--delimiter", metavar="CHAR", help='Delimiter of .csv: a character, or "tab"; default: detected.'
        ),
        click.option(
            "--header",
            type=click.Choice(get_args(Header)),
            help="Whether the first row of .csv and .tsv names the columns.",
        ),
        click.option(
            "--quotes",
            type=click.Choice(get_args(Quotes)),
            help="Whether quotes enclose cells of .csv and .tsv, or are text; default: yes; detected with tabs.",
        ),
    )

    @wraps(command)
    def with_reading(
        *args: Any,
        file_format: TextFormat | None,
        encoding: str | None,
        delimiter: str | None,
        header: Header | None,
        quotes: Quotes | None,
        **own: Any,
    ) -> Any:
        return command(*args, reading=Reading(file_format, encoding, delimiter, header, quotes), **own)

    wrapped: Any = with_reading
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def selection_options(command: Command) -> Any:
    """Add the options that select the texts of a file; the command gets them as `selection`.

    >>> @click.command()
    ... @selection_options
    ... def run(selection): ...
    >>> [parameter.name for parameter in run.params]
    ['field', 'missing', 'file_format', 'encoding', 'delimiter', 'header', 'quotes']
    """
    field = click.option(
        "--field",
        metavar="NAME",
        help='Column of the texts: a name, a number from 1, or a path as in "doc.body"; default: detected.',
    )
    missing = click.option(
        "--missing",
        type=click.Choice(get_args(Missing)),
        help="Rows without a text: stop with an error (default), skip them, or read them as empty.",
    )

    @wraps(command)
    def with_selection(
        *args: Any,
        field: str | None,
        missing: Missing | None,
        reading: Reading,
        identity: str | None = None,
        **own: Any,
    ) -> Any:
        return command(*args, selection=Selection(reading, field, missing, identity), **own)

    wrapped: Any = field(missing(reading_options(with_selection)))
    return wrapped


def corpus_argument(command: Command) -> Command:
    """Add the argument that names the file of the texts.

    >>> @click.command()
    ... @corpus_argument
    ... def run(corpus): ...
    >>> run.params[0].name
    'corpus'
    """
    return click.argument("corpus", type=file_or_stdin())(command)


def output_option(told: str, **more: Any) -> Callable[[Command], Command]:
    """The option that names the file to write; `more` are further arguments of click.option.

    >>> @click.command()
    ... @output_option("Where the rows go.", required=True)
    ... def run(output): ...
    >>> run.params[0].name, run.params[0].required
    ('output', True)
    """
    return click.option("-o", "--output", type=new_file(), metavar="FILE", help=told, **more)


def id_option(command: Command) -> Command:
    """Add the option for the column of ids, to a command with `selection_options`.

    >>> @click.command()
    ... @id_option
    ... @selection_options
    ... def run(selection): ...
    >>> run.params[0].name
    'identity'
    """
    return click.option(
        "--id", "identity", metavar="COLUMN", help="Column of the ids, as --field; default: the row's number, from 1."
    )(command)


def cache_option(command: Command) -> Command:
    """Add the option that does not use the cache of indexes.

    >>> @click.command()
    ... @cache_option
    ... def run(no_cache): ...
    >>> run.params[0].name
    'no_cache'
    """
    return click.option("--no-cache", is_flag=True, help="Do not read or write the index of the corpus in the cache.")(
        command
    )


def keep_option(command: Command) -> Command:
    """Add the option that says which columns of a table to keep.

    >>> @click.command()
    ... @keep_option
    ... def run(keep): ...
    >>> run.params[0].name
    'keep'
    """
    return click.option(
        "--keep", metavar="all|none|A,B", help="Columns of a table to keep; default: all, in formats with rows."
    )(command)


def check_places(texts: tuple[str, ...], source: Path | None) -> tuple[tuple[str, ...], Path | None]:
    """The texts of the arguments, or the file with the texts; raises UsageError for both.

    >>> check_places(("-",), None) == ((), STDIN)
    True
    """
    if texts == (str(STDIN),):
        texts, source = (), source or STDIN
    if texts and source is not None:
        raise click.UsageError("give texts or --input, not both")
    return texts, None if texts else source or STDIN


def passages_of(texts: tuple[str, ...], source: Path | None, selection: Selection) -> Passages:
    """The texts of the arguments, or those of a file, with their numbers from 1."""
    texts, source = check_places(texts, source)
    if source is None:
        return Passages(list(range(1, len(texts) + 1)), [as_text(text) for text in texts])
    check_not_terminal(source)
    corpus = Corpus.of(source, selection)
    corpus.survey()
    return corpus.passages()


def check_not_terminal(path: Path) -> None:
    """Raise UsageError if a file is standard input, and standard input is a terminal.

    >>> check_not_terminal(Path("texts.csv"))
    """
    if path == STDIN and (sys.stdin is None or sys.stdin.isatty()):
        raise click.UsageError("no texts: give some, name a file, or pipe them in")
