"""The folder of a job: job.json, which is there first, the shards, and manifest.json, which is there when all are."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO

from minembed.data.texts import LOG
from minembed.errors import ConfigError, InputError
from minembed.jobs.plan import MANIFEST, PLAN, Plan, read_plan
from minembed.jobs.shards import is_whole, name_of, read_facts
from minembed.runtime.checksums import hash_file
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import remove, replacing
from minembed.runtime.holding import LOCK, held
from minembed.runtime.json_files import read_json

REMEDY = "the shards that are there are whole: free some space, or make the folder writable, and say the same again"


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Hold the folder of a job, and remove what a killed process left half written.

    Raises InputError where another process holds it, or it has files that no job made.
    """
    busy = InputError(f"another process works on the job in {folder}: wait until it ends, or name another folder")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; a job writes into a folder")
    if folder.is_dir():
        check_own(folder)
    with held(folder, busy, REMEDY):
        remove_unfinished(folder)
        yield


def remove_unfinished(folder: Path) -> None:
    """Remove what a killed process left half written.

    >>> remove_unfinished(Path("no such folder"))
    """
    for path in folder.glob(".minembed-*.tmp"):
        remove(path)


def check_own(folder: Path) -> None:
    """Raise InputError where a folder has files, and no job."""
    others = [path.name for path in folder.iterdir() if path.name != LOCK and not path.name.startswith(".minembed-")]
    if others and PLAN not in others:
        raise InputError(
            f"{folder} has files that no job made ({sorted(others)[0]}): name a new folder or an empty one"
        )


def begun_plan(folder: Path) -> Plan | None:
    """The plan of the job in a folder; None where there is none.

    >>> begun_plan(Path("no such folder"))
    """
    path = folder / PLAN
    return read_plan(path) if path.exists() else None


def begin(folder: Path, plan: Plan) -> None:
    """Note the plan of a new job."""
    with writing(folder, PLAN) as file:
        file.write(plan.to_json())


@contextmanager
def writing(folder: Path, name: str) -> Iterator[BinaryIO]:
    """Write a file of a job: it appears whole, or not at all.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with writing(Path(folder), "a") as file:
    ...         _ = file.write(b"whole")
    ...     (Path(folder) / "a").read_bytes()
    b'whole'
    """
    with naming(f"cannot write {folder / name}", REMEDY), replacing(folder / name) as file:
        yield file


def missing_shards(folder: Path, plan: Plan, told: Callable[[str], None]) -> list[int]:
    """The numbers of the shards that are not there, or not whole, which is told."""
    found = list[int]()
    for number in range(len(plan.shards)):
        path = folder / name_of(number, plan.form)
        if is_whole(path, plan, number):
            continue
        if path.exists():
            told(f"{path} is damaged or of another job: it is made anew")
        found.append(number)
    return found


def finish(folder: Path, plan: Plan) -> None:
    """Note that all shards are there: their sizes and checksums."""
    shards = list[dict[str, Any]]()
    for number, shard in enumerate(plan.shards):
        path = folder / name_of(number, plan.form)
        said, _ = read_facts(path, plan.form)
        with path.open("rb") as file:
            digest = hash_file(file)
        about: Mapping[str, Any] = {name: said[name] for name in ("backend", "cpu", "minembed")}
        size = path.stat().st_size
        shards.append({"name": path.name, "rows": shard.rows, "bytes": size, "sha256": digest, **about})
    kinds = sorted({f"{shard['cpu']} by {shard['backend']}" for shard in shards})
    if len(kinds) > 1:
        LOG.info(f"{folder}: computed on unlike processors, whose vectors differ by rounding: {'; '.join(kinds)}")
    body = {"job": plan.identity(), **asdict(plan), "rows": plan.rows, "texts": plan.texts, "shards": shards}
    with writing(folder, MANIFEST) as file:
        file.write(json.dumps(body, indent=1, ensure_ascii=False).encode() + b"\n")


def is_finished(folder: Path, plan: Plan) -> bool:
    """Whether the manifest of a job is there.

    >>> is_finished(Path("none"), Plan({}, {}, {}, "parquet", (), ()))
    False
    """
    try:
        return read_json(folder / MANIFEST).get("job") == plan.identity()
    except ConfigError:
        return False


@dataclass(frozen=True, slots=True)
class Report:
    """What a job has done."""

    folder: Path
    rows: int
    texts: int
    shards: int
    made: int  # shards that were made by this call
    reused: int = 0  # vectors in these that an older job had made
