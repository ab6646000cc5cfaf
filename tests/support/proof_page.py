"""The tables of docs/reliability.md that `make proof` writes."""

import re

from places import ROOT
from proof_results import every, last
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


def in_order(values):
    """Each of them once, in the order in which they came."""
    return ", ".join(dict.fromkeys(values))


def line_of(row, results, places):
    """The tries of a row: those of pieces that passed, for a test that fails has tried less than it was to."""
    own = [one for one in last(results) if one["row"] == row.name]
    of = f"of {row.total:,} " if row.total else ""
    if not own:
        return [row.what, f"0 {of}{row.unit}", "not run yet", *[""] * 5]
    count = sum(one["count"] for one in own if one["result"] == "passed")
    whole = f"{count:,} {row.unit}" if count >= row.total else f"{count:,} {of}{row.unit}"
    escapes = sum(max(1, one["escapes"]) for one in own if one["result"] != "passed")
    seeds = ranged([one["seed"] for one in own]) if row.total else ""
    where = ", ".join(sorted({places[place_of(one)] for one in own}))
    numbers = [f"**{escapes}**" if escapes else "0", str(max(one["skipped"] for one in own)), seeds]
    seconds = lasted(sum(one["seconds"] for one in own))
    return [row.what, whole, *numbers, seconds, where, in_order(one["revision"] for one in own)]


def table(head, rows):
    """A table in Markdown."""
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, ["---"] * len(head), *rows))


def tried(results):
    """The tables of tries, and the machines."""
    places, parts = letters(results), []
    for title, rows in GROUPS.items():
        head = [title, "tried", "escapes", "skipped tests", "seeds", "time", "machine", "revision"]
        parts.append(table(head, [line_of(row, results, places) for row in rows]))
    return "\n\n".join(parts)


def tests_of(row):
    """What a row of the second table runs, in words."""
    return f"`make {row.make}`" if row.make else ", ".join(f"`{test}`" for test in row.tests)


def where(results):
    """The table of the machines that ran each row, and of rows that never ran."""
    places, rows = letters(results), []
    for row in MACHINES:
        own = [one for one in last(results) if one["row"] == row.name]
        if not own:
            rows.append([row.what, tests_of(row), "not run yet", *[""] * 5])
            continue
        one = own[-1]
        numbers = [str(one[name]) for name in ("tests", "skipped", "escapes")]
        rows.append([row.what, tests_of(row), *numbers, lasted(one["seconds"]), places[place_of(one)], one["revision"]])
    head = ["with", "tests", "passed", "skipped", "failed", "time", "machine", "revision"]
    machines = "\n".join(f"- **{letter}**: {place}" for place, letter in places.items())
    return f"{table(head, rows)}\n\nNever run on: {'; '.join(NEVER)}.\n\nThe machines:\n\n{machines or '- none yet'}"


def failures(results):
    """The pieces that failed, also those that passed afterwards."""
    rows, final = [], {(one["row"], one["seed"]): one for one in last(results)}
    for one in results:
        if one["result"] != "passed":
            now = final[one["row"], one["seed"]]
            after = f"passed at {now['revision']}" if now["result"] == "passed" else "not run again yet"
            names = ", ".join(f"`{name.removeprefix('tests/')}`" for name in one["failed"])
            rows.append([one["row"], f"{one['seed']}", one["date"], one["revision"], names, after])
    head = ["row", "seed", "date", "revision", "what failed", "afterwards"]
    return table(head, rows) if rows else "None."


def page(text, results):
    """The page with new tables."""
    for name, make in (("tried", tried), ("where", where), ("failures", failures)):
        content = make(results)
        assert re.search(MARKED.format(name), text, re.S), name
        text = re.sub(
            MARKED.format(name), lambda found, content=content: found[1] + content + found[2], text, flags=re.S
        )
    return text


def write():
    """Write the tables into the page."""
    results = [one for one in every() if one["row"] in ROWS]
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")


if __name__ == "__main__":
    write()
