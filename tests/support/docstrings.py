"""Docstrings of the standard library: thousands of short texts that every machine has."""

import ast
import sysconfig
from pathlib import Path


def docstrings(count):
    """The first paragraph of each docstring of functions and classes, each once, in the order of their files."""
    found = {}
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and (text := ast.get_docstring(node)):
                found[" ".join(text.split("\n\n")[0].split())] = None
    return [text for text in found if len(text) > 20][:count]
