"""Traces and explanations in a notebook, as pictures and tables, which run nothing and use no network.

They have no script, no style sheet and no address; everything that comes from texts is escaped.
"""

from html import escape
from typing import TYPE_CHECKING

from minembed.errors import InputError
from minembed.study.attention_maps import attention_map
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.explanation import Explanation
    from minembed.study.traced import Trace

MOST = 24  # tokens in a picture: 576 squares
SIDE = 16  # of a square, in pixels
INK = "#2878b5"  # opaque for the largest share; smaller ones are more transparent, on a light or dark page
LESS = "#d5691a"  # for contributions that lower a score
LONGEST = 200  # characters of the text that are shown


def trace_html(t: "Trace", layer: int | None = None, head: int | None = None) -> str:
    """A trace as HTML: the attention of a layer (by default the last one kept), by a head or as the mean; the steps.

    The picture has the first 24 tokens; the list has all steps.  Raises InputError for a layer or head that does not
    exist, or was not kept.

    >>> from minembed import Embedder
    >>> from minembed.study import trace
    >>> trace_html(trace(Embedder.load("all-MiniLM-L6-v2"), "a cat"), layer=3)[:5]  # doctest: +SKIP
    '<div>'
    """
    kept = [int(name.split(".")[1]) for name in t if name.endswith(".probabilities")]
    if layer is not None and layer not in kept:
        raise InputError(f"layer.{layer}.probabilities is not in the trace: ask for it by names=")
    about = f"{len(t.pieces)} tokens, {len(t)} results in {escape(t.dtype)}"
    head_line = f"<p><b><bdi>{escape(_short(t.text))}</bdi></b><br>{about}</p>"
    pieces = [_printable(piece) for piece in t.pieces[:MOST]]
    picture = ""
    if kept:
        layer = kept[-1] if layer is None else layer
        p = attention_map(t, layer, head)[:MOST, :MOST]
        what = f"attention of layer {layer}, " + ("mean of its heads" if head is None else f"head {head}")
        left = "" if len(t.pieces) <= MOST else f"; the first {MOST} tokens"
        picture = f"<figure><figcaption>{what}{left}</figcaption>{_squares(p, pieces, what)}</figure>"
    return f"<div>{head_line}{picture}{_steps(t)}</div>"


def explanation_html(found: "Explanation") -> str:
    """An explanation as HTML: the score, a picture of the matrix, the sum, and the result of the test.

    Blue raises the score, orange lowers it.  The picture has the first 24 rows and columns; `found.matrix` has all.

    >>> from minembed import Embedder
    >>> from minembed.study import explain
    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> explanation_html(explain(model, "a cat", "a kitten"))[:5]  # doctest: +SKIP
    '<div>'
    """
    rows, columns = (tuple(map(_printable, side.labels[:MOST])) for side in (found.a, found.b))
    texts = " · ".join(f"<bdi>{escape(_short(side.text))}</bdi>" for side in (found.a, found.b) if side.text)
    head = f"<p><b>{found.similarity} {found.score:.4f}</b>, by {found.level}<br>{texts}</p>"
    lines = str(found).split("\n")
    after = [line for line in lines[1:] if not line.startswith("  ")]  # the picture shows the pairs
    if max(found.matrix.shape) > MOST:
        after.insert(0, f"the first {MOST} rows and columns of {' x '.join(map(str, found.matrix.shape))}")
    return (
        f"<div>{head}{_table(found.matrix[:MOST, :MOST], rows, columns)}<p>{'<br>'.join(map(escape, after))}</p></div>"
    )


def _table(x: Array, rows: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """A picture of positive and negative numbers; the names of columns are vertical."""
    left, top = (8 + 8 * max((len(name) for name in names), default=0) for names in (rows, columns))
    wide, high = left + SIDE * len(columns), top + SIDE * len(rows)
    most = float(abs(x).max(initial=0)) or 1.0
    shapes = [
        f'<text transform="translate({left + SIDE * j + 12},{top - 4}) rotate(-90)">{escape(name)}</text>'
        for j, name in enumerate(columns)
    ]
    for i, (name, values) in enumerate(zip(rows, x.tolist(), strict=True)):
        y = top + SIDE * i
        shapes.append(f'<text x="{left - 4}" y="{y + 12}" text-anchor="end">{escape(name)}</text>')
        for j, value in enumerate(values):
            place = f'x="{left + SIDE * j}" y="{y}" width="{SIDE - 1}" height="{SIDE - 1}"'
            title = f"<title>{value:+.4f} {escape(name)} · {escape(columns[j])}</title>"
            colour = INK if value >= 0 else LESS
            shapes.append(f'<rect {place} fill="{colour}" fill-opacity="{abs(value) / most:.2f}">{title}</rect>')
    style = 'font-family="monospace" font-size="11" fill="currentColor"'
    return f'<svg width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" {style}>{"".join(shapes)}</svg>'


def _printable(piece: str) -> str:
    return piece if piece.isprintable() else ascii(piece)[1:-1]


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _squares(p: Array, pieces: list[str], what: str) -> str:
    """A picture of attention: a row is a token that attends, a column one that is attended to; darker is more."""
    margin = 8 + 8 * max((len(piece) for piece in pieces), default=0)
    wide, high = margin + SIDE * len(pieces), SIDE * (len(pieces) + 1)
    largest, shapes = float(p.max()) or 1.0, []
    for i, (piece, row) in enumerate(zip(pieces, p.tolist(), strict=True)):
        y = SIDE * (i + 1)
        shapes.append(f'<text x="{margin - 4}" y="{y + 12}" text-anchor="end">{escape(piece)}</text>')
        shapes.append(f'<text x="{margin + SIDE * i + SIDE // 2}" y="12" text-anchor="middle">{i}</text>')
        for j, share in enumerate(row):
            place = f'x="{margin + SIDE * j}" y="{y}" width="{SIDE - 1}" height="{SIDE - 1}"'
            strength = (share / largest) ** 0.5  # so that small shares can be distinguished
            said = f"{escape(piece)} attends to {escape(pieces[j])} with {100 * share:.0f} %"
            title = f"<title>{said}</title>" if share >= 0.005 else ""
            shapes.append(f'<rect {place} fill="{INK}" fill-opacity="{strength:.2f}">{title}</rect>')
    style = 'font-family="monospace" font-size="11" fill="currentColor"'
    begin = f'<svg width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(what)}" '
    return f"{begin}{style}>{''.join(shapes)}</svg>"


def _steps(t: "Trace") -> str:
    """A list of the kept results, which the reader can open."""
    head = "".join(f"<th>{name}</th>" for name in ("name", "axes", "shape", "formula", "source"))
    rows = []
    for name in t:
        s = t.steps[name]
        cells = (s.name, ", ".join(s.axes), " x ".join(map(str, s.shape)), s.formula, s.source)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    return f"<details><summary>{len(t)} results, each with its formula</summary>{table}</details>"
