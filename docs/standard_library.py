"""Texts that every machine with Python has: the docstrings of the standard library, paragraph by paragraph."""

import ast
import re
import sysconfig
from pathlib import Path

LONGEST = 600  # characters of a paragraph


def docstrings() -> list[list[str]]:
    """The docstrings, each as its paragraphs of plain words; the same on every run of one Python."""
    found = []
    for path in sorted(Path(sysconfig.get_path("stdlib")).rglob("*.py")):
        if "site-packages" in path.parts or "test" in path.parts or "tests" in path.parts:
            continue
        try:
            tree = ast.parse(path.read_text(encoding="utf-8", errors="replace"))
        except (SyntaxError, ValueError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                paragraphs = paragraphs_of(ast.get_docstring(node) or "")
                if paragraphs:
                    found.append(paragraphs)
    return found


def paragraphs_of(docstring: str) -> list[str]:
    """The paragraphs that hold sentences, on one line each.

    >>> paragraphs_of("Add two numbers.\\n\\n>>> 1 + 1\\n2")
    ['Add two numbers.']
    """
    found = []
    for paragraph in re.split(r"\n\s*\n", docstring):
        text = " ".join(paragraph.split())
        words = re.findall(r"[A-Za-z]{2,}", text)
        if len(words) >= 3 and not text.startswith(">>>") and sum(map(len, words)) > 0.6 * len(text):
            found.append(text[:LONGEST])
    return found
