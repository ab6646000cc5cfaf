"""A trace in a notebook: its tokens, the attention of a layer as a picture, its steps; inert, and without a network.

No script, no style sheet, no address: what comes from texts is escaped, so that it stays text.
"""

from html import escape
from typing import TYPE_CHECKING

from minembed.errors import InputError
from minembed.study.attention_maps import attention_map
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.study.tracing import Trace

MOST = 24  # tokens of the picture: 576 squares
SIDE = 16  # of a square
INK = "#2878b5"  # at full strength for the largest share; in between, the page shines through, light or dark
LONGEST = 200  # characters of the text that are shown


def trace_html(t: "Trace", layer: int | None = None, head: int | None = None) -> str:
    """A trace as HTML: the attention of a layer (the last that was kept), of a head or the mean of all; the steps.

    The first 24 tokens are in the picture; of steps all are listed.  Raises InputError for a layer or head that is not
    there, or was not kept.

    >>> from minembed import Embedder
    >>> from minembed.study import trace
    >>> trace_html(trace(Embedder.load("all-MiniLM-L6-v2"), "a cat"), layer=3)[:5]  # doctest: +SKIP
    '<div>'
    """
    kept = [int(name.split(".")[1]) for name in t if name.endswith(".probabilities")]
    if layer is not None and layer not in kept:
        raise InputError(f"layer.{layer}.probabilities is not in the trace: ask for it by names=")
    text = t.text if len(t.text) <= LONGEST else t.text[: LONGEST - 1] + "…"
    head_line = (
        f"<p><b><bdi>{escape(text)}</bdi></b><br>{len(t.pieces)} tokens, {len(t)} results in {escape(t.dtype)}</p>"
    )
    pieces = [piece if piece.isprintable() else ascii(piece)[1:-1] for piece in t.pieces[:MOST]]
    picture = ""
    if kept:
        layer = kept[-1] if layer is None else layer
        p = attention_map(t, layer, head)[:MOST, :MOST]
        what = f"attention of layer {layer}, " + ("mean of its heads" if head is None else f"head {head}")
        left = "" if len(t.pieces) <= MOST else f"; the first {MOST} tokens"
        picture = f"<figure><figcaption>{what}{left}</figcaption>{_squares(p, pieces, what)}</figure>"
    return f"<div>{head_line}{picture}{_steps(t)}</div>"


def _squares(p: Array, pieces: list[str], what: str) -> str:
    """A picture: a row a token that asks, a column a token that is asked; the darker, the more it takes."""
    margin = 8 + 8 * max((len(piece) for piece in pieces), default=0)
    wide, high = margin + SIDE * len(pieces), SIDE * (len(pieces) + 1)
    largest, shapes = float(p.max()) or 1.0, []
    for i, (piece, row) in enumerate(zip(pieces, p.tolist(), strict=True)):
        y = SIDE * (i + 1)
        shapes.append(f'<text x="{margin - 4}" y="{y + 12}" text-anchor="end">{escape(piece)}</text>')
        shapes.append(f'<text x="{margin + SIDE * i + SIDE // 2}" y="12" text-anchor="middle">{i}</text>')
        for j, share in enumerate(row):
            place = f'x="{margin + SIDE * j}" y="{y}" width="{SIDE - 1}" height="{SIDE - 1}"'
            strength = (share / largest) ** 0.5  # so that small shares are told apart, too
            said = f"{escape(piece)} takes {100 * share:.0f} % from {escape(pieces[j])}"
            title = f"<title>{said}</title>" if share >= 0.005 else ""
            shapes.append(f'<rect {place} fill="{INK}" fill-opacity="{strength:.2f}">{title}</rect>')
    style = 'font-family="monospace" font-size="11" fill="currentColor"'
    begin = f'<svg width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" role="img" aria-label="{escape(what)}" '
    return f"{begin}{style}>{''.join(shapes)}</svg>"


def _steps(t: "Trace") -> str:
    """The results that were kept, to be opened."""
    head = "".join(f"<th>{name}</th>" for name in ("name", "axes", "shape", "formula", "source"))
    rows = []
    for name in t:
        s = t.steps[name]
        cells = (s.name, ", ".join(s.axes), " x ".join(map(str, s.shape)), s.formula, s.source)
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    table = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    return f"<details><summary>{len(t)} results, each with its formula</summary>{table}</details>"
