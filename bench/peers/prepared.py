"""Exported, converted and quantised models: made once, kept in bench/.work with a record of their sources."""

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path


def ensure(target: Path, made_of: dict, libraries: tuple[str, ...], make: Callable[[], dict]) -> dict:
    """The record beside `target`; calls `make`, which writes the target, unless a record has the same sources."""
    made_of = made_of | {name: version(name) for name in libraries}
    record = target.with_name(target.name + ".json")
    if target.exists() and record.exists():
        known = json.loads(record.read_text(encoding="utf-8"))
        if all(known.get(key) == value for key, value in made_of.items()):
            return known
    target.parent.mkdir(parents=True, exist_ok=True)
    known = made_of | make()
    record.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    return known
