"""The folder of a job: job.json, which is written first, the shards, and manifest.json, written when all are done."""

import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path  # noqa: F401, for the examples
from tempfile import TemporaryFile
from typing import Any, BinaryIO, cast

from minembed.data.texts import LOG
from minembed.errors import ConfigError, InputError, SourceError
from minembed.jobs.claims import check_claim, claimed, is_claimed
from minembed.jobs.plan import MANIFEST, PLAN, Plan, read_plan
from minembed.jobs.shards import UNREADABLE, is_whole, name_of, read_facts
from minembed.runtime.checksums import hash_file
from minembed.runtime.disk_errors import naming
from minembed.runtime.files import remove, replacing
from minembed.runtime.holding import LOCK, held, is_held
from minembed.runtime.json_files import read_json
from minembed.runtime.places import TEMPORARY, names_in
from minembed.runtime.store import Place, StorePath

LOOKING = 16  # shards of a store that are checked in parallel
REMEDY = "the shards that are there are whole: free some space, or make the folder writable, and say the same again"


@contextmanager
def working_in(folder: Place) -> Iterator[None]:
    """Lock the folder of a job, and remove unfinished files of a killed process.

    Raises InputError if another process has locked it, or it has files that are not of a job.
    """
    busy = InputError(f"another process works on the job in {folder}: wait until it ends, or name another folder")
    if isinstance(folder, StorePath):
        check_own(folder)
        with claimed(folder, busy):
            yield
        return
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file; a job writes into a folder")
    if folder.is_dir():
        check_own(folder)
    with held(folder, busy, REMEDY):
        remove_unfinished(folder)
        yield


def is_worked_on(folder: Place) -> bool:
    """Whether a process is working in the folder of a job.

    >>> is_worked_on(Path("no such folder"))
    False
    """
    return is_claimed(folder) if isinstance(folder, StorePath) else is_held(folder)


def remove_unfinished(folder: Place) -> None:
    """Remove unfinished files of a killed process; in a store there are none.

    >>> remove_unfinished(Path("no such folder"))
    """
    if isinstance(folder, StorePath):
        return
    for path in folder.glob(".minembed-*.tmp"):
        remove(path)


def check_own(folder: Place) -> None:
    """Raise InputError if a folder has files but no job."""
    others = [name for name in names_in(folder) if name != LOCK and not name.startswith(".minembed-")]
    if others and PLAN not in others:
        raise InputError(
            f"{folder} has files that no job made ({sorted(others)[0]}): name a new folder or an empty one"
        )


def begun_plan(folder: Place) -> Plan | None:
    """The plan of the job in a folder; None if there is none.

    >>> begun_plan(Path("no such folder"))
    """
    path = folder / PLAN
    return read_plan(path) if path.exists() else None


def begin(folder: Place, plan: Plan) -> None:
    """Write the plan of a new job."""
    with writing(folder, PLAN) as file:
        file.write(plan.to_json())


@contextmanager
def writing(folder: Place, name: str) -> Iterator[BinaryIO]:
    """Write a file of a job atomically; it is uploaded to a store when it is complete.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     with writing(Path(folder), "a") as file:
    ...         _ = file.write(b"whole")
    ...     (Path(folder) / "a").read_bytes()
    b'whole'
    """
    if isinstance(folder, StorePath):
        with naming(f"cannot prepare {folder / name}", TEMPORARY), TemporaryFile() as file:
            yield cast(BinaryIO, file)
            check_claim(folder)
            (folder / name).put(cast(BinaryIO, file))
        return
    with naming(f"cannot write {folder / name}", REMEDY), replacing(folder / name) as file:
        yield file


def whole_shards(folder: Place, plan: Plan) -> tuple[list[int], list[int]]:
    """The numbers of the complete shards, and of the damaged ones.

    >>> whole_shards(Path("none"), Plan({}, {}, {}, "parquet", (), ()))
    ([], [])
    """
    names = set(names_in(folder))
    there = [number for number in range(len(plan.shards)) if name_of(number, plan.form) in names]

    def is_one(number: int) -> bool:
        return is_whole(folder / name_of(number, plan.form), plan, number)

    if isinstance(folder, StorePath):  # each is a few requests
        with ThreadPoolExecutor(LOOKING) as pool:
            found = list(pool.map(is_one, there))
    else:
        found = list(map(is_one, there))
    whole = [number for number, one in zip(there, found, strict=True) if one]
    return whole, [number for number, one in zip(there, found, strict=True) if not one]


def missing_shards(folder: Place, plan: Plan, told: Callable[[str], None]) -> list[int]:
    """The numbers of the shards that are missing or damaged; `told` gets a message about the damaged ones."""
    whole, damaged = whole_shards(folder, plan)
    for number in damaged:
        told(f"{folder / name_of(number, plan.form)} is damaged or of another job: it is made anew")
    return sorted(set(range(len(plan.shards))) - set(whole))


def finish(folder: Place, plan: Plan) -> None:
    """Write the manifest of all shards: their sizes and checksums."""
    shards = list[dict[str, Any]]()
    for number, shard in enumerate(plan.shards):
        path = folder / name_of(number, plan.form)
        try:
            said, _ = read_facts(path, plan.form)
        except SourceError:
            raise
        except UNREADABLE as error:
            raise SourceError(
                f"{path} was written, and cannot be read ({error}): the same call makes it anew"
            ) from error
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


def is_finished(folder: Place, plan: Plan) -> bool:
    """Whether a job has its manifest.

    >>> is_finished(Path("none"), Plan({}, {}, {}, "parquet", (), ()))
    False
    """
    try:
        return read_json(folder / MANIFEST).get("job") == plan.identity()
    except ConfigError:
        return False


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a job."""

    folder: Place
    rows: int
    texts: int
    shards: int
    made: int  # shards made by this call
    reused: int = 0  # vectors in these from an older job
