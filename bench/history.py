"""Is a revision slower than its parent?  Both run side by side, in turns; the ratios are kept in results/history.jsonl.

    python bench/history.py check [REVISION]    race it (default: HEAD) against its parent; fails where a measure takes
                                                more than 5 % more of a core, and again in a longer race
    python bench/history.py table               the ratios of the last revisions, and their plot results/history.svg

CPU seconds are compared, not those of the clock, in pairs of laps that follow each other, since others may use the
machine.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

from environment import BENCH, ROOT, WORK
from machine import cpu_facts

HISTORY = BENCH / "results" / "history.jsonl"
LIMIT, LAPS, SHOWN = 1.05, 15, 12


def git(*words: str) -> str:
    """The output of a git command."""
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def installed(revision: str) -> Path:
    """A folder with the package of a revision, for Python's path."""
    site = WORK / "history" / revision / "site"
    if not site.exists():
        source = site.parent / "source"
        source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", revision], cwd=ROOT, capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", source], input=archive, check=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--no-deps",
            "--target",
            site,
            source,
        ]
        subprocess.run(pip, check=True)
    return site


class Runner:
    """A worker that runs a revision, and waits for cases."""

    def __init__(self, site: Path, model: str, slow: str = "{}"):
        pools = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "RAYON_NUM_THREADS"), "1")
        environment = os.environ | pools | {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1", "MINEMBED_SPEED_SLOW": slow}
        command = [sys.executable, str(BENCH / "speed_worker.py"), model]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        said = self.process.stdout.readline()
        if not said:
            raise SystemExit(f"{site.parent.name} cannot be measured: see above")
        self.cases: list[str] = json.loads(said)

    def lap(self, case: str) -> float:
        """The seconds of a core that a case takes."""
        print(case, file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())

    def close(self) -> None:
        """End the worker."""
        self.process.stdin.close()
        self.process.wait()


def race(old: Runner, new: Runner, cases: list[str], laps: int) -> dict[str, float]:
    """The median ratio of the new revision's seconds to the old one's, over pairs of laps; they take turns to begin."""
    ratios: dict[str, list[float]] = {case: [] for case in cases}
    for lap in range(laps):
        for case in cases:
            first, second = (old, new) if lap % 2 else (new, old)
            seconds = {id(runner): runner.lap(case) for runner in (first, second)}
            ratios[case].append(seconds[id(new)] / seconds[id(old)])
    return {case: statistics.median(found) for case, found in ratios.items()}


def verdict(old: Runner, new: Runner, laps: int = LAPS) -> tuple[dict[str, float], list[str]]:
    """The ratios, and the cases that are slower: by the limit in a race, and in one of twice the laps."""
    ratios = race(old, new, [case for case in new.cases if case in old.cases], laps)
    doubtful = [case for case, ratio in ratios.items() if ratio > LIMIT]
    if doubtful:
        ratios |= race(old, new, doubtful, 2 * laps)
    return ratios, [case for case in doubtful if ratios[case] > LIMIT]


def check(revision: str, parent: str, model: str, laps: int) -> int:
    """Race a revision against its parent, or an older one; store the ratios, and report what is slower."""
    new, old = git("rev-parse", "--short", revision), git("rev-parse", "--short", parent or f"{revision}^")
    if revision == "HEAD" and git("status", "--porcelain", "--untracked-files=no"):
        print("changes that are not committed are not measured", file=sys.stderr)
    runners = [Runner(installed(name), model) for name in (old, new)]
    ratios, slower = verdict(*runners, laps)
    for runner in runners:
        runner.close()
    told = {"revision": new, "parent": old, "cpu": cpu_facts()["cpu"], "laps": laps, "slower": slower}
    told |= {"date": datetime.now(timezone.utc).date().isoformat(), "subject": git("show", "-s", "--format=%s", new)}
    with HISTORY.open("a", encoding="utf-8") as file:
        file.write(json.dumps(told | {"ratios": {case: round(ratio, 3) for case, ratio in ratios.items()}}) + "\n")
    for case, ratio in ratios.items():
        print(f"{case:24} {ratio:6.3f}  {'SLOWER' if case in slower else ''}".rstrip())
    print(f"{new} over {old}: {'slower in ' + ', '.join(slower) if slower else 'no measure is slower'}")
    return bool(slower)


def read(path: Path = HISTORY) -> list[dict]:
    """The last race of each revision."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return list({one["revision"]: one for one in map(json.loads, lines)}.values())


def table(races: list[dict]) -> str:
    """The ratios of the last revisions, in Markdown."""
    cases = list(dict.fromkeys(case for one in races for case in one["ratios"]))
    rows = [["revision", *cases], ["---"] * (1 + len(cases))]
    for one in races[-SHOWN:]:
        rows.append([one["revision"], *(f"{one['ratios'][c]:.3f}" if c in one["ratios"] else "" for c in cases)])
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def plot(races: list[dict]) -> None:
    """The slowest measure of each revision."""
    from plots import as_svg, line

    points = [(float(i), max(one["ratios"].values())) for i, one in enumerate(races, 1)]
    labels = "revisions that were raced", "seconds of a core, over the parent's"
    figure = line("The slowest measure of each revision", points, (LIMIT, "5 % slower"), labels)
    (BENCH / "results" / "history.svg").write_text(as_svg(figure), encoding="utf-8")


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["check", "table"])
    parser.add_argument("revision", nargs="?", default="HEAD")
    parser.add_argument("--parent", default="", help="an older revision to race against")
    parser.add_argument("--model", default="all-MiniLM-L6-v2", help="a folder or a name (default: %(default)s)")
    parser.add_argument("--laps", type=int, default=LAPS, help="pairs of each measure (default: %(default)s)")
    given = parser.parse_args()
    if given.command == "check":
        return check(given.revision, given.parent, given.model, given.laps)
    races = read()
    if races:
        print(table(races))
        plot(races)
    return 0


if __name__ == "__main__":
    sys.exit(main())
