"""Whether the quotes of a table with tabs enclose its cells, or are part of the texts: programs write both."""

from collections.abc import Sequence
from itertools import accumulate

from minembed.data.delimited import Record, leading_records
from minembed.data.headings import NUMBER
from minembed.errors import InputError
from minembed.types import Quotes

SHOWN = 80  # characters of a line that a message shows


def find_quotes(lines: Sequence[str], whole: bool, name: str) -> Quotes:
    r"""Whether quotes enclose the cells of a table with tabs, from its first lines.

    "no" where the lines are rows of one width by their tabs alone, and are none with quotes that enclose; "yes" where
    it is the other way round, where no cell begins with a quote, where quotes within cells are doubled, and where all
    texts are in quotes.  `whole` says that no lines follow.  Raises InputError, with a line, where both fit.

    >>> find_quotes(['a\t"b" c\n', "1\t2\n"], True, "x.tsv"), find_quotes(['a\t"b ""c"" d"\n', "1\t2\n"], True, "x.tsv")
    ('no', 'yes')
    >>> find_quotes(["a\tb\n", '1\t"c"\n'], True, "x.tsv")
    Traceback (most recent call last):
    minembed.errors.InputError: x.tsv: do quotes enclose its cells (--quotes yes), or are they text (--quotes no)?
      '1\t"c"'
    """
    full = [line for line in lines if line.strip()]
    rows = [line.rstrip("\r\n").split("\t") for line in full]
    cells = [cell for row in rows for cell in row]
    if not any(cell.startswith('"') for cell in cells) or len({len(row) for row in rows}) > 1:
        return "yes"
    if not _enclose(full, whole, name, len(rows[0])):
        return "no"
    if any('""' in cell[1:-1] for cell in cells if cell.startswith('"')):
        return "yes"
    if all(cell.startswith('"') or not cell.strip() or NUMBER.fullmatch(cell.strip()) for cell in cells):
        return "yes"
    line = next(line for line in full if line.startswith('"') or '\t"' in line)
    asked = "do quotes enclose its cells (--quotes yes), or are they text (--quotes no)?"
    raise InputError(f"{name}: {asked}\n  {line.rstrip()[:SHOWN]!r}")


def _enclose(lines: Sequence[str], whole: bool, name: str, width: int) -> bool:
    """Whether lines are rows of one width if quotes enclose cells, and no quote begins what many rows are then in."""
    try:
        found: list[Record] = leading_records(lines, name, "\t", 0, whole)
    except InputError:
        return False
    read = sum(len(raw) for _, _, raw in found)
    ends = accumulate(map(len, lines))
    left = [line for line, end in zip(lines, ends, strict=True) if end > read]  # a record that goes on behind them
    return not (len(left) > 1 and width > 1 and all(line.count("\t") + 1 == width for line in left))
