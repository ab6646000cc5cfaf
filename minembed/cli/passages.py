"""The corpus of a command: the passages of a file or of standard input, and their index, kept in the cache."""

import csv
import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import click

from minembed.errors import IndexFileError, InputError, MinembedWarning, SourceError, warn
from minembed.folders import cache_folder
from minembed.texts import FIELD, FORMATS, csv_rows, format_of, lines, read_texts

if TYPE_CHECKING:
    from minembed.embedder import Embedder
    from minembed.index import Index

STDIN = Path("-")
PRECISIONS = ("float32", "int8", "binary")  # minembed.index_blocks has them too, which help need not import
KEPT, KEPT_BYTES = 32, 4 << 30  # indexes in the cache: those that were used last
CHUNK = 1 << 20  # bytes that are hashed at a time
Command = TypeVar("Command", bound=Callable[..., Any])


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
        digest = hashlib.sha256()
        with self.open() as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

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


def index_of(corpus: Corpus, model: "Embedder", precision: str, use_cache: bool = True) -> "Index":
    """The index of a corpus: from the cache, or made and put there."""
    from minembed.index import Index

    place = cache_folder() / "indexes" / _key(corpus, model, precision) if use_cache else None
    if place is not None:
        with suppress(IndexFileError):  # not there, or damaged: it is made again
            index = Index.load(place, model, verify=True)
            with suppress(OSError):
                os.utime(place)
            return index
    numbers, texts = corpus.passages()
    index = Index.build(model, texts, ids=numbers, precision=precision, metadata={"source": corpus.name})
    if place is not None:
        try:
            index.save(place)
            forget(place.parent)
        except (SourceError, InputError) as error:
            warn(f"the index is not kept: {error}", MinembedWarning)
    return index


def _key(corpus: Corpus, model: "Embedder", precision: str) -> str:
    """A name for an index that changes with everything that its contents depend on."""
    from minembed.index_files import VERSION
    from minembed.index_models import facts_of

    read = corpus.digest(), corpus.file_format, corpus.field
    facts = VERSION, precision, model.max_seq_length, facts_of(model, model.dimension)
    return hashlib.sha256(json.dumps([read, facts]).encode()).hexdigest()[:32]


def forget(folder: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
    """Remove the indexes that were not used for longest, until few enough are left.

    >>> forget(Path("no such folder"))
    """
    used = []
    for place in folder.glob("*"):
        with suppress(OSError):
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            used.append((place.stat().st_mtime, size, place))
    total = 0
    for number, (_, size, place) in enumerate(sorted(used, reverse=True)):
        total += size
        if number and (number >= kept or total > kept_bytes):
            shutil.rmtree(place, ignore_errors=True)


def one_line(text: str) -> str:
    r"""A text on one line, without what a terminal would take for a command.

    >>> one_line(" a\n\tb\x1b[2J")
    'a b\ufffd[2J'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in " ".join(text.split()))
