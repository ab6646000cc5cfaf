"""What passed in environments of their own: noted, so that a run goes on where it stopped; and the table of extras."""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path

from archives import digest
from programs import EXTRAS

FOLDER = Path(__file__).parent
CODE = [FOLDER / name for name in ("programs.py", "release_tools.py", "smoke.py")]  # what is run, and how it is judged
PAGE = Path(__file__).resolve().parents[2] / "docs" / "support.md"
BEGIN, END = "<!-- extras -->", "<!-- /extras -->"


class Known:
    """A file with the row of each environment that passed, by all that its result depends on but the index of pip.

    That is the artefact, the extra, the Python to its last digit, and the code that tries them.
    """

    def __init__(self, path: Path, code: list[Path] = CODE) -> None:
        self.path, self.code = path, [digest(file) for file in code]
        try:
            self.rows: dict[str, dict] = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            self.rows = {}

    def key(self, artefact: Path, extra: str, python: str) -> str:
        """A name for an artefact, by its bytes, with an extra, on a Python as `sys.version` describes it."""
        return hashlib.sha256(repr((digest(artefact), extra, python, self.code)).encode()).hexdigest()

    def add(self, key: str, row: Mapping[str, object]) -> None:
        """Note a row, at once."""
        self.rows[key] = dict(row)
        self.path.write_text(json.dumps(self.rows, indent=1) + "\n", encoding="utf-8")


def write_table(rows: list[dict], page: Path = PAGE) -> None:
    """Write rows of extras into the table of a page, each with the day on which it was tried; others stay."""
    text = page.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    old, _, after = rest.partition(END)
    lines = dict.fromkeys((extra for extra in EXTRAS if extra), "")
    lines |= {name: line for line in old.splitlines() if (name := _name(line)) in lines}
    for row in rows:
        version, told = row["artefact"].split("-")[1], "**failed**" if row["failed"] else "passed"
        cells = row["python"], row["backend"], row["packages"], row["megabytes"], told, f"{version}, {row['day']}"
        lines[row["extra"]] = " | ".join(map(str, (f"| `{row['extra']}`", *cells))) + " |"
    table = ["| extra | Python | computes with | packages | MB | | version, day |", "|---|---|---|---:|---:|---|---|"]
    table += [line or f"| `{name}` | | | | | not tried | |" for name, line in lines.items()]
    page.write_text(before + "\n".join([BEGIN, "", *table, "", END]) + after, encoding="utf-8")


def _name(line: str) -> str:
    found = re.match(r"\| `([\w-]+)` \|", line)
    return found[1] if found else ""
