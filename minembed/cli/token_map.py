"""A coloured table of tokens by tokens in the terminal, in blocks of as many columns as fit."""

import unicodedata
from collections.abc import Sequence

from minembed.cli.heatmap import CELL, paint
from minembed.types import Array

LONGEST = 12  # columns of a row's label


def token_map(matrix: Array, rows: Sequence[str], columns: Sequence[str], depth: str, width: int) -> list[str]:
    """Draw a matrix, (N, M); colours run from its smallest value, or 0, to its largest.

    >>> import numpy as np
    >>> print("\\n".join(token_map(np.array([[0.25, -0.5]]), ["cat"], ["dog", "houses"], "never", 80)))
          dog hous…
    cat +0.25 -0.50
    """
    if not matrix.size:
        return []
    low, high = min(float(matrix.min()), 0.0), max(float(matrix.max()), 0.0)
    span = (high - low) or 1.0
    margin = min(max(map(wide, map(printable, rows))), LONGEST)
    fits = max(1, (width - margin) // CELL)
    lines: list[str] = []
    for begin in range(0, len(columns), fits):
        some = slice(begin, begin + fits)
        head = "".join(" " + fitted(label, CELL - 1, right=True) for label in columns[some])
        lines += [""] * bool(lines) + [(" " * margin + head).rstrip()]
        for label, values in zip(rows, matrix[:, some].tolist(), strict=True):
            cells = (paint(f"{round(v, 2) + 0.0:+.2f}".rjust(CELL), (v - low) / span, depth) for v in values)
            lines.append(fitted(label, margin) + "".join(cells))
    return lines


def printable(text: str) -> str:
    """Replace characters that a terminal cannot show on one line, or would execute.

    >>> printable("a\\x1b[2J\\u202e")
    'a\ufffd[2J\ufffd'
    """
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def wide(text: str) -> int:
    """The width of a text in columns.

    >>> wide("ab"), wide("\\u4e2d"), wide("e\\u0301")
    (2, 2, 1)
    """
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def fitted(text: str, width: int, right: bool = False) -> str:
    """Pad or truncate a text to a width in columns.

    >>> fitted("cat", 5), fitted("houses", 5), fitted("cat", 5, right=True)
    ('cat  ', 'hous…', '  cat')
    """
    text = printable(text)
    if wide(text) > width:
        while text and wide(text) >= width:
            text = text[:-1]
        text += "…"
    filling = " " * (width - wide(text))
    return filling + text if right else text + filling
