"""Small pictures as SVG text: heat maps, bars, lines and dots, for the lessons.

    picture(heat(probabilities, pieces, pieces), heat(...))      side by side

A number is shown by the opacity of one colour, so a picture is legible on white and on black; ink follows the reader's
colour scheme.  The same numbers give the same bytes.
"""

from dataclasses import dataclass
from html import escape

import numpy as np

BLUE, ORANGE, GREEN = "#2f7fd6", "#d9722b", "#2a9d74"
COLOURS = (BLUE, ORANGE, GREEN, "#a05fd0", "#c9a227", "#8b949e")
STYLE = (
    "<style>text{font-family:system-ui,-apple-system,'Segoe UI',sans-serif;font-size:13px;fill:#1f2328}"
    ".mono{font-family:ui-monospace,'DejaVu Sans Mono',monospace;font-size:12px}"
    ".dim{fill:#59636e;font-size:12px}.head{font-weight:600}.on{fill:#fff}.rule{stroke:#c6ced6;fill:none}"
    "@media (prefers-color-scheme:dark)"
    "{text{fill:#e6edf3}.dim{fill:#9198a1}.on{fill:#fff}.rule{stroke:#484f58}}</style>"
)


@dataclass(frozen=True)
class Panel:
    width: float
    height: float
    parts: tuple[str, ...]


def picture(*panels, across=True, gap=36, times=False):
    """Put panels side by side, or below each other; what shows `times` is another picture every time."""
    parts, at = [], 0.0
    for panel in panels:
        shift = (at, 0) if across else (0, at)
        parts += [f'<g transform="translate({shift[0]:.0f} {shift[1]:.0f})">', *panel.parts, "</g>"]
        at += (panel.width if across else panel.height) + gap
    sides = [(p.width, p.height) for p in panels]
    width = at - gap if across else max(w for w, _ in sides)
    height = max(h for _, h in sides) if across else at - gap
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}">'
    marks = ["<!-- times -->"] if times else []
    return "\n".join([head, *marks, STYLE, *parts, "</svg>", ""])


