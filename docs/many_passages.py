"""A million real passages that every machine has: docstrings, comments and sources of all that is installed.

    python docs/many_passages.py FILE.parquet ROWS

First come the 21,000 paragraphs of docs/passages.py and the rest of the docstrings, then the comments and the code of
the same files, some lines at a time; none comes twice.  Other packages, other passages.
"""

import hashlib
import sys
import sysconfig
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet
from passages import found

LINES = 4  # of a passage of code
FEWEST = 40  # characters
BLOCK = 10_000


def sources() -> Iterator[Path]:
    """The files of the standard library and of what is installed, in one order."""
    stdlib, installed = Path(sysconfig.get_path("stdlib")), Path(sysconfig.get_path("purelib"))
    for root in (stdlib, installed):
        for path in sorted(root.rglob("*")):
            inside = "site-packages" not in path.relative_to(root).parts
            if inside and path.suffix in (".py", ".pyi", ".rst", ".txt", ".md", ".h") and path.is_file():
                yield path


def code() -> Iterator[tuple[str, str]]:
    """Some lines of a file after the other, each with the name of the file's folder."""
    for path in sources():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError):
            continue
        told = [line.strip() for line in lines if line.strip()]
        for start in range(0, len(told), LINES):
            text = " ".join(told[start : start + LINES])[:2000]
            if len(text) >= FEWEST and text.isprintable():
                yield path.parent.name, text


def passages() -> Iterator[tuple[str, str]]:
    """All of them, none twice."""
    known = set()
    for module, text in (pair for some in (found(), code()) for pair in some):
        digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        if digest not in known:
            known.add(digest)
            yield module, text


def main(path: Path, rows: int) -> int:
    """Write the file; returns how many passages there are."""
    schema = pa.schema([("id", pa.int64()), ("module", pa.string()), ("text", pa.string())])
    number, some = 0, islice(passages(), rows)
    with pyarrow.parquet.ParquetWriter(path, schema) as writer:
        while block := list(islice(some, BLOCK)):
            modules, texts = zip(*block, strict=True)
            ids = list(range(number, number + len(block)))
            writer.write_table(pa.table({"id": ids, "module": modules, "text": texts}, schema))
            number += len(block)
    print(f"{number:,} passages in {path}")
    return number


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
