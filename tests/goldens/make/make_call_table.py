"""Write the tables of docs/sentence-transformers.md: the calls of the reference's pages, and what becomes of each.

    python tests/goldens/make/make_call_table.py docs/sentence-transformers.md

tests/dropin/ holds what the tables say; the words of a refusal are those that the call raises.
"""

import ast
import re
import sys
import tempfile
from pathlib import Path

import published_calls
from published_calls.models import Models
from published_calls.running import OURS, Runner, is_there

from minembed.errors import MinembedError

MARKED = r"(<!-- table: {} -->\n\n).*?(\n\n<!-- end -->)"
PACKAGES = {"faiss": "faiss-cpu", "sklearn": "scikit-learn"}  # where a package is installed under another name
VECTOR = 2e-6  # the contract
LONGEST = 230  # letters of a call in the table


def line_of(call):
    """The call on one line."""
    line = "; ".join(ast.unparse(part).replace("\n", " ") for part in ast.parse(call.code).body)
    line = re.sub(r"\s+", " ", line)
    return line if len(line) <= LONGEST else line[:LONGEST] + " …"


def refusal(call, runner):
    """What a refused call says; None where a library that is not here, or torch, would have the word."""
    if "torch" in call.needs or not all(map(is_there, call.needs)):
        return None
    try:
        runner.run(call)
    except MinembedError as error:
        lines = re.sub(r"\s+", " ", str(error).replace(str(runner.models.folder), "…"))
        return f"refused: {lines}"
    raise AssertionError(f"{call.name} is not refused")


def refusal_of_others(call):
    """Whose word it is."""
    return f"refused by {call.needs[0]}" + (f": {call.instead}" if call.instead else "")


def verdict(call):
    """What becomes of a call that is computed."""
    others = [PACKAGES.get(name, name) for name in call.needs]
    near = "equal" if call.within == VECTOR else f"near: within {call.within:g}"
    near += f", with {' and '.join(others)}" if others else ""
    return near + ("" if call.exact else ", integers within one step")


def row(call, said):
    """A line of the table."""
    return as_line([call.title, f"`{line_of(call)}`", said])


def summary():
    """How many calls there are of each kind, and how many of them give the reference's values."""
    rows = [["about", "calls", "equal", "near", "refused"]]
    for kind, about in published_calls.KINDS.items():
        calls = [call for call in published_calls.CALLS if call.kind == kind]
        refused = sum(call.is_refused for call in calls)
        near = sum(call.within > VECTOR for call in calls)
        rows.append([about, *map(str, (len(calls), len(calls) - refused - near, near, refused))])
    return "\n".join([as_line(rows[0]), "|---|---|---|---|---|", *map(as_line, rows[1:])])


def all_calls(runner):
    """A section for each page."""
    sections = []
    for page, (title, place) in published_calls.PAGES.items():
        calls = [call for call in published_calls.CALLS if call.page == page]
        lines = [as_line(["what", "call", "here"]), "|---|---|---|"]
        for call in calls:
            said = refusal(call, runner) or refusal_of_others(call) if call.is_refused else verdict(call)
            lines.append(row(call, said))
        sections.append("\n".join([f"### {title}", "", f"`{place}`", "", *lines]))
    return "\n\n".join(sections)


def as_line(cells):
    """A line of a table."""
    return "| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |"


def tables(folder):
    """Both tables by name."""
    runner = Runner(OURS, Models(folder / "models"), folder)
    return {"summary": summary(), "calls": all_calls(runner)}


def main():
    """Write the tables between their marks."""
    path = Path(sys.argv[1])
    page = path.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        for name, table in tables(Path(folder)).items():
            page, found = re.subn(MARKED.format(name), lambda m, t=table: m[1] + t + m[2], page, count=1, flags=re.S)
            assert found, f"{path} has no place for the table {name!r}"
    path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
