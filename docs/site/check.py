"""Check a built site: links, anchors, pages that nothing links to, and anything that is loaded from other sites."""

import re
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tomli as tomllib

LOADED = {"src", "srcset", "poster", "data"}  # attributes whose address a browser loads at once
LINKED_FILES = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}  # and of <link rel=...>


class Page(HTMLParser):
    """The ids of a page, its links, and the files that a browser loads for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Called by HTMLParser for each element."""
        given = {name: value or "" for name, value in attrs}
        self.ids.update(given[name] for name in ("id", "name") if name in given)
        if tag == "a" and "href" in given:
            self.links.add(given["href"])
        if tag == "link" and LINKED_FILES & set(given.get("rel", "").split()):
            self.loaded.add(given["href"])
        self.loaded.update(given[name] for name in LOADED if name in given and tag != "a")


def problems(site: Path, config: Path, places: Iterable[str]) -> list[str]:
    """All faults of a built site, one line each."""
    pages = {path: Page(path.read_text(encoding="utf-8")) for path in sorted(site.rglob("*.html"))}
    found = [line for path, page in pages.items() for line in wrong_links(path, page, pages, site)]
    found += [f"{path.relative_to(site)} loads {address}" for path, address in foreign(site, pages)]
    named = set(targets(tomllib.loads(config.read_text(encoding="utf-8"))["project"]["nav"]))
    missing = sorted(set(places) - named)
    return found + [f"{place} is not in the navigation (docs/site/zensical.toml)" for place in missing]


def wrong_links(path: Path, page: Page, pages: dict[Path, Page], site: Path) -> Iterator[str]:
    """Links to files or anchors that do not exist."""
    for link in sorted(page.links | page.loaded):
        parts = urlsplit(link)
        if parts.scheme or parts.netloc or not (parts.path or parts.fragment) or path.name == "404.html":
            continue
        target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
        if not target.is_file():
            yield f"{path.relative_to(site)} links to {link}, which is not there"
        elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].ids:
            yield f"{path.relative_to(site)} links to {link}, which has no such anchor"


def foreign(site: Path, pages: dict[Path, Page]) -> Iterator[tuple[Path, str]]:
    """Files that a page or a style sheet would load from other sites."""
    for path, page in pages.items():
        yield from ((path, address) for address in page.loaded if urlsplit(address).netloc)
    for path in site.rglob("*.css"):
        found = re.findall(r"""url\(["']?(https?:[^)"']+)""", path.read_text(encoding="utf-8"))
        yield from ((path, address) for address in found)


def targets(nav: Any) -> Iterator[str]:
    """The pages that a navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for item in nav.values() if isinstance(nav, dict) else nav:
            yield from targets(item)
