"""Texts that every machine has: the standard library's docstrings, and the language reference of `help()`."""

import ast
import sysconfig
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SKIPPED = {"site-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo", "ensurepip", "pydoc_data"}


@dataclass(frozen=True, slots=True)
class Docstring:
    """A docstring, and the name of its object."""

    module: str  # its first name: "email" for email.message
    names: tuple[str, ...]  # of the packages, classes and functions that it is in, itself last
    text: str

    def paragraphs(self) -> list[str]:
        """Its paragraphs, each in one line."""
        return paragraphs(self.text)


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text, each in one line."""
    return [" ".join(part.split()) for part in text.split("\n\n") if part.strip()]


def docstrings(root: Path | None = None) -> Iterator[Docstring]:
    """All docstrings of a folder of packages, in the order of files; in a file, outer ones first.

    None: the standard library, without what is installed in it.
    """
    root = root or Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).parts
        if SKIPPED & set(parts):
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):
            continue
        module = parts[0].removesuffix(".py")
        within = tuple(part.removesuffix(".py") for part in parts if part != "__init__.py")
        todo: deque[tuple[ast.AST, tuple[str, ...]]] = deque([(tree, within)])
        while todo:
            node, names = todo.popleft()
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                names = (*names, node.name)
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield Docstring(module, names, ast.get_docstring(node) or "")
            todo.extend((child, names) for child in ast.iter_child_nodes(node))


def topics() -> dict[str, list[str]]:
    """The paragraphs of the language's reference that `help("NAME")` shows, by name."""
    from pydoc_data.topics import topics

    return {name: paragraphs(text) for name, text in topics.items()}
