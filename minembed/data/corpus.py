"""The texts of a corpus, from a file or standard input."""

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import click

from minembed.data.old_texts import FIELD, csv_rows, format_of, lines, read_texts
from minembed.errors import InputError
from minembed.runtime.checksums import hash_file

STDIN = Path("-")


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where passages come from, and how they are written there."""

    name: str
    path: Path | None  # None: `data`, which came from standard input
    data: bytes
    file_format: str
    field: str | None

    @classmethod
    def of(cls, path: Path, file_format: str | None, field: str | None) -> "Corpus":
        """A file, or standard input, which is read here."""
        if path != STDIN:
            return cls(str(path), path, b"", file_format or format_of(path), field)
        if sys.stdin is None or sys.stdin.isatty():
            raise click.UsageError("no texts: name a file, or pipe them in")
        return cls("standard input", None, sys.stdin.buffer.read(), file_format or "txt", field)

    def open(self) -> BinaryIO:
        """Open it at its beginning."""
        return io.BytesIO(self.data) if self.path is None else self.path.open("rb")

    def digest(self) -> str:
        """The SHA-256 of its bytes."""
        with self.open() as file:
            return hash_file(file)

    def passages(self) -> tuple[list[int], list[str]]:
        """Its texts, but for blank ones, and their numbers from 1; raises InputError where there are none."""
        with self.open() as file:
            texts = enumerate(read_texts(file, self.name, self.file_format, self.field), 1)
            found = [(number, text) for number, text in texts if text.strip()]
        if not found:
            raise InputError(f"{self.name} holds no texts")
        return [number for number, _ in found], [text for _, text in found]

    def rows(self) -> Iterator[str]:
        """Yield a heading ("" where there is none), and then what stands there for each text, with its line break."""
        with self.open() as file:
            if self.file_format == "csv":
                rows = (row for _, row in csv_rows(file, self.name))
                first = next(rows, [])
                yield csv_line(first) if (self.field or FIELD) in first else ""
                if (self.field or FIELD) not in first:
                    yield csv_line(first)
                yield from map(csv_line, rows)
                return
            yield ""
            if self.file_format == "parquet":
                for text in read_texts(file, self.name, self.file_format, self.field):
                    yield json.dumps({FIELD: text}, ensure_ascii=False) + "\n"
                return
            for line in lines(file, self.name):
                if self.file_format == "txt" or line.strip():
                    yield line if line.endswith("\n") else line + "\n"


def csv_line(row: list[str]) -> str:
    """A row as a line of CSV.

    >>> csv_line(["a", "b, c"])
    'a,"b, c"\\n'
    """
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(row)
    return line.getvalue()
