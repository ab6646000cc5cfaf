"""A map as a picture, PNG or SVG, drawn by matplotlib; the same map gives the same bytes."""

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from minembed.maps.colours import GREY, LIGHT, MARKERS, kind_of
from minembed.maps.extra import matplotlib
from minembed.maps.groups import NONE, shorten
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.maps.chart import Map

INK, SOFT = "#1f2328", "#57606a"
SIZE = (11.0, 7.2)  # inches
DOTS = 150  # per inch, of a PNG
NAMED = 30  # up to this many points, each has its text beside it
DRAWN = 2_000  # above this many points, an SVG contains them as an image
FONTS = ["DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Hiragino Sans", "PingFang SC", "Microsoft YaHei"]
FONTS += ["Noto Sans Arabic", "Noto Sans Hebrew", "Arial Unicode MS", "Noto Sans"]


def figure(size: tuple[float, float]) -> Any:
    """An empty figure without a window."""
    matplotlib()
    fig = import_module("matplotlib.figure").Figure(figsize=size, facecolor="white")
    import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(fig)
    return fig


def draw(chart: "Map", file: BinaryIO, kind: str) -> None:
    """Draw a map and write it to a file: kind is "png" or "svg"."""
    flat = chart.projection.points.shape[1] == 2
    with settings():
        fig = figure(SIZE)
        axes = fig.add_axes((0.02, 0.03, 0.70, 0.85), projection=None if flat else "3d")
        scatter(axes, chart)
        axes.set_xticks([])
        axes.set_yticks([])
        if flat:
            axes.set_aspect("equal", "datalim")
            axes.margins(0.04)
            for spine in axes.spines.values():
                spine.set_color("#d0d7de")
        else:
            axes.set_zticks([])
        fig.text(0.02, 0.955, shorten(chart.title, 100), fontsize=14, fontweight="bold", color=INK)
        fig.text(0.02, 0.915, chart.trust_line, fontsize=10.5, color=INK)
        legend(fig, chart)
        note(fig, chart)
        if len(chart.texts) <= NAMED and flat:
            names = [shorten(text, 34) for text in chart.texts]
            write(axes, chart.projection.points, names, 8.5, "normal")
        elif flat:
            group_names(axes, chart)
        save(fig, file, kind)


def settings() -> Any:
    """Settings with fonts for as many scripts as this machine has, and with reproducible files."""
    known = set(import_module("matplotlib.font_manager").get_font_names()) if matplotlib() else set()
    fonts = [font for font in FONTS if font in known]
    rc = {"font.family": fonts, "svg.hashsalt": "minembed", "svg.fonttype": "path", "axes.unicode_minus": False}
    return matplotlib().rc_context(rc | {"text.parse_math": False})


def save(fig: Any, file: BinaryIO, kind: str) -> None:
    """Write a figure without the date; a character that no font has becomes a box, without a warning."""
    metadata = {"Date": None, "Creator": None} if kind == "svg" else {"Software": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fig.savefig(file, format=kind, dpi=DOTS, metadata=metadata)


def scatter(axes: Any, chart: "Map") -> None:
    """Draw the points, first those in no group."""
    points, labels = chart.projection.points, chart.groups.labels
    n = len(points)
    area = 46 if n <= 60 else 26 if n <= 600 else 14 if n <= 3_000 else 7 if n <= 12_000 else 3
    options = {"linewidths": 0.4 if n <= 3_000 else 0, "edgecolors": "white", "rasterized": n > DRAWN}
    for label in [NONE, *range(len(chart.groups.names))]:
        rows = points[labels == label]
        colour, shape = kind_of(label)
        look = {"c": LIGHT[colour], "marker": MARKERS[shape], "alpha": 0.85}
        if label == NONE:
            look = {"c": GREY[0], "marker": "o", "alpha": 0.55}
        if len(rows):
            axes.scatter(*rows.T, s=area, **look, **options)


def legend(fig: Any, chart: "Map") -> None:
    """List the groups, with the number of points in each."""
    lines = import_module("matplotlib.lines").Line2D
    counts, rest = chart.groups.counts(), int((chart.groups.labels == NONE).sum())
    entries = [
        (f"{shorten(name, 28)}  {count:,}", LIGHT[kind_of(i)[0]], MARKERS[kind_of(i)[1]])
        for i, (name, count) in enumerate(zip(chart.groups.names, counts, strict=True))
    ]
    if rest:
        entries.append((f"{chart.groups.rest}  {rest:,}", GREY[0], "o"))
    handles = [lines([], [], color=colour, marker=shape, ls="", ms=6) for _, colour, shape in entries]
    title = f"Groups: {shorten(chart.groups.origin, 32)}" if chart.groups.origin else None
    fig.legend(
        handles,
        [name for name, _, _ in entries],
        loc="upper left",
        bbox_to_anchor=(0.73, 0.885),
        frameon=False,
        fontsize=9,
        title=title,
        title_fontsize=9,
        alignment="left",
        labelcolor=INK,
        handletextpad=0.2,
    )


def note(fig: Any, chart: "Map") -> None:
    """Write below the legend how to read the picture."""
    what = {
        "pca": "Axes: the first principal components.",
        "tsne": "Keeps neighbourhoods. Sizes of islands and\nempty space between them mean little.",
        "umap": "Keeps neighbourhoods. Sizes of islands and\nempty space between them mean little.",
    }[chart.projection.method]
    setting = f"{chart.projection.settings}\n" if chart.projection.settings else ""
    fig.text(0.735, 0.035, setting + what, fontsize=8.5, color=SOFT, linespacing=1.4)


def group_names(axes: Any, chart: "Map") -> None:
    """Write each group's name where it is densest."""
    points, labels = chart.projection.points, chart.groups.labels
    places = [densest(points[labels == label]) for label in range(len(chart.groups.names))]
    if places:
        write(axes, np.array(places), [shorten(name, 30) for name in chart.groups.names], 9.5, "bold")


def densest(points: Array) -> Array:  # (n, 2) -> (2,)
    """The centre of the points in the fullest cell of a grid.

    >>> densest(np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0]])).tolist()
    [0.05, 0.0]
    """
    low, span = points.min(axis=0), max(float(np.ptp(points, axis=0).max()), 1e-12)
    cells = np.minimum((points - low) / span * 12, 11).astype(int) @ np.array([12, 1])
    middle: Array = points[cells == np.bincount(cells).argmax()].mean(axis=0)
    return middle


def write(axes: Any, places: Array, names: list[str], size: float, weight: str) -> None:
    """Write names at places, in order; a name that would cover another moves up or down, or is left out."""
    stroke = import_module("matplotlib.patheffects").withStroke(linewidth=2.6, foreground="white")
    renderer = axes.figure.canvas.get_renderer()
    taken: list[Any] = []
    axes.apply_aspect()
    frame = axes.get_window_extent(renderer)
    for place, name in zip(places, names, strict=True):
        for shift in (9, -9, 20, -20, 31, -31):
            text = axes.annotate(name, place, (0, shift), textcoords="offset points", ha="center", va="center")
            text.set(fontsize=size, fontweight=weight, color=INK, path_effects=[stroke])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                box = text.get_window_extent(renderer)
            over = max(frame.x0 - box.x0, 0) - max(box.x1 - frame.x1, 0)
            if over:  # keep it inside the frame
                text.xyann = (over * 72 / axes.figure.dpi, shift)
                box = box.translated(over, 0)
            if not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