def said(value, digits):
    """A number as it is read: with a minus sign, and no -0."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def text(x, y, words, kind="", anchor="start", turn=0):
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    kind = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{kind}{turned}>{escape(str(words))}</text>'


def box(x, y, width, height, colour, opacity=1.0, radius=2):
    shape = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{radius}"'
    return f'<rect {shape} fill="{colour}" fill-opacity="{opacity:.2f}"/>'


def line(x1, y1, x2, y2, colour=None, width=1.0):
    look = f'stroke="{colour}"' if colour else 'class="rule"'
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {look} stroke-width="{width}"/>'


def wide(words, mono=False):
    """About how many pixels the words take."""
    return (7.4 if mono else 7.3) * max((len(str(w)) for w in words), default=0)


def heat(values, rows=(), columns=(), *, title="", note="", digits=None, top=None, cell=(44, 26), gap=2, mark=None):
    """A matrix (R, C): blue above 0, orange below; full colour at `top`, or the largest size; `mark` is a row."""
    values = np.asarray(values, np.float64)
    top = float(np.abs(values).max()) if top is None else top
    left = wide(rows, True) + (12 if len(rows) else 0)
    slanted = len(columns) and wide(columns, True) > cell[0]
    above = (24 if title else 0) + ((14 + 0.75 * wide(columns, True)) if slanted else 20 if len(columns) else 0)
    w, h = cell
    parts = [text(left, 14, title, "head")] if title else []
    for j, name in enumerate(columns):
        x = left + (j + 0.5) * w
        parts.append(text(x, above - 7, name, "mono", *(("start", -48) if slanted else ("middle",))))
    for i, row in enumerate(values):
        y = above + i * h
        if len(rows):
            parts.append(text(left - 10, y + h / 2 + 4, rows[i], "mono", "end"))
        for j, value in enumerate(row):
            share, colour = min(abs(value) / top, 1) if top else 0, BLUE if value >= 0 else ORANGE
            parts.append(box(left + j * w, y, w - gap, h - gap, colour, 0.06 + 0.94 * share, 2 if w > 8 else 0))
            if digits is not None:
                ink = "mono on" if share > 0.55 else "mono" if share > 0.03 else "mono dim"
                shown = said(value, digits)
                parts.append(text(left + j * w + (w - gap) / 2, y + h / 2 + 3.5, shown, ink, "middle"))
    below = above + len(values) * h
    if mark is not None:
        place = f'x="{left - 1.5:.1f}" y="{above + mark * h - 1.5:.1f}"'
        sides = f'width="{values.shape[1] * w + 1:.1f}" height="{h + 1:.1f}"'
        parts.append(f'<rect {place} {sides} rx="3" fill="none" stroke="{ORANGE}" stroke-width="2"/>')
    if note:
        parts.append(text(left, below + 18, note, "dim"))
    overhang = 0.7 * wide(columns[-1:], True) - w / 2 if slanted else 0
    width = left + values.shape[1] * w + max(0, overhang)
    words = max(wide([title]), wide([note]) * 0.95)
    return Panel(max(width, left + words + 4), below + (26 if note else 4), tuple(parts))


def bars(labels, values, *, title="", note="", width=360, digits=2, row=26, shown=None, log=False):
    """Horizontal bars, one for each label, below 0 to the left; or on a scale whose steps are powers of ten."""
    values = np.asarray(values, np.float64)
    first = np.floor(np.log10(values.min())) if log else 0
    size = np.log10(values) - first if log else values
    low, high = min(0.0, float(size.min())), max(0.0, float(size.max()))
    left, above = wide(labels, True) + 12, 28 if title else 4
    room, scale = (44 if low < 0 else 0), (width - 2 * (44 if low < 0 else 0)) / (high - low)
    zero, below = left + room - low * scale, above + len(values) * row
    parts = [text(left, 14, title, "head")] if title else []
    for step in range(int(high) + 1) if log else ():
        parts += [line(left + step * scale, above, left + step * scale, below + 4)]
        parts += [text(left + step * scale, below + 18, f"{10.0 ** (first + step):g}", "dim", "middle")]
    shown = [said(v, digits) for v in values] if shown is None else shown
    for i, (label, value, number) in enumerate(zip(labels, size, shown, strict=True)):
        y, long = above + i * row, abs(value) * scale
        parts.append(text(left - 10, y + row / 2 + 4, label, "mono", "end"))
        start = zero - (long if value < 0 else 0)
        parts.append(box(start, y + 3, max(long, 0.5), row - 6, ORANGE if value < 0 else BLUE))
        at = (zero - long - 6, "end") if value < 0 else (zero + long + 6, "start")
        parts.append(text(at[0], y + row / 2 + 4, number, "mono", at[1]))
    parts.append(line(zero, above, zero, below))
    below += 18 if log else 0
    if note:
        parts.append(text(left, below + 20, note, "dim"))
    total = max(left + width + (0 if low < 0 else wide(shown, True) + 12), left + wide([note]) * 0.95)
    return Panel(total, below + (28 if note else 4), tuple(parts))


def lines(
    series, xs=None, *, title="", across="", up="", width=520, height=220, low=None, high=None, digits=1, ticks=None
):
    """Curves of the same length over `xs`; `series` maps a label to its values."""
    curves = {name: np.asarray(values, np.float64) for name, values in series.items()}
    xs = np.arange(len(next(iter(curves.values())))) if xs is None else np.asarray(xs, np.float64)
    low = min(float(c.min()) for c in curves.values()) if low is None else low
    high = max(float(c.max()) for c in curves.values()) if high is None else high
    left, above = 46, 48 if title else 26
    x = lambda v: left + width * (v - xs[0]) / (xs[-1] - xs[0])  # noqa: E731
    y = lambda v: above + height * (high - v) / (high - low)  # noqa: E731
    parts = [text(0, 14, title, "head")] if title else []
    if up:
        parts.append(text(0, above - 12, up, "dim"))
    for value in np.linspace(low, high, 5):
        parts += [line(left, y(value), left + width, y(value))]
        parts.append(text(left - 8, y(value) + 4, said(value, digits), "dim", "end"))
    for value in xs if ticks is None else ticks:
        parts.append(text(x(value), above + height + 18, f"{value:g}", "dim", "middle"))
    ends = []
    for i, (name, curve) in enumerate(curves.items()):
        points = " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in zip(xs, curve, strict=True))
        colour = COLOURS[i % len(COLOURS)]
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2" stroke-linejoin="round"/>'
        )
        ends.append([y(curve[-1]), name, colour])
    ends.sort()
    for i, (place, name, colour) in enumerate(ends):
        place = max(place, ends[i - 1][0] + 16) if i else place
        ends[i][0] = place
        parts.append(f'<circle cx="{left + width + 10:.1f}" cy="{place:.1f}" r="4" fill="{colour}"/>')
        parts.append(text(left + width + 20, place + 4, name))
    if across:
        parts.append(text(left + width / 2, above + height + 38, across, "dim", "middle"))
    total = left + width + 24 + wide(curves)
    return Panel(total, above + height + (46 if across else 26), tuple(parts))


def overlap(a, b):
    """The area that two boxes (left, top, right, bottom) share."""
    across, down = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(across, 0) * max(down, 0)


def dots(points, labels, groups, *, title="", note="", width=460, height=320):
    """Labelled points (N, 2); a colour for each group."""
    points = np.asarray(points, np.float64)
    low, high = points.min(axis=0), points.max(axis=0)
    names, above, edge = list(dict.fromkeys(groups)), 34 if title else 10, np.array([46, 22])
    parts = [text(0, 14, title, "head")] if title else []
    parts.append(f'<rect class="rule" x="0.5" y="{above}" width="{width + 90}" height="{height}" rx="6"/>')
    at = edge + (points - low) / (high - low) * (np.array([width, height]) - 2 * edge)
    at[:, 1] = 2 * above + height - (above + at[:, 1])  # upwards
    for (x, y), group in zip(at, groups, strict=True):
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{COLOURS[names.index(group)]}"/>')
    taken = [(x - 6, y - 6, x + 6, y + 6) for x, y in at]
    for (x, y), label in zip(at, labels, strict=True):
        long, places = wide([label]), []
        for left, down in ((9, 4), (-9 - long, 4), (-long / 2, 20), (-long / 2, -11), (9, 15), (9, -7)):
            room = (x + left, y + down - 10, x + left + long, y + down + 3)
            places.append((sum(map(lambda other, room=room: overlap(room, other), taken)), len(places), room))
        room = min(places)[2]  # the first of those that cover least
        taken.append(room)
        parts.append(text((room[0] + room[2]) / 2, room[3] - 3, label, "", "middle"))
    if note:
        parts.append(text(0, above + height + 20, note, "dim"))
    return Panel(width + 91, above + height + (28 if note else 4), tuple(parts))


def strips(rows, *, title="", note="", left=0, height=26):
    """Texts in pieces, a row each: (label, [(piece, words below it or None, share from -1 to 1)])."""
    left = left or (wide([label for label, _ in rows]) + 14 if any(label for label, _ in rows) else 0)
    y, most, parts = (26 if title else 2), left, [text(0, 14, title, "head")] if title else []
    for label, pieces in rows:
        if label:
            parts.append(text(left - 12, y + height / 2 + 4.5, label, "", "end"))
        x, below = left, any(under is not None for _, under, _ in pieces)
        for piece, under, share in pieces:
            room = max(wide([piece], True), 0 if under is None else wide([under])) + 12
            ink = "mono on" if abs(share) > 0.55 else "mono"
            parts.append(
                box(x, y, room - 3, height, BLUE if share >= 0 else ORANGE, 0.06 + 0.94 * min(abs(share), 1), 4)
            )
            parts.append(text(x + (room - 3) / 2, y + height / 2 + 4.5, piece, ink, "middle"))
            if under is not None:
                parts.append(text(x + (room - 3) / 2, y + height + 15, under, "dim", "middle"))
            x += room
        most, y = max(most, x), y + height + (28 if below else 8)
    if note:
        parts.append(text(left, y + 10, note, "dim"))
    return Panel(max(most, left + 0.95 * wide([note]), wide([title])), y + (16 if note else 0), tuple(parts))
