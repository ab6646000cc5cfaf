"""A matrix of cosines as a picture, PNG or SVG, drawn by matplotlib: each row with its text."""

from collections.abc import Sequence
from importlib import import_module
from typing import BinaryIO

import numpy as np

from minembed.maps.groups import shorten
from minembed.maps.picture import INK, SOFT, figure, save, settings
from minembed.types import Array

RAMP = ("#301254", "#323e8a", "#226a8e", "#1c9484", "#54ba60", "#acd63a", "#fce84a")  # that of the terminal's heat map
CELL = 0.48  # inches
LETTER = 0.078  # inches, the approximate width of a letter


def draw_heat(
    matrix: Array, labels: Sequence[str], texts: Sequence[str], title: str, file: BinaryIO, kind: str
) -> None:
    """Draw a square matrix of cosines; colours go from its smallest value to the largest one off the diagonal."""
    n, names = len(labels), [f"{shorten(text, 64)}   {label}" for text, label in zip(texts, labels, strict=True)]
    left = max(map(len, names)) * LETTER + 0.5
    width, height = left + n * CELL + 1.1, n * CELL + 1.1
    with settings():
        fig = figure((width, height))
        colours = import_module("matplotlib.colors").LinearSegmentedColormap.from_list("lighter", RAMP)
        axes = fig.add_axes((left / width, 0.25 / height, n * CELL / width, n * CELL / height))
        low, high = limits(matrix)
        image = axes.imshow(matrix, cmap=colours, vmin=low, vmax=high, rasterized=False)
        axes.set_xticks(range(n), labels, fontsize=10)
        axes.set_yticks(range(n), names, fontsize=10)
        axes.xaxis.tick_top()
        axes.tick_params(length=0, labelcolor=INK)
        for spine in axes.spines.values():
            spine.set_visible(False)
        for i, row in enumerate(matrix.tolist()):
            for j, value in enumerate(row):
                ink = "white" if (value - low) / (high - low) < 0.5 else "black"
                axes.text(j, i, f"{round(value, 2) + 0.0:.2f}", ha="center", va="center", fontsize=9, color=ink)
        bar = fig.add_axes(((left + n * CELL + 0.2) / width, 0.25 / height, 0.16 / width, n * CELL / height))
        fig.colorbar(image, cax=bar).ax.tick_params(labelsize=8, labelcolor=SOFT, length=0)
        fig.text(0.2 / width, 1 - 0.35 / height, title, fontsize=13, fontweight="bold", color=INK)
        save(fig, file, kind)


def limits(matrix: Array) -> tuple[float, float]:
    """Where the colours begin and end: the smallest value, and the largest one off the diagonal.

    >>> limits(np.array([[1.0, 0.25], [0.5, 1.0]]))
    (0.25, 0.5)
    """
    others = matrix[~np.eye(len(matrix), dtype=bool)]
    low, high = (float(others.min()), float(others.max())) if others.size else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)
