"""The report's plots, by matplotlib: bars, a line under a limit, points with names, and lines over doubling lengths.

Every mark has its name, so colour is never the only key; the colours (after Okabe and Ito) can be distinguished by
colour-blind readers.  Both they and the background follow the reader's light or dark mode.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, SOFT, RULE, BACK, LIMIT = "#1f2328", "#57606a", "#d0d7de", "#ffffff", "#b35900"
COLOURS = ("#0072b2", "#d55e00", "#00805d", "#b8588f", "#6e7781")
DARK = dict(zip((INK, SOFT, RULE, BACK, LIMIT), ("#e6edf3", "#9da7b1", "#30363d", "#0d1117", "#f0a92e"), strict=True))
DARK |= dict(zip(COLOURS, ("#56b4e9", "#e69f00", "#2fbf95", "#e3a1c6", "#9aa4ae"), strict=True))
STYLE = {
    **dict.fromkeys(("text.color", "axes.titlecolor", "ytick.labelcolor"), INK),
    **dict.fromkeys(("axes.labelcolor", "xtick.labelcolor"), SOFT),
    **dict.fromkeys(("axes.edgecolor", "grid.color", "xtick.color", "ytick.color"), RULE),
    **dict.fromkeys(("axes.spines.top", "axes.spines.right"), False),
    "figure.facecolor": BACK, "axes.facecolor": BACK, "savefig.facecolor": BACK, "axes.axisbelow": True,
    "font.size": 10, "axes.titlesize": 12, "axes.titleweight": "bold", "axes.titlelocation": "left",
    "svg.fonttype": "none", "svg.hashsalt": "minembed",  # texts stay texts; the same names of parts in every run
}  # fmt: skip
LINE = 14  # points from one name to the next below it


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its value, the number as written behind it, and which of the five colours it has."""

    name: str
    value: float
    label: str
    colour: int


@dataclass(frozen=True)
class Point:
    """A named point, in one of the five colours."""

    name: str
    x: float
    y: float
    colour: int


@dataclass(frozen=True)
class Series:
    """A named line, in one of the colours; dashed where `thin`."""

    name: str
    points: Sequence[tuple[float, float]]
    colour: int
    thin: bool


@matplotlib.rc_context(STYLE)
def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]], note: str) -> Figure:
    """Horizontal bars under group headings, all on one scale that begins at zero."""
    rows = [row for heading, group in groups for row in ([heading] * bool(heading) + list(group))]
    figure, axes = empty(title, ("", ""), 0.9 + 0.27 * len(rows))
    for y, row in enumerate(rows):
        if isinstance(row, str):
            axes.text(0, y, row, va="center", weight="bold", transform=axes.get_yaxis_transform())
        else:
            drawn = axes.barh(y, row.value, 0.7, color=COLOURS[row.colour])
            axes.bar_label(drawn, [row.label], padding=4)
    names = {y: row.name for y, row in enumerate(rows) if isinstance(row, Bar)}
    axes.set_yticks(list(names), list(names.values()))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlabel(note, loc="left")
    axes.margins(x=0.13)
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    return figure


@matplotlib.rc_context(STYLE)
def line(title: str, points: Sequence[Sequence[float]], limit: tuple[float, str], labels: tuple[str, str]) -> Figure:
    """One series against a limit: points (x, y), the limit's height and name, the axes' names."""
    figure, axes = empty(title, labels, 2.8)
    axes.plot(*zip(*points, strict=True), color=COLOURS[0])
    axes.axhline(limit[0], color=LIMIT, linestyle="--")
    axes.annotate(limit[1], (1, limit[0]), (0, 4), axes.get_yaxis_transform(), "offset points", ha="right", color=SOFT)
    axes.set_ylim(0, 1.15 * max([limit[0], *(y for _, y in points)]))
    axes.set_xlim(0)
    return figure


@matplotlib.rc_context(STYLE)
def scatter(title: str, points: Sequence[Point], labels: tuple[str, str], floor: float) -> Figure:
    """Points on a linear x and a logarithmic y; what is below `floor` is drawn on it."""
    figure, axes = empty(title, labels, 4.6)
    axes.set_yscale("log")
    axes.set_xlim(0, 1.45 * max(point.x for point in points))  # the names stand to the right of their points
    axes.set_ylim(floor / 2, 2 * max([10 * floor, *(point.y for point in points)]))
    axes.grid(axis="y")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    for point in points:
        axes.plot(point.x, max(point.y, floor), "o", color=COLOURS[point.colour])
    write_names(axes, [(point.name, point.x, max(point.y, floor)) for point in points], 10)
    return figure


@matplotlib.rc_context(STYLE)
def growth(title: str, series: Sequence[Series], labels: tuple[str, str]) -> Figure:
    """Lines over x that doubles from one tick to the next; each has its name at its end."""
    figure, axes = empty(title, labels, 4.2)
    axes.set_xscale("log", base=2)
    for one in series:
        axes.plot(*zip(*one.points, strict=True), color=COLOURS[one.colour], linestyle="--" if one.thin else "-")
    ticks = sorted({x for one in series for x, _ in one.points})
    axes.set_xticks(ticks, [f"{x:,.0f}" for x in ticks])
    axes.set_xlim(ticks[0], ticks[-1] * (ticks[-1] / ticks[0]) ** 0.3)
    axes.set_ylim(0)
    axes.grid(axis="y")
    axes.yaxis.set_major_formatter("{x:,.0f}")
    write_names(axes, [(one.name, *max(one.points)) for one in series], 6)
    return figure


def empty(title: str, labels: tuple[str, str], height: float) -> tuple[Figure, Axes]:
    """A picture with its title, and axes with their names."""
    figure = Figure((7.6, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.15, h_pad=0.15)
    axes = figure.add_subplot(title=title, xlabel=labels[0], ylabel=labels[1])
    return figure, axes


def write_names(axes: Axes, names: Sequence[tuple[str, float, float]], right: float) -> None:
    """Write names beside their points (name, x, y), moved apart until none covers another."""
    axes.figure.draw_without_rendering()  # sizes are known after this
    unit = axes.figure.dpi / 72
    heights = {name: axes.transData.transform((x, y))[1] / unit for name, x, y in names}
    bottom = axes.bbox.y0 / unit + LINE / 2
    for name, shift in apart(heights, bottom).items():
        place = next((x, y) for other, x, y in names if other == name)
        moved = {"arrowstyle": "-", "color": RULE, "shrinkA": 0} if abs(shift) > LINE else None
        text = axes.annotate(name, place, (right, shift), "data", "offset points", va="center", arrowprops=moved)
        text.set_in_layout(False)


def apart(heights: dict[str, float], bottom: float) -> dict[str, float]:
    """How far up or down each name goes, so that all are a line apart and none is below the bottom.

    >>> apart({"a": 100, "b": 99, "c": 50}, 0)
    {'c': 0, 'b': 0, 'a': 13}
    """
    order = sorted(heights, key=heights.__getitem__)
    places = {name: max(heights[name], bottom) for name in order}
    for below, name in pairwise(order):
        places[name] = max(places[name], places[below] + LINE)
    return {name: places[name] - heights[name] for name in order}


def as_svg(figure: Figure) -> str:
    """The picture as SVG, the same bytes in every run, with a reader's dark mode."""
    file = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(file, format="svg", metadata={"Date": None})
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}' for light, dark in DARK.items() for what in KINDS
    )
    head, tag, rest = file.getvalue().partition("<defs>")
    return f"{head}<style>@media (prefers-color-scheme:dark){{{rules}}}</style>\n{tag}{rest}"


KINDS = ("fill", "stroke")
