"""Plots as SVG text, without a plotting library: horizontal bars in groups, and one line over time.

Every bar carries its name and its number, so colour is never the only key; the colours (after Okabe and Ito) are told
apart by colour-blind readers, and both they and the background follow the reader's light or dark mode.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

STYLE = """<style>
text { font: 13px system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 } .group { font-weight: 600 } .note { font-size: 12px; fill: #57606a }
.back { fill: #ffffff } .axis { stroke: #8c959f; stroke-width: 1 } .limit { stroke: #b35900; stroke-dasharray: 6 4 }
.line { fill: none; stroke: #0072b2; stroke-width: 2 }
.c0 { fill: #0072b2 } .c1 { fill: #d55e00 } .c2 { fill: #00805d } .c3 { fill: #b8588f } .c4 { fill: #6e7781 }
.s0 { stroke: #0072b2 } .s1 { stroke: #d55e00 } .s2 { stroke: #00805d } .series { fill: none; stroke-width: 2 }
.grid { stroke: #d0d7de; stroke-width: 1 } .thin { stroke-dasharray: 5 4 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .note { fill: #9da7b1 } .back { fill: #0d1117 } .axis { stroke: #6e7681 }
.limit { stroke: #f0a92e } .line { stroke: #56b4e9 }
.c0 { fill: #56b4e9 } .c1 { fill: #e69f00 } .c2 { fill: #2fbf95 } .c3 { fill: #e3a1c6 } .c4 { fill: #9aa4ae }
.s0 { stroke: #56b4e9 } .s1 { stroke: #e69f00 } .s2 { stroke: #2fbf95 } .grid { stroke: #30363d }
}
</style>"""
WIDTH, MARGIN, ROW, GAP = 760, 16, 24, 14
LETTER = 7.4  # an upper estimate of a letter's width at 13px: names and numbers get room, whatever the font


@dataclass(frozen=True)
class Bar:
    """One bar: its name, its value, the number as written behind it, and which of the five colours it has."""

    name: str
    value: float
    label: str
    colour: int


def bars(title: str, groups: Sequence[tuple[str, Sequence[Bar]]], note: str) -> str:
    """Horizontal bars under group headings, all on one scale that begins at zero."""
    every = [bar for _, group in groups for bar in group]
    left = MARGIN + max((len(bar.name) for bar in every), default=0) * LETTER + 10
    room = WIDTH - MARGIN - left - max((len(bar.label) for bar in every), default=0) * LETTER - 8
    scale = room / (max((bar.value for bar in every), default=0) or 1)
    parts, y = [text(MARGIN, 28, title, "title")], 44
    for heading, group in groups:
        if heading:
            y += GAP
            parts.append(text(MARGIN, y + 4, heading, "group"))
            y += 12
        for bar in group:
            length = max(bar.value * scale, 1)
            parts.append(text(left - 8, y + 16, bar.name, "name", "end"))
            box = f'x="{left:.0f}" y="{y + 3}" width="{length:.1f}" height="{ROW - 7}"'
            parts.append(f'<rect class="c{bar.colour}" {box} rx="2"/>')
            parts.append(text(left + length + 6, y + 16, bar.label, "value"))
            y += ROW
    parts.append(text(MARGIN, y + 20, note, "note"))
    return document(title, y + 34, parts)


def line(title: str, points: Sequence[Sequence[float]], limit: tuple[float, str], labels: tuple[str, str]) -> str:
    """One series against a limit: points (x, y), the limit's height and name, the axes' names."""
    height, left, top = 260, 64, 56
    right, bottom = WIDTH - MARGIN, height - 48
    last = max((x for x, _ in points), default=1) or 1
    most = max([limit[0], *(y for _, y in points)]) * 1.1

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x / last * (right - left), bottom - y / most * (bottom - top)

    level = place(0, limit[0])[1]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in points))
    parts = [
        text(MARGIN, 28, title, "title"),
        text(MARGIN, top - 8, labels[1], "note"),
        f'<line class="axis" x1="{left}" y1="{bottom}" x2="{right}" y2="{bottom}"/>',
        f'<line class="limit" x1="{left}" y1="{level:.1f}" x2="{right}" y2="{level:.1f}"/>',
        text(left - 6, level + 4, f"{limit[0]:.0f}", "value", "end"),
        text(right, level - 6, limit[1], "note", "end"),
        text(left - 6, bottom + 4, "0", "value", "end"),
        text(left, bottom + 18, "0", "value", "middle"),
        text(right, bottom + 18, f"{last:,.0f}", "value", "end"),
        text((left + right) / 2, bottom + 18, labels[0], "note", "middle"),
        f'<polyline class="line" points="{path}"/>',
    ]
    return document(title, height, parts)


def text(x: float, y: float, content: str, kind: str, anchor: str = "start") -> str:
    """Some words at a place."""
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}">{escape(content)}</text>'


def document(title: str, height: float, parts: Sequence[str]) -> str:
    """The whole picture."""
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}" role="img">'
    back = f'<rect class="back" width="{WIDTH}" height="{height:.0f}" rx="6"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", STYLE, back, *parts, "</svg>"]) + "\n"
