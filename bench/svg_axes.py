"""Plots on two axes as SVG text: labelled points on a logarithmic scale, and lines over a doubling one."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from svg import LETTER, MARGIN, WIDTH, document, text

HEIGHT, LEFT, TOP, BELOW = 420, 84, 64, 52
RIGHT, BOTTOM = WIDTH - MARGIN, HEIGHT - BELOW
LINE = 15  # from one label to the next below it


@dataclass(frozen=True)
class Point:
    """A named point, in one of the five colours."""

    name: str
    x: float
    y: float
    colour: int


class Labels:
    """Places labels so that none covers another: each moves up or down until there is room."""

    def __init__(self):
        self.taken: list[tuple[float, float, float]] = []  # left, right, baseline

    def place(self, x: float, y: float, name: str) -> str:
        """A label to the right of (x, y), or to the left where it would leave the picture."""
        width = len(name) * LETTER
        anchor, left = ("start", x + 9) if x + 9 + width < RIGHT else ("end", x - 9 - width)
        steps = sorted(range(-25, 26), key=abs)
        heights = [y + 4 + step * LINE for step in steps if TOP + 8 <= y + 4 + step * LINE <= BOTTOM - 4]
        free = [height for height in heights if not self.covered(left, left + width, height)]
        height = free[0] if free else y + 4
        self.taken.append((left, left + width, height))
        return text(x + 9 if anchor == "start" else x - 9, height, name, "value", anchor)

    def covered(self, left: float, right: float, height: float) -> bool:
        """Whether some label is already there."""
        return any(left < end and begin < right and abs(height - at) < LINE - 1 for begin, end, at in self.taken)


def frame(title: str, labels: tuple[str, str]) -> list[str]:
    """The title, the two axes and their names."""
    return [
        text(MARGIN, 28, title, "title"),
        text(MARGIN, TOP - 14, labels[1], "note"),
        text((LEFT + RIGHT) / 2, BOTTOM + 40, labels[0], "note", "middle"),
        f'<line class="axis" x1="{LEFT}" y1="{BOTTOM}" x2="{RIGHT}" y2="{BOTTOM}"/>',
        f'<line class="axis" x1="{LEFT}" y1="{TOP}" x2="{LEFT}" y2="{BOTTOM}"/>',
    ]


def rising(most: float) -> list[float]:
    """Some round numbers from zero up to `most`."""
    step = 10 ** math.floor(math.log10(most / 6))
    step = next(step * factor for factor in (1, 2, 5, 10) if most / (step * factor) <= 6)
    return [number * step for number in range(int(most / step) + 1)]


def scatter(title: str, points: Sequence[Point], labels: tuple[str, str], floor: float) -> str:
    """Points on a linear x and a logarithmic y; what is below `floor` is drawn on it."""
    most = max((point.x for point in points), default=1.0) * 1.05
    highest = math.ceil(math.log10(max([floor * 10, *(point.y for point in points)])))
    lowest = math.floor(math.log10(floor))

    def height(y: float) -> float:
        share = (math.log10(max(y, floor)) - lowest) / (highest - lowest)
        return BOTTOM - 14 - share * (BOTTOM - TOP - 28)

    parts = frame(title, labels)
    for exponent in range(lowest, highest + 1):
        y = height(10.0**exponent)
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{y:.1f}" x2="{RIGHT}" y2="{y:.1f}"/>')
        name = f"{10.0**exponent:.0e}".replace("e-0", "e-")
        parts.append(text(LEFT - 8, y + 4, ("≤ " if exponent == lowest else "") + name, "value", "end"))
    for x in rising(most):
        parts.append(text(LEFT + x / most * (RIGHT - LEFT), BOTTOM + 18, f"{x:,.0f}", "value", "middle"))
    names = Labels()
    for point in sorted(points, key=lambda point: (-point.y, point.x)):
        x, y = LEFT + point.x / most * (RIGHT - LEFT), height(point.y)
        parts.append(f'<circle class="c{point.colour}" cx="{x:.1f}" cy="{y:.1f}" r="5"/>')
        parts.append(names.place(x, y, point.name))
    return document(title, HEIGHT, parts)


@dataclass(frozen=True)
class Series:
    """A named line, in one of three colours; dashed where `thin`."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    thin: bool


def growth(title: str, series: Sequence[Series], labels: tuple[str, str]) -> str:
    """Lines over x that doubles from one tick to the next; each has its name at its beginning."""
    ticks = sorted({x for one in series for x, _ in one.points}) or [1.0]
    most = max([1.0, *(y for one in series for _, y in one.points)]) * 1.05
    begin, room = LEFT + 150, RIGHT - LEFT - 170  # names stand between the axis and the first tick

    def place(x: float, y: float) -> tuple[float, float]:
        share = math.log2(x / ticks[0]) / (math.log2(ticks[-1] / ticks[0]) or 1)
        return begin + share * room, BOTTOM - y / most * (BOTTOM - TOP)

    parts = frame(title, labels)
    for y in rising(most):
        at = place(ticks[0], y)[1]
        parts.append(f'<line class="grid" x1="{LEFT}" y1="{at:.1f}" x2="{RIGHT}" y2="{at:.1f}"/>')
        parts.append(text(LEFT - 8, at + 4, f"{y:,.0f}", "value", "end"))
    parts += [text(place(x, 0)[0], BOTTOM + 18, f"{x:.0f}", "value", "middle") for x in ticks]
    names = Labels()
    for one in sorted(series, key=lambda one: -one.points[0][1]):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in one.points))
        parts.append(f'<polyline class="series s{one.colour}{" thin" * one.thin}" points="{path}"/>')
        parts.append(names.place(LEFT, place(*one.points[0])[1], one.name))
    return document(title, HEIGHT, parts)
