"""What is looked for in a wheel before it is handed out: its tags, its size, and its libraries."""

import json
import subprocess
import sys
import zipfile

import pytest
from places import ROOT

pytest.importorskip("numba")  # which emits what a wheel carries

from minembed.errors import BackendError
from minembed.kernels.ahead import wheels
from minembed.kernels.ahead.building import variants_of
from minembed.kernels.ahead.platforms import PLATFORMS

LINUX = "minembed-1.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.musllinux_1_2_x86_64.whl"
FOLDER = "minembed/kernels/native/"


def write(path, libraries, platform="linux-x86_64", files=None, others=(), suffix=".so"):
    """A wheel whose manifest names libraries, and that holds `files`."""
    about = {"platform": platform, "libraries": {name: {"file": f"kernels-{name}{suffix}"} for name in libraries}}
    files = [f"kernels-{name}{suffix}" for name in libraries] if files is None else files
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(FOLDER + "manifest.json", json.dumps(about))
        for name in (
            *(FOLDER + file for file in files),
            "minembed/__init__.py",
            "minembed-1.0.dist-info/RECORD",
            *others,
        ):
            archive.writestr(name, "")
    return path


@pytest.fixture
def libraries():
    return [*variants_of(PLATFORMS["linux-x86_64"]), "cpu"]


@pytest.mark.parametrize("platform", list(wheels.TAGS))
def test_a_sound_wheel(tmp_path, platform):
    """One for each platform, and no other platform's; what is inspected in libraries, make wheels does."""
    name = LINUX.replace(LINUX.split("-none-")[1], f"{wheels.TAGS[platform]}.whl")
    suffix = PLATFORMS[platform].suffix
    libraries = variants_of(PLATFORMS[platform])
    wheel = write(tmp_path / name, libraries, platform, suffix=suffix)
    wheels.check_wheel(wheel, platform)
    for other in {*wheels.TAGS, wheels.PURE} - {platform}:
        with pytest.raises(BackendError, match="should be py3-none of"):
            wheels.check_wheel(wheel, other)


def test_a_sound_wheel_without_kernels(tmp_path):
    pure = tmp_path / "minembed-1.0-py3-none-any.whl"
    with zipfile.ZipFile(pure, "w") as archive:
        archive.writestr("minembed/__init__.py", "")
        archive.writestr("minembed-1.0.dist-info/RECORD", "")
    wheels.check_wheel(pure, wheels.PURE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"libraries": ["znver4", "cpu"]}, "lacks .*'avx2'"),
        ({"platform": "linux-aarch64"}, "is for linux-aarch64"),
        ({"files": ["kernels-znver4.so"]}, "should not, or lacks them"),
        ({"others": ["minembed/extra.so"]}, r"holds \['minembed/extra.so'\]"),
        ({"others": ["kernels/__init__.py"]}, "would install more than minembed: .*'kernels'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named(tmp_path, libraries, change, message):
    with pytest.raises(BackendError, match=message):
        wheels.check_wheel(write(tmp_path / LINUX, **{"libraries": libraries} | change), "linux-x86_64")


def test_tags_and_size(tmp_path, libraries, monkeypatch):
    other = write(tmp_path / LINUX.replace("musllinux_1_2_x86_64", "linux_x86_64"), libraries)
    with pytest.raises(BackendError, match="should be py3-none of manylinux2014_x86_64"):
        wheels.check_wheel(other, "linux-x86_64")
    monkeypatch.setattr(wheels, "LARGEST", 100)
    with pytest.raises(BackendError, match="more than 100"):
        wheels.check_wheel(write(tmp_path / LINUX, libraries), "linux-x86_64")


def test_a_copy_holds_what_git_tracks_and_nothing_else(tmp_path):
    for command in ("init -q", "add kept.txt gone.txt"):
        for name in ("kept.txt", "gone.txt", "built.so"):
            (tmp_path / name).write_text(name)
        subprocess.run(["git", "-C", tmp_path, *command.split()], check=True)
    (tmp_path / "gone.txt").unlink()
    with wheels.clean_copy(tmp_path) as copy:
        assert [path.name for path in copy.iterdir()] == ["kept.txt"]
    assert not copy.exists()


@pytest.mark.slow
def test_pip_wheel_in_a_checkout(tmp_path):
    """With libraries it is a wheel of this platform; without, of any, though build/ still has those of before."""
    found = {}
    with wheels.clean_copy(ROOT) as copy:
        native = copy / "kernels" / "native"
        native.mkdir()
        for number, names in enumerate((["manifest.json", "kernels-avx2.so"], [])):
            for name in names:
                (native / name).write_text("{}")
            out = tmp_path / f"{number}"
            subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", out, copy], check=True)
            (made,) = out.iterdir()
            with zipfile.ZipFile(made) as archive:
                held = [name.removeprefix(FOLDER) for name in archive.namelist() if name.startswith(FOLDER)]
            found[made.stem.split("-", 2)[2]] = sorted(held)
            for path in native.iterdir():
                path.unlink()
        assert (copy / "build").is_dir()
    (here,) = {*found} - {"py3-none-any"}
    assert here.startswith("py3-none-") and found == {here: ["kernels-avx2.so", "manifest.json"], "py3-none-any": []}
