"""Write the tables of docs/stores.md from the figures that run_stores.py has measured."""

import json
import re
from collections.abc import Iterator
from typing import Any

from store_pages import FIGURES, OVERVIEW, STORES

NAMES = {
    "minembed": "minembed's `Index`",
    "duckdb": "DuckDB",
    "sqlite-vec": "sqlite-vec",
    "lancedb": "LanceDB",
    "chroma": "Chroma",
    "qdrant": "Qdrant, local mode",
    "postgresql": "PostgreSQL, pgvector",
}
MB = 1e6


def row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def head(*cells: str) -> list[str]:
    return [row(*cells), "|---" * len(cells) + "|"]


def megabytes(size: float) -> str:
    return f"{size / MB:,.0f} MB" if size >= 10 * MB else f"{size / MB:.1f} MB"


def share(facts: dict[str, Any]) -> str:
    """A recall as text: 1 only if nothing is missing."""
    recall = facts["recall"]
    return "1" if recall == 1 else f"{min(recall, 0.9999):.4f}" if recall > 0.999 else f"{recall:.3f}"


def stores(figures: dict[str, Any]) -> Iterator[str]:
    yield from head(
        *("store", "search", "recall@10", "same ten, same order", "recall with a filter", "a score is off by"),
        *("insert 20,000", "a query", "on disk", "installed"),
    )
    for name in STORES:
        link, facts = f"[{NAMES[name]}](stores/{name}.md)", figures.get(name)
        if facts is None:
            yield row(link, "not measured yet", *["–"] * 8)
            continue
        yield row(
            link,
            "exact" if facts["plain"]["exact"] else "approximate",
            share(facts["plain"]),
            f"{facts['plain']['same_order']} of {facts['plain']['queries']}",
            share(facts["filtered"]),
            f"{facts['plain']['rounding']:.0e}",
            f"{facts['insert_s']:.1f} s",
            f"{facts['plain']['best_ms']:.1f} ms",
            megabytes(facts["disk"]),
            megabytes(facts["installed"]),
        )


def smaller(figures: dict[str, Any]) -> Iterator[str]:
    yield from head("store", "what is searched", "recall@10", "a query")
    for name in filter(figures.get, STORES):
        for facts in figures[name]["others"].values():
            yield row(
                f"[{NAMES[name]}](stores/{name}.md#smaller-vectors)",
                facts["about"],
                share(facts),
                f"{facts['best_ms']:.1f} ms",
            )


def measured(figures: dict[str, Any]) -> Iterator[str]:
    """The machine and the date, once for all that were measured together."""
    together: dict[str, list[str]] = {}
    for name in filter(figures.get, STORES):
        facts = figures[name]
        versions = (f"{package.split('[')[0]} {version}" for package, version in facts["versions"].items())
        where = f"Measured on {facts['date']} with Python {facts['python']} ({facts['machine']})"
        together.setdefault(where, []).append(", ".join(versions))
    for where, versions in together.items():
        yield f"{where}: {'; '.join(versions)}."


TABLES = {"stores": stores, "smaller": smaller, "measured": measured}


def written(page: str, figures: dict[str, Any]) -> str:
    """The page with the tables of these figures."""
    for name, lines in TABLES.items():
        found = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end of {name} -->)", re.S)
        assert found.search(page), f"the page has no place for the table {name}"
        body = "\n".join(lines(figures))
        page = found.sub(lambda match, body=body: f"{match[1]}\n{body}\n\n{match[2]}", page)
    return page


def write_tables() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8"))
    OVERVIEW.write_text(written(OVERVIEW.read_text(encoding="utf-8"), figures), encoding="utf-8")
