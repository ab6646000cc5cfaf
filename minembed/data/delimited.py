"""Tables with delimiters: find the delimiter, and read the records, each with its lines as written."""

import csv
import io
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from minembed.errors import InputError
from minembed.types import Quotes

DELIMITERS = (",", ";", "\t", "|")
NAMES = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "bar": "|", "pipe": "|", "space": " "}
EXCEL = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line that only Excel writes and reads
SHOWN = 3  # rows that a message shows
REMEDY = "--quotes no reads quotes as part of the texts"
Record = tuple[str, list[str], str]  # its place, its cells, and its lines as written

csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # no limit but memory: the default refuses cells of 128 KiB


def check_delimiter(name: str) -> str:
    r"""The delimiter that a character or a name means; raises InputError for more than one character.

    >>> check_delimiter("tab"), check_delimiter(";")
    ('\t', ';')
    """
    found = NAMES.get(name.lower(), name)
    if len(found) != 1 or found in '"\r\n\0':
        raise InputError(f"a delimiter is one character, or {', '.join(NAMES)}; not {name!r}")
    return found


def excel_delimiter(first: str) -> str | None:
    """The delimiter that a first line "sep=;" names; None for another line.

    >>> excel_delimiter("sep=;\\r\\n"), excel_delimiter("id;text")
    (';', None)
    """
    found = EXCEL.fullmatch(first)
    return found and found[1]


def find_delimiter(lines: Sequence[str], whole: bool, name: str, quotes: Quotes | None = None) -> str:
    """Find the delimiter of a table from its first lines: the only one that gives all rows the same width.

    If the first row contains none, the table has one column.  `whole` says that no lines follow.  Raises InputError,
    with the first rows split by each, if more than one fits.

    >>> find_delimiter(["id;text\\n", "1;one, two\\n"], True, "x.csv")
    ';'
    """
    rows = {delimiter: rows_of(lines, whole, delimiter, quotes) for delimiter in DELIMITERS}
    widths = {delimiter: list(map(len, found)) for delimiter, found in rows.items() if found}
    fit = [d for d, found in widths.items() if min(found) == max(found) > 1]
    if len(fit) > 1:
        told = "\n".join(f"  by {d!r}: {'; '.join(map(str, rows[d][:SHOWN]))}" for d in fit)
        raise InputError(f"{name}: its delimiter is in doubt; say it with --delimiter:\n{told}")
    if fit:
        return fit[0]
    wide = [d for d, found in widths.items() if found[0] > 1]
    return max(wide, key=lambda d: widths[d].count(widths[d][0]), default=",")


def rows_of(lines: Sequence[str], whole: bool, delimiter: str, quotes: Quotes | None = None) -> list[list[str]]:
    """The cells of the lines that are not blank; none if they are not a table with this delimiter.

    >>> rows_of(["a;b\\n", "\\n", '"c', ";d"], False, ";")
    [['a', 'b']]
    """
    found: list[list[str]] = []
    try:
        found.extend(row for row in _reader(lines, delimiter, quotes) if row)
    except csv.Error:
        unfinished = not whole and _ends_in_quotes(lines, delimiter)  # inside a cell of several lines
        return found if unfinished else []
    return found


def _reader(lines: Iterable[str], delimiter: str, quotes: Quotes | None) -> Any:
    """The csv module's reader, which counts the lines that it has read."""
    if quotes == "no":
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    return csv.reader(lines, delimiter=delimiter, strict=True)


def _ends_in_quotes(lines: Sequence[str], delimiter: str) -> bool:
    try:
        list(_reader([*lines, '"'], delimiter, "yes"))
    except csv.Error:
        return False
    return True


def leading_records(
    lines: Sequence[str], name: str, delimiter: str, before: int, whole: bool, quotes: Quotes | None = None
) -> list[Record]:
    """The records of the first lines of a table; an incomplete last one is left out, if more lines follow.

    >>> leading_records(["a,b\\n", '"c'], "x.csv", ",", 0, whole=False)
    [('x.csv, line 1', ['a', 'b'], 'a,b\\n')]
    """
    found: list[Record] = []
    try:
        found.extend(records(iter(lines), name, delimiter, before, quotes))
    except InputError:
        if whole or quotes == "no" or not _ends_in_quotes(lines, delimiter):
            raise
    return found


