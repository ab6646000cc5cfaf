"""What passed in environments of their own: noted, so that a run goes on where it stopped; and the table of extras."""

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from archives import digest
from programs import EXTRAS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "support.md"
BEGIN, END = "<!-- extras -->", "<!-- /extras -->"


class Known:
    """A file with the row of each environment that passed, by all that its result depends on but the index of pip."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.rows: dict[str, dict] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.rows = {}

    def key(self, artefact: Path, *others: object) -> str:
        """A name for an artefact, by its bytes, with others: its Python, and what is run there."""
        return hashlib.sha256(repr((digest(artefact), *others)).encode()).hexdigest()

    def add(self, key: str, row: Mapping[str, object]) -> None:
        """Note a row, at once."""
        self.rows[key] = dict(row)
        self.path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def write_table(rows: list[dict], page: Path = PAGE, today: str = "") -> None:
    """Write rows of extras into the table of a page; extras that are not among them keep their lines."""
    today = today or f"{datetime.now(timezone.utc):%Y-%m-%d}"
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = dict.fromkeys((extra for extra in EXTRAS if extra), "")
    lines |= {name: line for line in old.splitlines() if (name := _name(line)) in lines}
    for row in rows:
        version, told = row["artefact"].split("-")[1], "**failed**" if row["failed"] else "passed"
        cells = row["python"], row["backend"], row["packages"], row["megabytes"], told, f"{version}, {today}"
        lines[row["extra"]] = " | ".join(map(str, (f"| `{row['extra']}`", *cells))) + " |"
    table = ["| extra | Python | computes with | packages | MB | | version, day |", "|---|---|---|---:|---:|---|---|"]
    table += [line or f"| `{name}` | | | | | not tried | |" for name, line in lines.items()]
    page.write_text(before + "\n".join([BEGIN, "", *table, "", END]) + after, encoding="utf-8")


def _name(line: str) -> str:
    found = re.match(r"\| `([\w-]+)` \|", line)
    return found[1] if found else ""
