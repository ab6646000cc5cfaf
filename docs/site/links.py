"""The place of each page and file of the repository on the site, and the links between them."""

import os
import re
from pathlib import Path

OUTSIDE = {  # pages that are not in docs/
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "bench/REPORT.md": "bench-report.md",
}
ASSETS = (".svg", ".png", ".csv", ".json")
FENCED = re.compile(r"^(```.*?^```$)", re.M | re.S)
LINK = re.compile(r"(\]\()([^)\s]+)(\))")


def pages(root: Path) -> dict[Path, str]:
    """Every page that is written by hand: its path in the repository, and on the site."""
    inside = sorted((root / "docs").glob("**/*.md"))
    found = {path.relative_to(root): path.relative_to(root / "docs").as_posix() for path in inside}
    return found | {Path(path): place for path, place in OUTSIDE.items() if (root / path).exists()}


def is_asset(path: Path) -> bool:
    """Whether a linked file is copied as it is, and has no page of its own."""
    return path.suffix in ASSETS


def place(path: Path, root: Path) -> str:
    """The place of a path of the repository on the site: a page, a picture, a listing, or a folder's list of files."""
    known = pages(root)
    if path in known:
        return known[path]
    if is_asset(path):
        return path.relative_to("docs").as_posix() if path.parts[0] == "docs" else f"files/{path.as_posix()}"
    return f"source/{path.as_posix()}/index.md" if (root / path).is_dir() else f"source/{path.as_posix()}.md"


def rewrite(text: str, page: Path, root: Path, linked: set[Path]) -> str:
    """Change the links of a page to places on the site; targets that are not pages are added to `linked`."""
    here = Path(pages(root)[page]).parent

    def turned(match: re.Match[str]) -> str:
        file, mark, anchor = match[2].partition("#")
        if not file or re.match(r"\w+:", file):
            return match[0]
        target = Path(os.path.normpath(page.parent / file))
        if not (root / target).exists():
            raise SystemExit(f"{page} links to {file}, which is not there")
        if target not in pages(root):
            linked.add(target)
        return f"{match[1]}{os.path.relpath(place(target, root), here)}{mark}{anchor}{match[3]}"

    pieces = FENCED.split(text)
    return "".join(piece if piece.startswith("```") else LINK.sub(turned, piece) for piece in pieces)
