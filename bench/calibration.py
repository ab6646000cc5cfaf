"""Texts to calibrate static quantisation with: general English of 8 to 150 words, the same for one version of Python.

Made-up sentences alone are too regular to stand for what a model will read, and cost the quantised model accuracy; so
they are mixed with prose by many hands that every Python has: the documentation inside its standard library.
"""

import ast
import random
import re
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from workloads import paragraph, sentence

COUNT = 300


def docstrings(files: list[Path]) -> Iterator[str]:
    """Paragraphs of prose from docstrings: sentences, not signatures or examples."""
    for path in files:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                continue
            for block in re.split(r"\n\s*\n", ast.get_docstring(node) or ""):
                words = block.split()
                plain = sum(word.strip(".,;:()'\"").isalpha() for word in words)
                if len(words) >= 8 and plain >= 0.85 * len(words) and ">>>" not in block:
                    yield " ".join(words)


def texts(count: int = COUNT) -> list[str]:
    """Two thirds documentation, in lengths spread evenly from 8 to 150 words, one third generated."""
    rng = random.Random(5)
    files = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    prose = sorted(set(docstrings(files)))
    rng.shuffle(prose)
    supply, chosen = iter(prose), []
    for number in range(count):
        words = 8 + number * 142 // (count - 1)
        if number % 3 == 2:
            chosen.append(sentence(rng) if number % 2 else paragraph(rng, words))
            continue
        text: list[str] = []
        while len(text) < words:
            text += next(supply).split()
        chosen.append(" ".join(text[:words]))
    return chosen
