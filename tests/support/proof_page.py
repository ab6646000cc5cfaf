"""The tables of docs/reliability.md that `make proof` writes."""

import re

import proof_results
from places import ROOT
from proof_rows import GROUPS, MACHINES, NEVER, ROWS

PAGE = ROOT / "docs" / "reliability.md"
MARKED = r"(<!-- table: {} -->\n\n).*?(\n\n<!-- end -->)"


def letters(results):
    """A letter for each machine with its Python and packages, in the order of their first results."""
    found = {}
    for one in results:
        found.setdefault(place_of(one), chr(ord("A") + len(found)) if len(found) < 26 else f"A{len(found)}")
    return found


def place_of(one):
    """The machine of a result, in words."""
    machine, versions = one["machine"], one["versions"]
    numba = f"Numba {versions['numba']}" if versions["numba"] else "no Numba"
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; kernels for {machine['instructions']}; "
        f"Python {versions['python']}, NumPy {versions['numpy']}, {numba}, tokenizers {versions['tokenizers']}"
    )


def lasted(seconds):
    """A time for people."""
    return f"{seconds:,.0f} s" if seconds < 600 else f"{seconds / 60:,.0f} min"


def ranged(numbers):
    """Seeds: 1-10, or 3."""
    low, high = min(numbers), max(numbers)
    return str(low) if low == high else f"{low} to {high}"


def line_of(row, results, places):
    """The tries of a row."""
    own = [one for one in results if one["row"] == row.name]
    of = f"of {row.total:,} " if row.total else ""
    if not own:
        return [row.what, f"0 {of}{row.unit}", "not run yet", "", "", "", ""]
    count, escapes = sum(one["count"] for one in own), sum(one["escapes"] for one in own)
    whole = f"{count:,} {row.unit}" if count >= row.total else f"{count:,} {of}{row.unit}"
    told = "0" if all(one["result"] == "passed" for one in own) else f"**{max(1, escapes)}**"
    seconds, revisions = sum(one["seconds"] for one in own), sorted({one["revision"] for one in own})
    where = ", ".join(sorted({places[place_of(one)] for one in own}))
    seeds = ranged([one["seed"] for one in own]) if row.total else ""
    return [row.what, whole, told, seeds, lasted(seconds), where, ", ".join(revisions)]


def table(head, rows):
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def tried(results):
    """The tables of tries, and the machines."""
    places, parts = letters(results), []
    for title, rows in GROUPS.items():
        head = [title, "tried", "escapes", "seeds", "time", "machine", "revision"]
        parts.append(table(head, [line_of(row, results, places) for row in rows]))
    return "\n\n".join(parts)


def where(results):
    """The table of the machines that ran each row, and of rows that never ran."""
    places, rows = letters(results), []
    for row in MACHINES:
        own = [one for one in results if one["row"] == row.name]
        if not own:
            rows.append([row.what, "not run yet", "", "", "", "", ""])
            continue
        one = own[-1]
        numbers = [str(one[name]) for name in ("tests", "skipped", "escapes")]
        rows.append([row.what, *numbers, lasted(one["seconds"]), places[place_of(one)], one["revision"]])
    head = ["with", "passed", "skipped", "failed", "time", "machine", "revision"]
    machines = "\n".join(f"- **{letter}**: {place}" for place, letter in places.items())
    return f"{table(head, rows)}\n\nNever run on: {'; '.join(NEVER)}.\n\nThe machines:\n\n{machines or '- none yet'}"


def page(text, results):
    """The page with new tables."""
    for name, content in (("tried", tried(results)), ("where", where(results))):
        assert re.search(MARKED.format(name), text, re.S), name
        text = re.sub(
            MARKED.format(name), lambda found, content=content: found[1] + content + found[2], text, flags=re.S
        )
    return text


def write():
    """Write the tables into the page."""
    results = [one for one in proof_results.read() if one["row"] in ROWS]
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    write()
