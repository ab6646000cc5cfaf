"""The plan of a job: everything that its shards depend on, stored before the first, and compared when it continues."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar

from minembed.errors import ConfigError, InputError
from minembed.runtime.checksums import crc32_of_json, hash_file
from minembed.runtime.json_files import read_json
from minembed.runtime.store import Place

PLAN, MANIFEST = "job.json", "manifest.json"
FORMAT, VERSION = "minembed job", 1
ShardForm = Literal["parquet", "safetensors"]
Engine = Literal["local", "ray"]
REMEDY = "name another folder, or remove this one to begin again"


@dataclass(frozen=True, slots=True)
class InputFacts:
    """An input file: its bytes, and its numbers of rows and texts."""

    name: str
    bytes: int
    modified: int  # nanoseconds, from the file system; for an object in a store, a checksum of its ETag
    sha256: str
    rows: int
    texts: int

    def is_same(self, path: Place) -> bool:
        """Whether a file is unchanged since the job began: by its size and time, or else by its bytes."""
        size = path.stat().st_size
        if size == self.bytes and modified_of(path) == self.modified:
            return True
        if size != self.bytes:
            return False
        with path.open("rb") as file:
            return hash_file(file) == self.sha256


def modified_of(path: Place) -> int:
    """A number that changes when a file is written.

    >>> modified_of(Path()) > 0
    True
    """
    return path.stat().st_mtime_ns if isinstance(path, Path) else path.stamp()


@dataclass(frozen=True, slots=True)
class Shard:
    """Rows of the inputs that become one file: their number, how many have a text, and the work."""

    rows: int
    texts: int
    work: int  # characters, counted up to what a model reads of a text


Facts = TypeVar("Facts", InputFacts, Shard)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that determines the output of a job."""

    model: Mapping[str, Any]  # the checksum of its files, its compute type, its maximum length
    settings: Mapping[str, Any]  # of encode
    reading: Mapping[str, Any]  # how the inputs are read, and which columns are kept
    form: ShardForm
    inputs: tuple[InputFacts, ...]
    shards: tuple[Shard, ...]
    kinds: Mapping[str, Any] | None = None  # the types of JSON's values
    search: Mapping[str, Any] = field(default_factory=dict)  # facts for an index of the vectors
    model_name: str = ""
    minembed: str = ""  # the version that wrote it
    format: str = FORMAT
    version: int = VERSION

    @property
    def rows(self) -> int:
        """The number of rows of the inputs."""
        return sum(shard.rows for shard in self.shards)

    @property
    def texts(self) -> int:
        """The number of rows with a text."""
        return sum(shard.texts for shard in self.shards)

    def starts(self) -> list[int]:
        """The first row of each shard, from 0.

        >>> Plan({}, {}, {}, "parquet", (), (Shard(3, 3, 9), Shard(2, 1, 4))).starts()
        [0, 3]
        """
        found, start = [], 0
        for shard in self.shards:
            found.append(start)
            start += shard.rows
        return found

    def identity(self) -> str:
        """A hash of everything that the shards depend on."""
        import hashlib

        body = asdict(self)
        del body["minembed"], body["model_name"], body["search"]
        body["inputs"] = [[one.sha256, one.rows] for one in self.inputs]  # a copy elsewhere is the same
        return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> bytes:
        """The plan as the contents of a file, including its checksum.

        >>> Plan({}, {}, {}, "parquet", (), ()).to_json()[:28]
        b'{\\n "model": {},\\n "settings":'
        """
        body: dict[str, Any] = json.loads(json.dumps(asdict(self)))  # tuples become lists
        return json.dumps(body | {"crc32": crc32_of_json(body)}, indent=1).encode() + b"\n"


def read_plan(path: Place) -> Plan:
    """Read a plan; raises ConfigError, which names the file, if it is damaged or of another version.

    >>> read_plan(Path("none.json"))
    Traceback (most recent call last):
    minembed.errors.ConfigError: none.json is missing: . holds no job
    """
    if not path.exists():
        raise ConfigError(f"{path} is missing: {path.parent} holds no job")
    try:
        body = read_json(path)
        is_whole = body.pop("crc32", None) == crc32_of_json(body)
    except (ConfigError, ValueError) as error:  # values that JSON does not have, such as NaN, have no checksum
        raise ConfigError(f"{path} is damaged: {REMEDY}") from error
    if body.get("format") != FORMAT or body.get("version") != VERSION:
        raise ConfigError(f"{path} is not of {FORMAT}, version {VERSION}: {REMEDY}")
    if not is_whole:
        raise ConfigError(f"{path} was changed after it was written: {REMEDY}")
    try:
        inputs = tuple(_of(InputFacts, one) for one in body.pop("inputs"))
        return Plan(inputs=inputs, shards=tuple(_of(Shard, one) for one in body.pop("shards")), **body)
    except (TypeError, KeyError, ValueError) as error:
        raise ConfigError(f"{path} says what no job wrote ({error}): {REMEDY}") from error


def _of(kind: type[Facts], said: Mapping[str, Any]) -> Facts:
    for each in fields(kind):
        value = said[each.name]
        if type(value) is not each.type or (each.type is int and value < 0):
            raise ValueError(f"{each.name} is {_shown(value)}")
    return kind(**said)


def check_same(plan: Plan, facts: Mapping[str, Mapping[str, Any]], files: Sequence[Place], folder: Place) -> None:
    """Raise InputError, which names a changed fact and both its values, unless a job continues as it began.

    `facts` are the model, the settings and the reading that are requested now.
    """
    for group, asked in facts.items():
        difference = first_difference(getattr(plan, group), asked)
        if difference is not None:
            raise InputError(f"{folder} holds a job with another {group_name(group)} {difference}: {REMEDY}")
    if len(files) != len(plan.inputs):
        names = {Path(one.name).name for one in plan.inputs}
        more = next((str(path) for path in files if path.name not in names), None)
        told = f"{more} is new" if more and len(files) > len(plan.inputs) else f"{len(files)} now"
        raise InputError(f"{folder} holds a job of {len(plan.inputs)} input files ({told}): {REMEDY}")
    for number, (begun_input, path) in enumerate(zip(plan.inputs, files, strict=True), 1):
        if not begun_input.is_same(path):
            before = Path(begun_input.name).name
            changed = "changed since the job began" if before == path.name else f"is input {number}, which was {before}"
            raise InputError(f"{path} {changed}: {REMEDY}")


def first_difference(then: Mapping[str, Any], now: Mapping[str, Any]) -> str | None:
    """The first fact that has changed, with both values; None if all are the same.

    >>> first_difference({"a": 1, "b": 2}, {"a": 1, "b": None})
    '(b: 2 then, null now)'
    """
    for name in dict.fromkeys([*then, *now]):
        if then.get(name) != now.get(name):
            return f"({name}: {_shown(then.get(name))} then, {_shown(now.get(name))} now)"
    return None


def group_name(group: str) -> str:
    """The name of a part of a plan in messages.

    >>> group_name("reading")
    'way of reading'
    """
    return {"settings": "setting", "reading": "way of reading"}.get(group, group)


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:37] + "..."
