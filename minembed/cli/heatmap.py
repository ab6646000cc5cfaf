"""A matrix of cosines as a coloured heat map in the terminal.

The ramp goes from dark violet over teal to yellow and gets steadily lighter, so it can be read with colour blindness,
and in black-and-white print.
"""

import os
from collections.abc import Sequence
from typing import TextIO

import numpy as np

from minembed.types import Array

RAMP = ((48, 18, 84), (50, 62, 138), (34, 106, 142), (28, 148, 132), (84, 186, 96), (172, 214, 58), (252, 232, 74))
CELL = 6  # columns of a number, with the space around it
CUBE = (0, 95, 135, 175, 215, 255)  # the levels of the 6 x 6 x 6 colours of 256-colour terminals


def colour_depth(choice: str, stream: TextIO | None) -> str:
    """Replace "auto" by what the stream supports: "truecolor", "256", or "never" if it is not a terminal.

    NO_COLOR (no-color.org) and TERM=dumb switch colours off; COLORTERM means 24 bits.

    >>> colour_depth("auto", None), colour_depth("256", None)
    ('never', '256')
    """
    if choice != "auto":
        return choice
    environ = os.environ
    if environ.get("NO_COLOR") or environ.get("TERM") == "dumb" or stream is None or not stream.isatty():
        return "never"
    exact = environ.get("COLORTERM") in ("truecolor", "24bit") or environ.get("WT_SESSION")
    return "truecolor" if exact else "256"


def heat_map(matrix: Array, labels: Sequence[str], depth: str) -> list[str]:  # (N, N) -> N + 1 lines, or more
    """Draw a square matrix; colours run from its smallest value to its largest one off the diagonal.

    >>> print("\\n".join(heat_map(np.array([[1, 0.25], [0.25, 1]]), ["A", "B"], "never")))
        A     B
    A  1.00  0.25
    B  0.25  1.00
    """
    margin = max(map(len, labels)) + 1
    low, high = value_range(matrix)
    lines = [" " * margin + "".join(label.center(CELL) for label in labels).rstrip()]
    for label, row in zip(labels, matrix.tolist(), strict=True):
        cells = [
            paint(f"{round(value, 2) + 0.0:.2f}".center(CELL), (value - low) / (high - low), depth) for value in row
        ]
        lines.append((label.ljust(margin) + "".join(cells)).rstrip())
    if depth != "never":
        steps = CELL * min(len(labels), 10) - 12
        bar = "".join(paint(" ", i / max(steps - 1, 1), depth) for i in range(max(steps, 4)))
        lines += ["", " " * margin + f"{low:5.2f} {bar} {high:.2f}"]
    return lines


def value_range(matrix: Array) -> tuple[float, float]:
    """The smallest value, and the largest off the diagonal, never equal.

    >>> value_range(np.array([[1.0, 0.25], [0.5, 1.0]]))
    (0.25, 0.5)
    """
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    low, high = (float(others.min()), float(others.max())) if others.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def paint(text: str, at: float, depth: str) -> str:
    """Give a text a background: the colour at a position of the ramp, 0 to 1.

    >>> paint("x", 1.0, "truecolor") == "\\x1b[48;2;252;232;74;38;2;0;0;0mx\\x1b[0m"
    True
    """
    if depth == "never":
        return text
    rgb = colour(at)
    ink = 0 if luminance(rgb) > 0.179 else 255  # black and white have the same contrast there (WCAG 2)
    if depth == "truecolor":
        return f"\x1b[48;2;{rgb[0]};{rgb[1]};{rgb[2]};38;2;{ink};{ink};{ink}m{text}\x1b[0m"
    levels = [min(range(6), key=lambda i: abs(CUBE[i] - channel)) for channel in rgb]
    ink = 16 if luminance(tuple(CUBE[level] for level in levels)) > 0.179 else 231
    return f"\x1b[48;5;{16 + 36 * levels[0] + 6 * levels[1] + levels[2]};38;5;{ink}m{text}\x1b[0m"


def colour(at: float) -> tuple[int, ...]:
    """The colour at a position of the ramp, 0 to 1; beyond the ends, the colour of the end.

    >>> colour(0.0), colour(2.0)
    ((48, 18, 84), (252, 232, 74))
    """
    place = min(max(at, 0.0), 1.0) * (len(RAMP) - 1)
    i = min(int(place), len(RAMP) - 2)
    return tuple(round(a + (place - i) * (b - a)) for a, b in zip(RAMP[i], RAMP[i + 1], strict=True))


def luminance(rgb: Sequence[int]) -> float:
    """How light a colour looks, 0 to 1 (relative luminance of WCAG 2).

    >>> round(luminance((255, 255, 255)), 6), luminance((0, 0, 0))
    (1.0, 0.0)
    """
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
