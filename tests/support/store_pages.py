"""The pages of docs/stores/: their programs in parts, and the packages that they install."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from places import ROOT

FOLDER = ROOT / "docs" / "stores"
OVERVIEW = ROOT / "docs" / "stores.md"
FIGURES = FOLDER / "figures.json"
STORES = ("minembed", "duckdb", "sqlite-vec", "lancedb", "chroma", "qdrant", "postgresql")
PARTS = ("Open", "Insert", "Search", "Change", "Reopen", "Smaller vectors")  # headings; each has one block of Python


@dataclass(frozen=True, slots=True)
class Page:
    """A page: a program in parts, by heading, and the packages of its first command."""

    parts: dict[str, str]
    packages: tuple[str, ...]


def page_of(store: str) -> Page:
    """Read a page; every block of Python is under a heading of its own."""
    return read_page((FOLDER / f"{store}.md").read_text(encoding="utf-8"))


def digest(page: Page) -> str:
    """A hash that shows whether a page's program, or the packages that it installs, changed since a measurement."""
    return hashlib.sha256(json.dumps([page.parts, page.packages]).encode()).hexdigest()


def read_page(text: str) -> Page:
    parts = {}
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        heading, _, body = section.partition("\n")
        blocks = re.findall(r"```python\n(.*?)```", body, re.S)
        if blocks:
            (parts[heading],) = blocks
    (command,) = re.findall(r"^pip install (.*)$", text, re.M)[:1]
    return Page(parts, tuple(word.strip("'\"") for word in command.split("#")[0].split()))


def lines_of_code(program: str) -> int:
    """The number of lines that are neither blank nor only a comment."""
    return sum(bool(line.strip()) and not line.strip().startswith("#") for line in program.splitlines())


def size_of(folder: Path) -> int:
    """Bytes of a file, or of all files in a folder, without bytecode; links count for nothing."""
    files = (path for path in [folder, *folder.rglob("*")] if "__pycache__" not in path.parts)
    return sum(path.stat().st_size for path in files if path.is_file() and not path.is_symlink())
