"""The form of an open file, from its content: a table, or one text per line?"""

import io
from collections.abc import Sequence

from minembed.data import delimited
from minembed.data.encodings import decode_head
from minembed.data.forms import BINARY_MARKS, binary_form, form_of_name, json_form
from minembed.data.headings import KNOWN, plain
from minembed.data.source import Source, Stream
from minembed.errors import InputError
from minembed.types import TextFormat

BINARY = tuple(form for _, form in BINARY_MARKS)


def form_of(source: Source, stream: Stream, encoding: str, columns_only: bool) -> TextFormat:
    """The form of a file: by its name, unless the content has a mark; by its content, if the name says nothing.

    With `columns_only`, one text per line is not an option.  Raises InputError if the form is in doubt.

    >>> import io
    >>> form_of(Source("notes"), Stream(io.BytesIO(b"Well, no.\\nHello!\\n"), "notes"), "utf-8", False)
    'txt'
    """
    named = form_of_name(source.name)
    if columns_only and named == "txt":
        named = None
    marked = binary_form(stream.begins([mark for mark, _ in BINARY_MARKS]), source.name)
    if marked is not None:
        return marked
    if named in BINARY:
        raise InputError(f"{source.name}: not a {named} file, by its content; --format says what it is")
    text, whole = beginning(stream, encoding, 2 if source.again else 1)
    found = json_form(text, whole)
    if named in ("csv", "tsv") and found is not None and text.lstrip()[:1] == "{":
        raise InputError(f"{source.name} is JSON, by its content: say --format {found}")
    if named == "json" and found == "jsonl" and "\n" in text.strip():
        return "jsonl"
    if named == "txt" and (
        found == "jsonl" or text.lstrip()[:2] == "[{" or _has_columns(split_lines(text, whole, "\n"))
    ):
        raise _in_doubt(source.name, split_lines(text, whole, "\n"))
    return named or found or ("csv" if columns_only else _plain_form(source, stream, encoding))


def _plain_form(source: Source, stream: Stream, encoding: str) -> TextFormat:
    """Lines of text; if they look like a table, the user must say which it is (InputError)."""
    text, whole = beginning(stream, encoding, 1)
    if "\0" in text:
        raise InputError(f"{source.name}: not a text, by its content (it has NUL characters); --format txt reads it")
    if any(delimiter in text for delimiter in delimited.DELIMITERS) or plain(text) in KNOWN:
        text, whole = beginning(stream, encoding, 3)  # also if a pipe is written slowly
    lines = split_lines(text, whole, "\n" if "\n" in text else "\r")
    if not looks_like_table(lines, whole):
        return "txt"
    raise _in_doubt(source.name, lines)


def _in_doubt(name: str, lines: Sequence[str]) -> InputError:
    shown = "\n".join(f"  {line.rstrip()[:80]}" for line in lines[:3])
    return InputError(f"{name}: is it a table or a text a line? Say --format csv, tsv, jsonl or txt:\n{shown}")


def _has_columns(lines: Sequence[str]) -> bool:
    """Whether lines of a file that is named as texts are a table: all have equally many tabs, or the first has names.

    Commas do not count, since prose has them.
    """
    rows = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
    if len(rows) > 1 and min(map(len, rows)) == max(map(len, rows)) > 1:
        return True
    return len(rows) > 1 and any(_names_columns(lines, delimiter) for delimiter in delimited.DELIMITERS[1:])


def looks_like_table(lines: Sequence[str], whole: bool) -> bool:
    """Whether lines are rows of one width, or all in quotes, or follow a line with names of columns.

    >>> looks_like_table(["id,text\\n", "1,one\\n"], True), looks_like_table(["Hello, you\\n", "Well, no\\n"], True)
    (True, False)
    """
    full = [line.strip() for line in lines if line.strip()]
    if full and all(len(line) > 1 and line[0] == line[-1] == '"' for line in full):
        return True
    if len(full) > 1 and plain(full[0]) in KNOWN:
        return True
    if full and delimited.excel_delimiter(full[0]):
        return True
    for delimiter in delimited.DELIMITERS:
        rows, named = delimited.rows_of(lines, whole, delimiter), _names_columns(full[:1], delimiter)
        if len(rows) > 1 and min(map(len, rows)) == max(map(len, rows)) > 1:
            if delimiter == "\t" or not any(cell[:1] == " " for row in rows for cell in row):  # as prose has
                return True
        if named:
            return True
    return False


def _names_columns(lines: Sequence[str], delimiter: str) -> bool:
    """Whether the first line contains names of columns: more than one known name."""
    cells = next(iter(delimited.rows_of(lines[:1], True, delimiter)), [])
    known = sum(plain(cell) in KNOWN and cell[:1] != " " for cell in cells)
    return 1 < known <= len(cells)


def beginning(stream: Stream, encoding: str, lines: int) -> tuple[str, bool]:
    """The text at the beginning, with at least this many whole lines, and whether it is the whole file.

    >>> import io
    >>> beginning(Stream(io.BytesIO(b"one two"), "x"), "utf-8", 1)
    ('one two', True)
    """
    size = 1
    while True:
        head = stream.look(size)
        text = decode_head(head, encoding, stream.ended, stream.name)
        ended = stream.ended or not text.endswith("\r")  # a "\n" may follow
        if stream.ended or (ended and text.count("\n") + text.count("\r") >= lines):
            return text, stream.ended
        size = max(len(head) + 1, 2 * len(head))


def split_lines(text: str, whole: bool, newline: str) -> list[str]:
    r"""Text as lines, without the last line if it may be incomplete.

    >>> split_lines("one\ntwo\nthr", False, "\n")
    ['one\n', 'two\n']
    """
    lines = io.StringIO(text, newline=newline).readlines()
    return lines if whole or len(lines) < 2 else lines[:-1]
