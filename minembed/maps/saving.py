"""A map as a file: one offline page (.html), or a picture (.png, .svg)."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from minembed.errors import InputError
from minembed.maps.page import page
from minembed.maps.picture import draw
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import replacing
from minembed.runtime.paths import can_be_named

if TYPE_CHECKING:
    from minembed.maps.chart import Map

FORMATS = ("html", "png", "svg")


def save(chart: "Map", path: Path) -> None:
    """Write a map to a file in one step, in the format that its ending names.

    Raises InputError for another ending, SourceError, an OSError with its errno, if the disk fails.

    >>> from minembed.maps import Map
    >>> save(Map.of([[0.0, 1.0], [1.0, 0.0]], ["up", "right"], method="pca"), Path("map.txt"))
    Traceback (most recent call last):
    minembed.errors.InputError: 'map.txt' must end in .html, .png, .svg
    """
    kind = check_ending(path)
    if not can_be_named(path):
        raise InputError(f"{str(path)!r} cannot name a file")
    with naming(f"cannot write {path}", "free some space there, or name another file"), replacing(path) as file:
        write(chart, file, kind)


def write(chart: "Map", file: BinaryIO, kind: str) -> None:
    """Write a page ("html") or a picture ("png", "svg") to an open file.

    >>> from io import BytesIO
    >>> from minembed.maps import Map
    >>> file = BytesIO()
    >>> write(Map.of([[0.0, 1.0], [1.0, 0.0]], ["up", "right"], method="pca"), file, "html")
    >>> file.getvalue()[:15]
    b'<!doctype html>'
    """
    if kind == "html":
        file.write(page(chart).encode("utf-8"))
    else:
        draw(chart, file, kind)


def check_ending(path: Path) -> str:
    """Return the format that a file's ending names; raises InputError for an unknown one.

    >>> check_ending(Path("a.SVG"))
    'svg'
    """
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise InputError(f"{path.name!r} must end in {', '.join('.' + form for form in FORMATS)}")
    return kind
