"""Decide whether quotes in a table with tabs enclose its cells or are part of the texts: programs write both."""

from collections.abc import Sequence

from minembed.data.delimited import rows_of
from minembed.data.headings import NUMBER
from minembed.errors import InputError
from minembed.types import Quotes

SHOWN = 80  # characters of a line that a message shows


def find_quotes(lines: Sequence[str], whole: bool, name: str) -> Quotes | None:
    r"""Whether quotes are part of the texts of a table with tabs ("no"), from its first lines; None if they enclose.

    They are text if the lines are rows of one width when split at every tab, but not if quotes enclose cells.  They
    enclose cells if it is the other way round, if quotes inside cells are doubled, or if all texts are in quotes.
    `whole` says that no lines follow.  Raises InputError, with a line, if both fit.

    >>> find_quotes(['a\t"b" c\n', "1\t2\n"], True, "x.tsv")
    'no'
    >>> find_quotes(['a\t"b ""c"" d"\n', "1\t2\n"], True, "x.tsv")
    >>> find_quotes(["a\tb\n", '1\t"c"\n'], True, "x.tsv")
    Traceback (most recent call last):
    minembed.errors.InputError: x.tsv: do quotes enclose its cells (--quotes yes), or are they text (--quotes no)?
      '1\t"c"'
    """
    full = [line for line in lines if line.strip()]
    rows = [line.rstrip("\r\n").split("\t") for line in full]
    cells = [cell for row in rows for cell in row]
    if not any(cell.startswith('"') for cell in cells) or len({len(row) for row in rows}) > 1:
        return None
    enclosed = rows_of(full, whole, "\t")
    if len({len(row) for row in enclosed}) != 1:
        return "no"
    if len(enclosed) == len(rows):  # no cell has several lines
        if any('""' in cell[1:-1] for cell in cells if cell.startswith('"')):
            return None
        if all(cell.startswith('"') or not cell.strip() or NUMBER.fullmatch(cell.strip()) for cell in cells):
            return None
    line = next(line for line in full if line.startswith('"') or '\t"' in line)
    asked = "do quotes enclose its cells (--quotes yes), or are they text (--quotes no)?"
    raise InputError(f"{name}: {asked}\n  {line.rstrip()[:SHOWN]!r}")
