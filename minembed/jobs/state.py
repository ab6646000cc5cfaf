"""The progress of a job, read only from its folder, also while another process works on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path  # noqa: F401, for the examples

from minembed.errors import InputError
from minembed.jobs.folder import begun_plan, is_finished, is_worked_on, whole_shards
from minembed.jobs.plan import Plan
from minembed.jobs.shards import name_of
from minembed.runtime.places import as_place
from minembed.runtime.store import Place

RECENT = 20  # shards for estimating the rate


@dataclass(frozen=True, slots=True)
class State:
    """The progress of a job."""

    folder: Place
    model: str
    shards: int
    shards_done: int
    rows: int
    rows_done: int
    finished: bool  # manifest.json is there
    working: bool  # a process on this machine works on it
    rows_a_second: float | None = None  # from the times of the last shards; None with fewer than two
    seconds_left: float | None = None

    def lines(self) -> list[str]:
        """The progress in words.

        >>> State(Path("out"), "all-MiniLM-L6-v2", 4, 1, 4000, 1000, False, True, 50.0, 3600.0).lines()
        ['out: 1,000 of 4,000 rows (25.0 %), 1 of 4 shards, all-MiniLM-L6-v2', '50 rows a second, 1:00:00 left']
        """
        percent = 100 * self.rows_done / self.rows
        whole = f"{self.folder}: {self.rows_done:,} of {self.rows:,} rows ({percent:.1f} %), "
        first = whole + f"{self.shards_done:,} of {self.shards:,} shards, {self.model}"
        if self.finished:
            return [first, "finished"]
        if not self.working:
            return [first, "stopped: the command that began it continues it"]
        if self.rows_a_second is None or self.seconds_left is None:
            return [first, "at work; its rate is known when two shards are there"]
        left = round(self.seconds_left)
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        return [first, f"{self.rows_a_second:,.0f} rows a second, {clock} left"]


def status(folder: str | Place) -> State:
    """The progress of the job in a folder, or at a URL.

    Raises InputError if there is none, ConfigError if its plan is damaged.

    >>> status("no such folder")
    Traceback (most recent call last):
    minembed.errors.InputError: no such folder holds no job: minembed embed INPUT -o no such folder/ begins one
    """
    folder = as_place(folder)
    plan = begun_plan(folder)
    if plan is None:
        raise InputError(f"{folder} holds no job: minembed embed INPUT -o {folder}/ begins one")
    done, _ = whole_shards(folder, plan)
    rows = sum(plan.shards[number].rows for number in done)
    working = is_worked_on(folder)
    rate, left = _pace(folder, plan, done) if working else (None, None)
    finished = len(done) == len(plan.shards) and is_finished(folder, plan)
    return State(folder, plan.model_name, len(plan.shards), len(done), plan.rows, rows, finished, working, rate, left)


def _pace(folder: Place, plan: Plan, done: Sequence[int]) -> tuple[float | None, float | None]:
    """Rows per second, and the seconds for the rest, estimated by the characters of its texts."""
    times = sorted(((folder / name_of(number, plan.form)).stat().st_mtime, number) for number in done)[-RECENT:]
    if len(times) < 2 or times[-1][0] <= times[0][0]:
        return None, None
    seconds = times[-1][0] - times[0][0]
    made = [plan.shards[number] for _, number in times[1:]]
    rest = sum(shard.work for shard in plan.shards) - sum(plan.shards[number].work for number in done)
    return sum(shard.rows for shard in made) / seconds, rest * seconds / max(1, sum(shard.work for shard in made))
