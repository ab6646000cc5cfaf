"""Check, warm up, then time; contestants take turns; the record is JSON.

No number for a wrong answer: a contestant whose vectors are not the reference's is refused and gets no time.
"""

import json
import pickle
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

import machine
from environment import BENCH, WORK, process_environment
from peers import Limit

A_FOLDER = re.compile(r"(?<![\w.])(?:[A-Za-z]:)?(?:[\\/][^\\/\s'\"]+)+[\\/]")  # a path up to the file's name

FEWEST = 3  # laps of a contestant whose laps are long


class WrongAnswer(ValueError):
    """A contestant's vectors are too far from the reference's to be worth timing."""


class Unavailable(RuntimeError):
    """A contestant takes no part; the message is recorded, so it names files but no folders of this machine."""

    def __init__(self, message: str):
        super().__init__(A_FOLDER.sub("", message))


class Absent(Unavailable):
    """A contestant's library is not installed."""


class Failed(Unavailable):
    """A contestant could not be loaded or run."""


@dataclass(frozen=True)
class Model:
    """A checkpoint's folder, and the one where its conversions for the peers are."""

    folder: Path
    work: Path = WORK


@dataclass(frozen=True)
class Agreement:
    """The distance of two sets of vectors."""

    max_abs_diff: float
    mean_cosine: float
    min_cosine: float


def compare(vectors: np.ndarray, reference: np.ndarray, limit: Limit) -> Agreement:
    """Measure the distance to the reference; raise WrongAnswer if it is above the limit."""
    if vectors.shape != reference.shape:
        raise WrongAnswer(f"shape {vectors.shape} where the reference has {reference.shape}")
    ours, theirs = vectors.astype(np.float64), reference.astype(np.float64)
    lengths = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    cosines = (ours * theirs).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    furthest = float(np.abs(ours - theirs).max(initial=0.0))
    agreement = Agreement(furthest, float(cosines.mean()), float(cosines.min(initial=1.0)))
    if not furthest <= limit.max_abs_diff:  # in this form, NaN is refused too
        raise WrongAnswer(f"max |difference| {furthest:.2g} is above {limit.max_abs_diff:.2g}")
    if not agreement.mean_cosine >= limit.mean_cosine:
        raise WrongAnswer(f"mean cosine {agreement.mean_cosine:.4f} is below {limit.mean_cosine:g}")
    return agreement


@dataclass(frozen=True)
class Lap:
    """One timed run, and the share of the machine that others used meanwhile (None if that is unknown)."""

    seconds: float
    disturbance: float | None = None


def race(
    runners: Mapping[str, Callable[[], Lap]], laps: int, settle: float = 0.0, budget: float = float("inf")
) -> dict[str, list[Lap]]:
    """Let every contestant run once before any runs again; each round begins with the next one.

    A pause of `settle` seconds before each lap lets the previous thread pools fall asleep. A contestant that has run
    for `budget` seconds gets no more laps than a median needs.
    """
    names = list(runners)
    results: dict[str, list[Lap]] = {name: [] for name in names}
    for round_number in range(laps):
        first = round_number % max(len(names), 1)
        for name in names[first:] + names[:first]:
            done = results[name]
            if len(done) < FEWEST or sum(lap.seconds for lap in done) < budget:
                time.sleep(settle)
                done.append(runners[name]())
    return results


def summarise(laps: Sequence[Lap], baseline: Sequence[Lap] | None, texts: int, tokens: float) -> dict:
    """Best, low quantiles, median and throughput by the median.

    `ratio` is this median over the baseline's: above 1, the baseline is faster. Low quantiles are what a lap takes when
    nothing disturbs it; `ratio_of_p25` compares those.
    """
    seconds = [lap.seconds for lap in laps]
    low, quarter, median = (float(np.quantile(seconds, share)) for share in (0.1, 0.25, 0.5))
    seen = [lap.disturbance for lap in laps if lap.disturbance is not None]
    base = [lap.seconds for lap in baseline or ()]

    def over(share: float) -> float | None:
        return round(float(np.quantile(seconds, share) / np.quantile(base, share)), 3) if base else None

    return {
        "laps_s": [digits(value) for value in seconds],
        "median_s": digits(median),
        "p25_s": digits(quarter),
        "p10_s": digits(low),
        "best_s": digits(min(seconds)),
        "texts_per_s": round(texts / median, 1),
        "tokens_per_s": round(tokens / median, 1),
        "ratio": over(0.5),
        "ratio_of_p25": over(0.25),
        "ratio_of_best": over(0.0),
        "disturbance": round(statistics.median(seen), 3) if seen else None,
    }


def digits(seconds: float) -> float:
    """Round a time to four digits."""
    return float(f"{seconds:.4g}")


class Worker:
    """A contestant in a process of its own, which times itself: the pipe is not part of a lap."""

    def __init__(self, name: str, threads: int):
        self.name = name
        (WORK / "logs").mkdir(parents=True, exist_ok=True)
        with (WORK / "logs" / f"{name}.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(BENCH), "worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=WORK,
                env=process_environment(threads),
            )

    def ask(self, task: str, *arguments):
        """Send one request and return its answer; Absent and Failed are raised here."""
        try:
            pickle.dump((task, arguments), self.process.stdin)
            self.process.stdin.flush()
            outcome, value = pickle.load(self.process.stdout)
        except (EOFError, OSError) as error:
            raise Failed(f"the process ended, see bench/.work/logs/{self.name}.log") from error
        if outcome == "done":
            return value
        raise Absent(value) if outcome == "absent" else Failed(value)

    def lap(self, workload: str) -> Lap:
        """One timed run of a workload."""
        busy, own, start = machine.busy_seconds(), machine.process_seconds(self.process.pid), time.perf_counter()
        seconds = self.ask("lap", workload)
        wall = time.perf_counter() - start
        return Lap(seconds, machine.disturbance(busy, own, machine.process_seconds(self.process.pid), wall))

    def close(self) -> None:
        """Close its pipe, which ends it."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:  # it has ended already
            self.process.wait(timeout=30)
        self.process.wait(timeout=30)
        self.process.stdout.close()


def to_json(content: dict) -> str:
    """Indented JSON in which a list of numbers is one line."""
    text = json.dumps(content, indent=2)
    return re.sub(r"\[[^\[\]{}\"]*\]", lambda found: " ".join(found[0].split()), text) + "\n"


def place(benchmark: str, out: Path) -> Path:
    """The file of this machine's results: those of another generation stay where they are."""
    return out / "results" / machine.describe()["generation"]["folder"] / f"{benchmark}.json"


def earlier(benchmark: str, out: Path, threads: int) -> dict:
    """Earlier results of this machine with the same number of threads; empty if there are none."""
    path = place(benchmark, out)
    found = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found if found.get("settings", {}).get("threads") == threads else {}


def record(benchmark: str, settings: dict, found: dict, out: Path) -> None:
    """Write out/results/<generation>/<benchmark>.json: when, where, how, and what was found."""
    content = {
        "benchmark": benchmark,
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": machine.commit(),
        "machine": machine.describe(),
        "settings": settings,
        **found,
    }
    path = place(benchmark, out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(content), encoding="utf-8")
    print(f"wrote results/{path.parent.name}/{path.name}", flush=True)
