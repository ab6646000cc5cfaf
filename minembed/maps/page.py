"""A self-contained HTML page: no network, no other file.

Texts are untrusted.  All data are one compressed block and a few arrays in base64, which cannot contain markup; the
page's script inserts them as text.  A content security policy allows only the page's script and style, by their hashes,
and no requests.
"""

import base64
import html
import json
import zlib
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import InputError
from minembed.maps.codes import encode
from minembed.maps.colours import DARK, GREY, LIGHT, SHAPES
from minembed.maps.marks import visible
from minembed.maps.projection import nearest
from minembed.maps.trust import NEAR
from minembed.runtime.pages import BASE, fill, part_of, policy
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.maps.chart import Map

MOST = 2**16  # points of a page: their indices fit into two bytes
SIZE = 11_600_000  # bytes of a page, at most
CODES = 4_800_000  # bytes of stored vectors, at most
LONGEST, FEWEST = 4_000, 8  # characters that are kept of a text: at most, and at least if the page gets too large
SCRIPTS = ("data.js", "camera.js", "scatter.js", "overlay.js", "panel.js", "main.js")
GRID = 65_535  # steps of a coordinate
part = partial(part_of, "minembed.maps")


def page(chart: "Map") -> str:
    """Write a map as a page; raises InputError for more points than a page holds."""
    n = len(chart.texts)
    check_count(n)
    cosines, rows = nearest(chart.vectors, NEAR)
    codes = encode(chart.vectors, CODES // max(n, n * n // 50_000))  # above 50,000, neighbours take more of the space
    low, span = extent(chart.projection.points)
    grid = np.rint((chart.projection.points - low) / span * GRID)
    arrays = {
        "points": grid.astype("<u2"),
        "groups": np.where(chart.groups.labels < 0, 255, chart.groups.labels).astype(np.uint8),
        "near": rows.astype("<u2"),
        "cosines": np.rint(cosines * 32_767).astype("<i2"),
        "codes": codes.rows,
        "steps": codes.steps.astype("<f4"),
    }
    blocks = {name: base64.b64encode(array.tobytes()).decode() for name, array in arrays.items()}
    facts = describe(chart, rows.shape[1]) | {"axes": codes.axes, "bytes": codes.rows.shape[1], "error": codes.error}
    parts, style = part("page.html"), BASE + part("page.css")
    script = '"use strict";\n' + "\n".join(part(name) for name in SCRIPTS)
    room = SIZE - sum(map(len, blocks.values())) - len(parts) - len(style.encode()) - len(script.encode())
    blocks["facts"] = fitted(facts, chart.texts, room)
    data = "\n".join(
        f'<script type="application/octet-stream" id="data-{name}">{block}</script>' for name, block in blocks.items()
    )
    values = {"title": html.escape(chart.title), "policy": policy(script, style)}
    return fill(parts, values | {"style": style, "data": data, "script": script})


def check_count(n: int) -> None:
    """Raise InputError for more points than a page can hold.

    >>> check_count(50_000)
    """
    if n > MOST:
        remedy = f"draw a sample (minembed map --sample {MOST}), or a picture (.png, .svg)"
        raise InputError(f"a page holds up to {MOST:,} points, not {n:,}: {remedy}")


def describe(chart: "Map", near: int) -> dict[str, Any]:
    """The data of the script beside the arrays: words, names, colours."""
    trust, groups, shares = chart.trust, chart.groups, chart.projection.shares
    return {
        "title": chart.title,
        "trust": chart.trust_line,
        "method": chart.projection.method,
        "settings": chart.projection.settings,
        "dimensions": chart.projection.points.shape[1],
        "k": trust.k if trust else 0,
        "sampled": trust.rows if trust and trust.rows < len(chart.texts) else 0,
        "shares": [round(share, 4) for share in shares],
        "near": near,
        "origin": groups.origin,
        "names": groups.names,
        "rest": groups.rest,
        "palettes": [[*LIGHT, GREY[0]], [*DARK, GREY[1]]],
        "shapes": SHAPES,
    }


def extent(points: Array) -> tuple[Array, float]:
    """The origin of a map, and the length of its longer side, so that both axes have the same scale.

    >>> low, span = extent(np.array([[1.0, 2.0], [4.0, 3.0]]))
    >>> low.tolist(), span
    ([1.0, 1.0], 3.0)
    """
    low, high = points.min(axis=0), points.max(axis=0)
    span = float((high - low).max()) or 1.0
    start: Array = (low + high - span) / 2  # the shorter side is centred
    return start, span


def fitted(facts: dict[str, Any], texts: tuple[str, ...], room: int) -> str:
    """Facts and texts, compressed, in base64; long texts are truncated until everything fits into `room` characters."""
    limit = LONGEST
    while True:
        written = json.dumps(facts | {"texts": [cut(text, limit) for text in texts]}, ensure_ascii=False)
        block = base64.b64encode(zlib.compress(written.encode("utf-8"), 9)).decode()
        if len(block) <= room or limit <= FEWEST:
            return block
        limit = max(FEWEST, min(limit // 2, int(0.9 * limit * room / len(block))))


def cut(text: str, limit: int) -> str:
    """A text with hidden characters made visible; a long one is truncated, and its length is added.

    >>> cut("abcdefgh", 4)
    'abcd… (8 characters)'
    """
    return visible(text) if len(text) <= limit else f"{visible(text[:limit])}… ({len(text):,} characters)"
