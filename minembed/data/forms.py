"""The form of a file: by its name, or by its content if the name says nothing."""

import json
from pathlib import PurePath

from minembed.errors import InputError
from minembed.types import TextFormat

BY_ENDING: dict[str, TextFormat] = {
    ".txt": "txt",
    ".text": "txt",
    ".md": "txt",
    ".rst": "txt",
    ".log": "txt",
    ".csv": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".jsonlines": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".feather": "feather",
    ".arrow": "feather",
    ".ipc": "feather",
}
PACKED_ENDINGS = (".gz", ".bz2", ".xz", ".zst", ".zstd")
SHEET = "save the sheet as CSV (UTF-8)"
PAGE = "extract its texts first; --format txt reads it line by line"
DOCUMENT = "save it as plain text, a text a line"
VECTORS = "it holds numbers; the texts are wanted"
REFUSED = {
    **dict.fromkeys((".xlsx", ".xlsm", ".xls", ".ods", ".numbers"), SHEET),
    **dict.fromkeys((".pdf", ".docx", ".doc", ".odt", ".rtf", ".pptx", ".epub"), DOCUMENT),
    **dict.fromkeys((".html", ".htm", ".xml"), PAGE),
    **dict.fromkeys((".zip", ".tar", ".tgz", ".7z", ".rar"), "unpack it, and name the file in it"),
    **dict.fromkeys((".npy", ".npz", ".safetensors"), VECTORS),
    **dict.fromkeys((".db", ".sqlite", ".sqlite3", ".duckdb"), "export the table as CSV, JSON lines or parquet"),
    **dict.fromkeys((".pkl", ".pickle"), "write its texts as JSON lines: a pickle may run any program"),
}
BINARY_MARKS: tuple[tuple[bytes, TextFormat], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "feather"),
    (b"\xff\xff\xff\xff", "feather"),  # a stream
)
REFUSED_MARKS = (
    (b"PK\x03\x04", "a .zip, .xlsx or .docx", f"unpack it, or {SHEET}"),
    (b"%PDF", "a .pdf", DOCUMENT),
    (b"\xd0\xcf\x11\xe0", "a .xls or .doc", SHEET),
    (b"{\\rtf", "a .rtf", DOCUMENT),
    (b"SQLite format 3", "an SQLite database", REFUSED[".db"]),
    (b"\x93NUMPY", "a .npy", VECTORS),
    *[(mark, "a page of HTML", PAGE) for mark in (b"<!DOCTYPE html", b"<!doctype html", b"<html")],
    (b"<?xml", "XML", PAGE),
    (b"version https://git-lfs.github.com/", "a pointer of Git LFS", "fetch the file itself with git lfs pull"),
    (b"FEA1", "a feather file of version 1", "write it again, as version 2"),
)


def form_of_name(name: str) -> TextFormat | None:
    """The form that the ending of a name means, compressed or not; None if it means none.

    Raises InputError, which says what to do, for the endings of files that cannot be read.

    >>> form_of_name("a.CSV"), form_of_name("b.jsonl.gz"), form_of_name("notes")
    ('csv', 'jsonl', None)
    """
    path = PurePath(name)
    ending = path.suffix.lower()
    if ending in PACKED_ENDINGS:
        ending = PurePath(path.stem).suffix.lower()
    if ending in REFUSED:
        raise InputError(f"{name}: {ending} files are not read: {REFUSED[ending]}")
    return BY_ENDING.get(ending)


def binary_form(head: bytes, name: str) -> TextFormat | None:
    """The form whose mark a file begins with; None for text.  Raises InputError for marks of files that cannot be read.

    >>> binary_form(b"PAR1...", "x"), binary_form(b"text", "x")
    ('parquet', None)
    """
    for mark, what, remedy in REFUSED_MARKS:
        if head.startswith(mark):
            raise InputError(f"{name} is {what}, by its content: {remedy}")
    return next((form for mark, form in BINARY_MARKS if head.startswith(mark)), None)


def json_form(head: str, whole: bool) -> TextFormat | None:
    """Whether a text begins as JSON lines or as one JSON value; None if it is neither.

    >>> json_form('{"a": 1}\\n{"a"', False), json_form('[{"a": 1}]', True), json_form("[INFO] started", True)
    ('jsonl', 'json', None)
    """
    text = head.lstrip()
    first = text.partition("\n")[0]
    if text.startswith("{"):
        if _is_json(first):
            return "jsonl"
        return "json" if not whole or _is_json(text) else None
    if text.startswith("["):
        inner = text[1:].lstrip()
        return "json" if inner[:1] in ("{", '"', "]") or (not inner and not whole) else None
    return None


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
