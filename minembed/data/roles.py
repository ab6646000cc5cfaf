"""Find columns of a table by their purpose, as in pairs and scores, and the rows with missing values in them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from minembed.data.columns import EXAMPLE, NULL, Column, listing
from minembed.data.headings import SCORES, plain
from minembed.data.table import Table
from minembed.data.texts import FIRST_PLACES, check_once, column_of
from minembed.errors import InputError

TRUTH = {"true": 1.0, "false": 0.0}


class Gap(NamedTuple):
    """A missing value: its row, and its column."""

    place: str
    column: str


def check_columns(table: Table, what: str) -> None:
    """Raise InputError for a file with one text per line.

    >>> from minembed.data.source import Source
    >>> check_columns(Table(Source("x.txt"), "txt", ("text",), (), True, ()), "pairs")
    Traceback (most recent call last):
    minembed.errors.InputError: x.txt is a text a line; pairs need columns: say --format, if it has some
    """
    if not table.has_columns:
        raise InputError(f"{table.name} is a text a line; {what} need columns: say --format, if it has some")


def columns_of(table: Table, fields: Sequence[str], option: str) -> list[Column]:
    """The named columns; raises InputError if a name fits no column, or several.

    >>> from minembed.data.source import Source
    >>> table = Table(Source("x.csv"), "csv", ("q", "a"), (), True, ())
    >>> [column.name for column in columns_of(table, ["2", "q"], "--columns")]
    ['a', 'q']
    """
    return [column_of(table, field, option) for field in fields]


def find_role(
    table: Table, groups: Sequence[Sequence[str]], what: str, option: str, leave_out: Sequence[Column] = ()
) -> Column | None:
    """The column with a name of the first group that fits any; None if no group fits.

    Raises InputError, with all columns, if two columns have names of the same group.

    >>> from minembed.data.source import Source
    >>> table = Table(Source("x.csv"), "csv", ("Sentence 1", "s2", "label", "score"), (), True, ())
    >>> find_role(table, [["score"], ["label"]], "the score", "--score").name
    'score'
    """
    names = [name for name in table.columns if name not in {column.name for column in leave_out}]
    for group in groups:
        found = [name for name in names if plain(name) in group]
        if len(found) > 1:
            raise unclear(table, f"{len(found)} columns may be {what} ({', '.join(map(repr, found))})", option)
        if found:
            column = Column(found[0], (found[0],))
            check_once(table, column)
            return column
    return None


def unclear(table: Table, what: str, option: str) -> InputError:
    """The error that lists the columns of a table, with an example of each.

    >>> from minembed.data.source import Source
    >>> print(unclear(Table(Source("x.csv"), "csv", ("q", "a"), (), True, ()), "no column is a text", "--columns A,B"))
    x.csv: no column is a text; say which with --columns A,B:
      q  'None'
      a  'None'
    """
    rows = [row.values for row in table.sample]
    return InputError(f"{table.name}: {what}; say which with {option}:\n{listing(table.columns, rows)}")


def is_bare(table: Table) -> bool:
    """Whether a table has no heading with the names of its columns.

    >>> from minembed.data.source import Source
    >>> is_bare(Table(Source("x.csv"), "csv", ("1", "2"), (), True, ()))
    True
    """
    return table.form in ("csv", "tsv") and table.heading is None


def number_of(value: Any, column: str, place: str) -> float | None:
    """A value as a finite number; None if it is missing (null, NaN, blank).

    True and false are 1 and 0 in columns that are named label, is_duplicate and the like.  Raises InputError for
    anything else.

    >>> number_of("4.5", "score", "x, line 2"), number_of(" ", "score", "x, line 3")
    (4.5, None)
    >>> number_of(True, "is_duplicate", "x, line 2"), number_of("False", "label", "x, line 3")
    (1.0, 0.0)
    """
    if value is None or (isinstance(value, str) and value.strip() in ("", NULL)) or value != value:
        return None
    truth = TRUTH.get(str(value).strip().lower()) if plain(column) in SCORES[1] else None
    if truth is not None:
        return truth
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{place}: {column!r} is {repr(value)[:EXAMPLE]}, not a finite number")
    return number


def check_gaps(gaps: Sequence[Gap], name: str, rows: int) -> None:
    """Raise InputError, with the first places, if there are missing values.

    >>> check_gaps([Gap("x, line 3", "score"), Gap("x, line 7", "score")], "x", 12)
    Traceback (most recent call last):
    minembed.errors.InputError: x: 'score' is missing in 2 of 12 rows (line 3, line 7); --missing skip skips them
    """
    if not gaps:
        return
    columns = list(dict.fromkeys(gap.column for gap in gaps))
    places = [gap.place.removeprefix(f"{name}, ") for gap in gaps[:FIRST_PLACES]]
    if len(columns) > 1:
        places = [f"{place}: {gap.column!r}" for place, gap in zip(places, gaps, strict=False)]
    told = ", ".join([*places, *(["..."] if len(gaps) > FIRST_PLACES else [])])
    what, count = " or ".join(map(repr, columns)), len({gap.place for gap in gaps})
    raise InputError(f"{name}: {what} is missing in {count:,} of {rows:,} rows ({told}); --missing skip skips them")


def told(table: Table, rows: int, columns: Sequence[Column], left_out: int = 0, more: Sequence[str] = ()) -> str:
    """One line that says what is read, and how.

    >>> from minembed.data.source import Source
    >>> pairs = Table(Source("x.csv"), "csv", ("q", "a"), (), True, ("csv", '","', "utf-8"))
    >>> told(pairs, 500, [Column("q", ("q",)), Column("a", ("a",))])
    'x.csv: 500 rows, columns "q", "a" (csv, ",", utf-8)'
    """
    names = ", ".join(f'"{column.name}"' for column in columns)
    parts = [f"{rows:,} row{'s' if rows != 1 else ''}", f"columns {names}", *more]
    parts += [f"{left_out:,} with something missing left out"] if left_out else []
    return f"{table.name}: {', '.join(parts)} ({', '.join(table.details)})"
