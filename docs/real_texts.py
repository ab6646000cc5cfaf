"""A million short real texts that every machine has: lines of the sources and documents of all that is installed.

    python docs/real_texts.py FILE.parquet ROWS

They are lines of docstrings, comments, code and prose, of the standard library and of the packages that are installed;
none comes twice.  Other packages, other lines.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

SHORTEST, LONGEST = 12, 40  # characters
BLOCK = 10_000


def sources() -> Iterator[Path]:
    """The files of the standard library and of what is installed, in one order."""
    stdlib, installed = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    for root in (stdlib, installed):
        for path in sorted(root.rglob("*")):
            inside = "site-packages" not in path.relative_to(root).parts
            if inside and path.suffix in (".py", ".pyi", ".rst", ".txt", ".md", ".h") and path.is_file():
                yield path


def texts() -> Iterator[tuple[str, str]]:
    """All lines of that length, none twice, each with the name of its file's folder."""
    known = set()
    for path in sources():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        for text in map(str.strip, lines):
            if SHORTEST <= len(text) <= LONGEST and text.isprintable():
                digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
                if digest not in known:
                    known.add(digest)
                    yield path.parent.name, text


def main(path: Path, rows: int) -> int:
    """Write the file; returns how many texts there are."""
    schema = pa.schema([("id", pa.int64()), ("folder", pa.string()), ("text", pa.string())])
    number, some = 0, islice(texts(), rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while block := list(islice(some, BLOCK)):
            folders, lines = zip(*block, strict=True)
            ids = list(range(number, number + len(block)))
            writer.write_table(pa.table({"id": ids, "folder": folders, "text": lines}, schema))
            number += len(block)
    print(f"{number:,} texts in {path}")
    return number


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