def records(
    lines: Iterable[str], name: str, delimiter: str, before: int = 0, quotes: Quotes | None = None
) -> Iterator[Record]:
    r"""Read the rows; cells may contain line breaks in quotes, unless quotes are text.  `before` lines came before.

    Blank lines are left out, except the blank cells of a table with one column.  Raises InputError, with the line, for
    unmatched quotes, and for a row whose width differs from that of the first.

    >>> list(records(['a,"b, c"\n'], "x.csv", ","))
    [('x.csv, line 1', ['a', 'b, c'], 'a,"b, c"\n')]
    """
    width, blank, ends = 0, list[Record](), set[bool]()
    for place, cells, raw in _raw_records(lines, name, delimiter, before, quotes):
        if width < 2 and raw.endswith(("\r", "\n")):  # with more columns, such rows have other widths
            ends.add(raw.endswith("\r"))
            if len(ends) > 1:
                raise InputError(f"{place}: some lines end in \\n, and some in \\r; use one for all, or quote the cell")
        if not cells:
            if width == 1:
                blank.append((place, [""], raw))
            continue
        width = width or len(cells)
        if len(cells) != width:
            hint = f"; {REMEDY}" if delimiter == "\t" and quotes is None and '"' in raw else ""
            hint += "; remove lines above the heading" if width == 1 else ""
            hint += "; no space may stand before quotes" if quotes != "no" and f'{delimiter} "' in raw else ""
            raise InputError(
                f"{place}: {len(cells)} cells where the first row has {width}, split by {delimiter!r}; quote cells "
                f"that hold it, or name another with --delimiter{hint}: {raw.strip()[:80]!r}"
            )
        if quotes != "no" and f'{delimiter} "' in raw and any(cell.startswith(' "') for cell in cells):
            raise InputError(
                f"{place}: a space stands before the quotes of a cell, which enclose it only without the space; remove "
                f"it, or say --quotes no, if they are part of the text: {raw.strip()[:80]!r}"
            )
        yield from blank  # those at the end are not rows
        blank.clear()
        if delimiter == "\t" and quotes is None and raw.count("\n") > 1:
            _check_quotes(place, cells, raw, name)
        yield place, cells, raw


def _raw_records(
    lines: Iterable[str], name: str, delimiter: str, before: int, quotes: Quotes | None
) -> Iterator[Record]:
    taken: list[str] = []

    def noted() -> Iterator[str]:
        for line in lines:
            taken.append(line)
            yield line

    reader = _reader(noted(), delimiter, quotes)
    while True:
        taken.clear()
        begin = before + reader.line_num + 1
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise InputError(
                f"{name}, line {begin}: not sound CSV ({error}); {REMEDY}; texts of any shape fit into .jsonl"
            ) from error
        if cells is None:
            return
        yield f"{name}, line {begin}", cells, "".join(taken)


def _check_quotes(place: str, cells: Sequence[str], raw: str, name: str) -> None:
    """Refuse a row of several lines if each would be a row by itself: tables with tabs often have bare quotes."""
    alone = [line.count("\t") + 1 for line in raw.rstrip("\r\n").split("\n")]
    if len(cells) > 1 and set(alone) == {len(cells)}:
        raise InputError(
            f"{place}: {len(alone)} rows, or one cell in quotes over so many lines? {REMEDY}, or write each of these "
            f'twice, within quotes ("a ""b"" c"): {raw[:80]!r}'
        )


def csv_line(row: Sequence[str], delimiter: str = ",") -> str:
    """A row as a line.

    >>> csv_line(["a", "b, c"])
    'a,"b, c"\\n'
    """
    line = io.StringIO()
    csv.writer(line, delimiter=delimiter).writerow(row)  # with its default line end, \r in a cell is quoted too
    return line.getvalue()[:-2] + "\n"
