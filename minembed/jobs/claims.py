"""Locks on folders of an object store, where no system releases a lock when a process ends.

A working process puts an object there, its claim, and renews it every ten seconds.  To begin, it puts its claim and
then looks for others: of two that begin together, at least one sees the other, and gives up.  A claim whose process on
this machine has ended, or that is not renewed for a minute, was left by a killed process.  If two worked at the same
time anyway, because one was suspended, both would write the same shards of the same plan.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from minembed.data.texts import LOG
from minembed.errors import InputError, MinembedError, SourceError
from minembed.runtime.store import StorePath

PREFIX = ".minembed-claim-"
BEAT = 10.0  # seconds between renewals of a claim
PATIENCE = 60.0  # seconds without renewal after which its process is taken for dead
LOOK = 2.0
_LOST = set[str]()  # folders whose claim another process removed
_LOCK = threading.Lock()  # for the state of a claim's thread


@contextmanager
def claimed(folder: StorePath, busy: MinembedError) -> Iterator[None]:
    """Keep other processes out of a folder within the block; raises `busy` if one works there.

    >>> with claimed(StorePath.parse("s3://shop/vectors"), MinembedError("busy")):  # doctest: +SKIP
    ...     pass
    """
    own = folder / f"{PREFIX}{os.urandom(8).hex()}.json"
    body = json.dumps(_myself()).encode()
    own.put(body)
    _LOST.discard(str(folder))
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(own, body, ended), name="minembed-claim", daemon=True)
    try:
        beating.start()
        _wait_for_others(folder, own, busy)
        yield
    finally:
        with _LOCK:
            ended.set()
        with suppress(SourceError):  # otherwise it expires by itself
            own.unlink()
        _LOST.discard(str(folder))


def check_claim(folder: StorePath) -> None:
    """Raise InputError if another process has taken over a folder in which this process works.

    >>> check_claim(StorePath.parse("s3://shop/vectors"))
    """
    if str(folder) in _LOST:
        raise InputError(
            f"this process did not move for a minute, and another went on with the job in {folder}: let that end"
        )


def is_claimed(folder: StorePath) -> bool:
    """Whether a process seems to work in a folder; if it is on another machine, judged by the clock of this one.

    >>> is_claimed(StorePath.parse("s3://shop/vectors"))  # doctest: +SKIP
    False
    """
    return any(_is_alive(path, stat.st_mtime) for path, stat in _claims(folder).items())


def _is_alive(path: StorePath, moved: float) -> bool:
    known = _is_running(_said(path))
    return time.time() - moved < PATIENCE if known is None else known


def _claims(folder: StorePath) -> dict[StorePath, Any]:
    return {path: stat for path, stat in folder.listed(below=False).items() if path.name.startswith(PREFIX)}


def _wait_for_others(folder: StorePath, own: StorePath, busy: MinembedError) -> None:
    """Return when there is no other claim; raises `busy` if another is renewed."""
    began, first, told = time.monotonic(), dict[StorePath, int](), False
    while True:
        found = _claims(folder)
        if own not in found:
            raise busy
        others = {path: stat.st_mtime_ns for path, stat in found.items() if path != own}
        for path, moved in list(others.items()):
            running = _is_running(_said(path))
            if running or first.setdefault(path, moved) != moved:
                raise busy
            if running is False or time.monotonic() - began > PATIENCE:
                path.unlink()
                del others[path]
        if not others:
            return
        if not told:
            LOG.info(f"{folder}: a process on another machine worked here; waiting up to a minute for a sign of it")
            told = True
        time.sleep(LOOK)


def _beat(own: StorePath, body: bytes, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        with suppress(SourceError):  # the store may be unreachable for a while
            if not own.exists():
                with _LOCK:
                    if not ended.is_set():  # otherwise this process removed it
                        _LOST.add(str(own.parent))
                return
            own.put(body)
            if ended.is_set():  # it was removed meanwhile
                own.unlink()


def _said(path: StorePath) -> dict[str, Any]:
    """The facts in a claim about its process; empty if it is missing or damaged."""
    try:
        with path.open() as file:
            found = json.loads(file.read())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_running(said: dict[str, Any]) -> bool | None:
    """Whether a process is running; None if that is unknown on this machine."""
    if not said.get("machine") or said["machine"] != _machine():
        return None
    return _start_of(said.get("pid")) == said.get("started")


def _myself() -> dict[str, Any]:
    return {"node": platform.node(), "machine": _machine(), "pid": os.getpid(), "started": _start_of(os.getpid())}


@cache
def _machine() -> str:
    """An identifier of this boot of this machine and of the process namespace; "" if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _start_of(pid: Any) -> str | None:
    """The start time of a process, in the system's ticks; None if there is no such process."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if state[0] == "Z" else state[19]
