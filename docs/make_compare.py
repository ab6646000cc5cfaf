"""Write the tables of docs/compare.md from docs/compare.json: `make compare-table`.

A cell on minembed names the tests that prove it, which have to exist, or a source; a cell on a peer names sources, with
their version, date and address, or is "?", which means that nobody has looked it up.
"""

import ast
import json
import re
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent
ROOT = DOCS.parent
DATA, PAGE = DOCS / "compare.json", DOCS / "compare.md"
UNKNOWN = "?"


def read(path: Path = DATA) -> dict[str, Any]:
    """The data, checked.

    Raises ValueError that names the row and the missing part.
    """
    data = json.loads(path.read_text(encoding="utf-8"))
    peers = {peer for table in data["tables"] for peer in table["peers"]}
    for name in data["sources"]:
        if {*data["sources"][name]} != {"what", "version", "date", "url"}:
            raise ValueError(f"the source {name!r} needs what, version, date and url")
    for row in data["rows"]:
        check_row(row, peers, data["sources"])
    return data


def check_row(row: dict[str, Any], peers: set[str], sources: dict[str, Any]) -> None:
    """Every peer has a cell, every cell sources, and ours tests or a source.

    Raises ValueError.
    """
    if {*row["theirs"]} != peers:
        raise ValueError(f"{row['question']!r} has cells of {sorted(row['theirs'])}, and should of {sorted(peers)}")
    for peer, cell in row["theirs"].items():
        if cell != UNKNOWN and (len(cell) < 2 or not sources.keys() >= {*cell[1:]}):
            raise ValueError(f"{row['question']!r}, {peer}: a cell is [text, source, ...], or {UNKNOWN!r}")
    if not row.get("tests") and row.get("source") not in sources:
        raise ValueError(f"{row['question']!r}: ours has neither tests nor a source")
    for test in row.get("tests", []):
        if not test_exists(test):
            raise ValueError(f"{row['question']!r}: there is no test {test}")


def test_exists(test: str) -> bool:
    """Whether FILE::FUNCTION is in the repository."""
    file, _, function = test.partition("::")
    path = ROOT / file
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else ast.Module([], [])
    return any(isinstance(node, ast.FunctionDef) and node.name == function for node in ast.walk(tree))


def tables(data: dict[str, Any]) -> str:
    """All tables of the page, and the lists of tests and sources."""
    numbers = {name: str(number) for number, name in enumerate(data["sources"], 1)}
    tests = dict.fromkeys(test for row in data["rows"] for test in row.get("tests", []))
    numbers |= {test: f"T{number}" for number, test in enumerate(tests, 1)}
    parts = [table(data, about, numbers) for about in data["tables"]]
    lines = ["## Tests", "", "| | test | in |", "|---:|---|---|"]
    for test in tests:
        file, _, function = test.partition("::")
        lines.append(f"| {numbers[test]} | `{function}` | [{file}](../{file}) |")
    parts.append("\n".join(lines))
    lines = ["## Sources", "", "| | of | version | date | what |", "|---:|---|---|---|---|"]
    for name, source in data["sources"].items():
        what = f"[{source['what']}]({source['url']})" if source["url"].startswith("https://") else source["what"]
        lines.append(
            f"| {numbers[name]} | {name.partition(':')[0]} | {source['version']} | {source['date']} | {what} |"
        )
    return "\n\n".join([*parts, "\n".join(lines)])


def table(data: dict[str, Any], about: dict[str, Any], numbers: dict[str, str]) -> str:
    """One table: a row per question, minembed first."""
    peers = about["peers"]
    lines = [f"## {about['title']}", "", f"| | minembed | {' | '.join(peers)} |", "|---|" + "---|" * (1 + len(peers))]
    for row in data["rows"]:
        ours = [row["ours"], *row.get("tests", [row.get("source")])]
        cells = [
            UNKNOWN if cell == UNKNOWN else f"{cell[0]} ({', '.join(numbers[name] for name in cell[1:])})"
            for cell in (ours, *(row["theirs"][peer] for peer in peers))
        ]
        lines.append(f"| **{row['question']}** | {' | '.join(cells)} |")
    return "\n".join(lines)


def with_tables(page: str, data: dict[str, Any]) -> str:
    """The page with new tables."""
    return re.sub(
        r"<!-- tables -->.*<!-- end -->",
        lambda _: f"<!-- tables -->\n\n{tables(data)}\n\n<!-- end -->",
        page,
        flags=re.S,
    )


if __name__ == "__main__":
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8"), read()), encoding="utf-8")
