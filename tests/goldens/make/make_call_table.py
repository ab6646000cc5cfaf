"""Write the tables of docs/sentence-transformers.md: the calls of the reference's pages, and what becomes of each.

    python tests/goldens/make/make_call_table.py docs/sentence-transformers.md

tests/sentence_transformers/ holds what the tables say; the words of a refusal are those that the call raises.
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
    """What a refused call says; None where a library that is not here would have the word."""
    if not all(map(is_there, call.needs)) or call.needs == ("torch",):
        return None
    try:
        runner.run(call)
    except MinembedError as error:
        return re.sub(r"\s+", " ", str(error))
    raise AssertionError(f"{call.name} is not refused")


def verdict(call, runner):
    """What becomes of a call here."""
    if not call.is_refused:
        others = [PACKAGES.get(name, name) for name in call.needs]
        near = "equal" if call.within == VECTOR else f"near: within {call.within:g}"
        near += f", with {' and '.join(others)}" if others else ""
        return near + ("" if call.exact else ", integers within one step")
    said = refusal(call, runner)
    return f"refused: {said}" if said else f"refused by {call.needs[0]} itself"


def summary():
    """How many calls there are of each kind, and how many of them give the reference's values."""
    rows = [["about", "calls", "equal", "refused"]]
    for kind, about in published_calls.KINDS.items():
        calls = [call for call in published_calls.CALLS if call.kind == kind]
        refused = sum(call.is_refused for call in calls)
        rows.append([about, str(len(calls)), str(len(calls) - refused), str(refused)])
    return as_markdown(rows)


def all_calls(runner):
    """A section for each page."""
    sections = []
    for page, (title, place) in published_calls.PAGES.items():
        calls = [call for call in published_calls.CALLS if call.page == page]
        rows = [[call.title, f"`{line_of(call)}`", verdict(call, runner)] for call in calls]
        sections.append(f"### {title}\n\n{place}\n\n{as_markdown([['what', 'call', 'here'], *rows])}")
    return "\n\n".join(sections)


def as_markdown(rows):
    """Lay out rows, the first of which is the header."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]])


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
