"""From bytes to text: UTF-8 and UTF-16 are recognised reliably; any other encoding must be given by the user."""

import codecs
import io
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from minembed.errors import InputError

MARKS = (  # UTF-32's first, since it begins with UTF-16's
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
WESTERN = ("cp1252", "cp1250", "mac_roman")  # tried first if most letters of a cell are ASCII
OTHERS = ("cp1251", "shift_jis", "gb18030", "euc_kr", "cp1253")  # tried first if few are
LONGEST_CELL = 40  # bytes of a cell that a message shows


def check_encoding(name: str) -> str:
    """Python's name of a text encoding; raises InputError for an unknown one.

    >>> check_encoding("Latin-1")
    'iso8859-1'
    """
    try:
        found = codecs.lookup(name)
        "".encode(name)  # raises for codecs that are not text encodings
    except (LookupError, ValueError) as error:
        raise InputError(
            f"there is no encoding {name[:LONGEST_CELL]!r}; some that there are: utf-8, utf-16, cp1252, cp1250"
        ) from error
    return found.name


def choose_encoding(said: str | None, head: bytes, name: str) -> str:
    """The encoding that the user gave (`said`), or the one that the beginning of the file shows.

    Raises InputError for an unknown encoding, and if a byte order mark contradicts it.

    >>> choose_encoding(None, b"abc", "x.csv"), choose_encoding("latin-1", b"abc", "x.csv")
    ('utf-8', 'iso8859-1')
    >>> choose_encoding("latin-1", codecs.BOM_UTF8, "x.csv")
    Traceback (most recent call last):
    minembed.errors.InputError: x.csv begins with the mark of utf-8: leave out --encoding latin-1
    """
    if said is None:
        return encoding_of(head)
    found = check_encoding(said)
    for mark, own in MARKS:
        if head.startswith(mark):
            if not found.replace("_", "-").startswith(own):
                raise InputError(f"{name} begins with the mark of {own}: leave out --encoding {said}")
            break
    return found


def encoding_of(head: bytes) -> str:
    r"""The encoding that the beginning of a file shows: by its mark, by the zeros of UTF-16, or else UTF-8.

    >>> encoding_of(b"\xff\xfea\0"), encoding_of("Grüße, wie es sich gehört".encode("utf-16-le")), encoding_of(b"a")
    ('utf-16', 'utf-16-le', 'utf-8')
    """
    for mark, name in MARKS:
        if head.startswith(mark):
            return name
    for name, zeros, letters in (("utf-16-le", head[1::2], head[0::2]), ("utf-16-be", head[0::2], head[1::2])):
        if zeros.count(0) and not letters.count(0) and _is_utf16(head, name, zeros.count(0) / len(zeros)):
            return name
    return "utf-8"


def _is_utf16(head: bytes, name: str, zeros: float) -> bool:
    """Whether bytes with zeros only at every other place are UTF-16 without a mark, not UTF-8 with some zeros."""
    text = head[: len(head) // 2 * 2].decode(name, "ignore")
    return (zeros > 0.2 or (zeros > 0.01 and "\n" in text)) and all(c.isprintable() or c in "\t\r\n" for c in text)


def lines_of(file: Any, encoding: str, name: str, newline: str) -> Iterator[str]:
    r"""Decode lines, each with its end; a byte order mark is left out.

    `newline` is "\n", or "" for "\n", "\r" and "\r\n".  Raises InputError, with the line and two readings of the first
    cell that is not in this encoding.

    >>> list(lines_of(io.BytesIO(b"\xef\xbb\xbfone\r\ntwo"), "utf-8", "x.txt", "\n"))
    ['one\r\n', 'two']
    """
    text = io.TextIOWrapper(_buffered(file), encoding, newline=newline)
    number = 0
    try:
        for line in text:
            number += 1
            yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError as error:
        raise _not_so_encoded(error, encoding, name, number) from error


def decode_head(head: bytes, encoding: str, whole: bool, name: str) -> str:
    """Decode the beginning of a file, which may end inside a character unless it is `whole`.

    >>> decode_head("Grü".encode()[:-1], "utf-8", False, "x.txt")
    'Gr'
    """
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head, whole)
    except UnicodeError as error:
        raise _not_so_encoded(error, encoding, name, 0) from error
    return text.removeprefix("\ufeff")


def _buffered(file: Any) -> Any:
    return io.BufferedReader(file, 1 << 16) if isinstance(file, io.RawIOBase) else file


def _not_so_encoded(error: UnicodeError, encoding: str, name: str, lines: int) -> InputError:
    """The error for bytes that cannot be decoded, after `lines` lines."""
    if not isinstance(error, UnicodeDecodeError):  # some decoders do not give the position
        return InputError(f"{name}: not {encoding} ({error}): say which encoding it is with --encoding")
    before = error.object[: error.start].decode(encoding, "ignore")
    number = lines + 1 + max(before.count("\n"), before.count("\r"))
    return InputError(f"{name}, line {number}: not {encoding}; {_readings(error)}")


def _readings(error: UnicodeDecodeError) -> str:
    """Possible readings of a cell with a byte that cannot be decoded."""
    if not error.encoding.startswith("utf-8"):
        return f"{error.reason}: say which encoding it is with --encoding"
    cell = _cell_around(error.object, error.start)
    foreign = 2 * sum(byte > 127 for byte in cell) > len(cell)
    found: dict[str, str] = {}
    for name in OTHERS + WESTERN if foreign else WESTERN + OTHERS:
        with suppress(UnicodeDecodeError):
            found.setdefault(cell.decode(name), name)
    likely = sorted((reading for reading in found if reading.isprintable()), key=_oddness)
    told = " and ".join(f"{reading!r} in {found[reading]}" for reading in likely[:2])
    told = f"is {told}" if told else "is in no encoding known here"
    return f"{cell!r} {told}: say which with --encoding, or save the file as UTF-8"


def _oddness(reading: str) -> int:
    """How unlike words a reading is: its symbols beyond ASCII, and the number of scripts that it mixes."""
    signs = sum(c > "\x7f" and not c.isalpha() for c in reading)
    return signs + len({unicodedata.name(c, "?").split()[0] for c in reading if c.isalpha()})


def _cell_around(block: bytes, place: int) -> bytes:
    """The words around a position, up to the ends of the cell or line."""
    ends = b',;\t|"\r\n'
    begin = end = place
    while begin > max(0, place - LONGEST_CELL // 2) and block[begin - 1] not in ends:
        begin -= 1
    while end < min(len(block), begin + LONGEST_CELL) and block[end] not in ends:
        end += 1
    if begin > 0 and block[begin - 1] not in ends and b" " in block[begin:place]:  # inside a word
        begin = block.index(b" ", begin) + 1
    if end < len(block) and block[end] not in ends and b" " in block[place:end]:
        end = block.rindex(b" ", place, end)
    return block[begin:end]
