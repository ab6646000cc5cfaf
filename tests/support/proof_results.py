"""The results of `make proof`: a line of JSON for each piece of a row, kept in tests/proof/results.jsonl."""

import json
import os
import re
import subprocess
from pathlib import Path

from places import ROOT
from proof_rows import Row

from minembed import __version__

RESULTS = ROOT / "tests" / "proof" / "results.jsonl"


def release():
    """The next version."""
    return __version__


def every(path=None):
    """All results of this release, in the order in which they were found."""
    path = path or RESULTS
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [one for one in map(json.loads, lines) if one["release"] == release()]


def last(results):
    """Of results, the last of each piece."""
    found = {}
    for one in results:
        found.pop((one["row"], one["seed"]), None)
        found[one["row"], one["seed"]] = one
    return list(found.values())


def read(path=None):
    """The results of this release, the last of each piece."""
    return last(every(path))


def add(result, path=None):
    """Keep a result."""
    path = path or RESULTS
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result, sort_keys=True) + "\n")


def next_piece(row: Row, results, share=1.0):
    """The seed and the size of the next piece of a row; None if it is done.  Failed pieces come first.

    The last one is at least half a piece: tests that ask for some of each outcome would not find it among a few.
    """
    own = [one for one in results if one["row"] == row.name]
    failed = [one for one in own if one["result"] != "passed"]
    if failed:
        return failed[0]["seed"], failed[0]["asked"]
    if not row.total:
        return None if own else (1, 0)
    left = max(1, round(row.total * share)) - sum(one["count"] for one in own)
    if left <= 0:
        return None
    size = max(left, row.piece // 2) if own else left
    return 1 + max((one["seed"] for one in own), default=0), min(row.piece, size)


def git(*words):
    """Run git here."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)


def revision():
    """The commit, with a plus if files other than the results differ from it."""

    others = ("HEAD", "--", ".", ":!tests/proof", ":!docs/reliability.md")
    name = git("rev-parse", "--short", "HEAD").stdout.strip() or "unknown"
    return name + "+" * (git("diff", "--quiet", *others).returncode != 0)


def changed_since(revision):
    """The commits since a revision, and the files of the package that they changed; None if it is not known here."""
    package = ("minembed", "kernels", "weights")
    known = revision.removesuffix("+")
    files = git("diff", "--name-only", known, "HEAD", "--", *package)
    if files.returncode:
        return None
    return int(git("rev-list", "--count", f"{known}..HEAD").stdout), len(files.stdout.split())


def cpu():
    """The processor's name, and its features as Linux names them."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return "unknown", frozenset()
    named = {
        name: re.search(rf"^{name}\s*: (.*)$", text, re.M) for name in ("model name", "model", "cpu family", "flags")
    }
    told = {name: match[1].strip() if match else "unknown" for name, match in named.items()}
    name = f"{told['model name']}, family {told['cpu family']} model {told['model']}"
    return name, frozenset(told["flags"].split())


def machine(instructions):
    """The machine of a result."""
    return {"cpu": cpu()[0], "instructions": instructions, "cores": os.cpu_count(), "system": os.uname().sysname}
