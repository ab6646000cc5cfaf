"""Wheels: one per platform with its compiled kernels, and one for all others, which computes with NumPy or Numba.

    python -m minembed.kernels.ahead.wheels [--platform NAME ...] [-o FOLDER] [--keep FOLDER] [--no-isolation]

Each is built from a copy of the files that git tracks, since a stale build folder would be packed silently, and each is
checked afterwards.  With SOURCE_DATE_EPOCH set, two builds by the same tools give the same bytes: `make release`.
Source: packaging.python.org, binary distribution format; PEP 600 (manylinux), 656 (musllinux).
"""

import argparse
import json
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from minembed.errors import BackendError
from minembed.kernels.ahead.building import build, renewed, variants_of
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.sources import KERNELS
from minembed.kernels.libraries import MANIFEST

TAGS = {  # for installers; a library that only needs memset runs with any C library
    "linux-x86_64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_2_x86_64",
    "linux-aarch64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_2_aarch64",
    "macos-arm64": "macosx_11_0_arm64",
    "windows-x86_64": "win_amd64",
}
PURE = "any"
LARGEST = 3_000_000  # bytes of a wheel; half of it is Python, the rest libraries of 120 to 220 kB each
LIBRARIES = (".so", ".dylib", ".dll", ".pyd")


@contextmanager
def clean_copy(root: Path) -> Iterator[Path]:
    """A folder with the files that git tracks, as they are now."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, check=True).stdout
    with TemporaryDirectory(prefix="minembed-wheel-") as place:
        for name in filter(None, listed.decode().split("\0")):
            if (root / name).is_file():
                (Path(place) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(root / name, Path(place) / name)
                (Path(place) / name).chmod(0o644)  # independent of the umask of the clone
        yield Path(place)


def make_wheel(platform: str, out: Path, root: Path, isolated: bool = True, kept: Path | None = None) -> Path:
    """Build the wheel of a platform, or the pure one; returns its path.

    If isolated, the newest setuptools is fetched for it; otherwise that of this environment is used.  Libraries of an
    earlier call are taken from the folder `kept` if they are still up to date; new ones are stored there.

    Raises BackendError if a library cannot be made, or the contents of the wheel are wrong.
    """
    with clean_copy(root) as source, TemporaryDirectory() as made:
        if platform != PURE:
            _libraries(platform, source / "kernels" / "native", kept)
        command = [sys.executable, "-m", "build", "--wheel", "--outdir", made, str(source)]
        command += [] if isolated else ["--no-isolation"]
        _run(command + ([] if platform == PURE else ["-C--build-option=--plat-name=linux_x86_64"]))
        if platform != PURE:
            _run(
                [sys.executable, "-m", "wheel", "tags", "--remove", f"--platform-tag={TAGS[platform]}", *_wheels(made)]
            )
        (wheel,) = _wheels(made)
        check_wheel(Path(wheel), platform)
        out.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy2(wheel, out))


def _libraries(platform: str, native: Path, kept: Path | None) -> None:
    """Put the libraries of a platform into a folder: stored ones, or new ones, which are then stored."""
    earlier = kept / platform if kept else None
    if earlier and renewed(PLATFORMS[platform], earlier):
        shutil.copytree(earlier, native)
        return
    build(PLATFORMS[platform], variants_of(PLATFORMS[platform]), native)
    if earlier:
        shutil.rmtree(earlier, ignore_errors=True)
        shutil.copytree(native, earlier)


def _wheels(folder: str) -> list[str]:
    return [str(path) for path in Path(folder).glob("*.whl")]


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise BackendError(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout).strip()[-2000:]}")


def check_wheel(wheel: Path, platform: str) -> None:
    """Check a wheel: its size, its tags, and that it contains exactly the libraries of its manifest.

    Raises BackendError that says what is wrong.
    """
    size = wheel.stat().st_size
    if size > LARGEST:
        raise BackendError(f"{wheel.name} has {size:,} bytes, more than {LARGEST:,}")
    wanted, found_tags = set(TAGS.get(platform, PURE).split(".")), set(wheel.stem.split("-")[-1].split("."))
    if found_tags != wanted or "-py3-none-" not in wheel.name:
        raise BackendError(f"{wheel.name} should be py3-none of {', '.join(sorted(wanted))}")
    with zipfile.ZipFile(wheel) as archive:
        if damaged := archive.testzip():
            raise BackendError(f"{wheel.name} is damaged, first at {damaged}")
        names = archive.namelist()
        found = {name for name in names if name.endswith(LIBRARIES)}
        folder = "minembed/kernels/native/"
        expected: set[str] = set()
        if platform != PURE:
            about = json.loads(archive.read(folder + MANIFEST))
            listed = about["libraries"]
            missing = set(variants_of(PLATFORMS[platform])) - set(listed)
            if about["platform"] != platform or missing:
                raise BackendError(f"{wheel.name} is for {about['platform']}, and lacks {sorted(missing)}")
            expected = {folder + library["file"] for library in listed.values()}
        if found != expected:
            raise BackendError(f"{wheel.name} holds {sorted(found ^ expected)}, which it should not, or lacks them")
    top = {name.split("/")[0] for name in names} - {"minembed"}
    if len(top) != 1 or not top.pop().endswith(".dist-info"):
        raise BackendError(f"{wheel.name} would install more than minembed: {sorted(top)}")


def main(arguments: list[str] | None = None) -> None:
    """Build wheels, and print their sizes."""
    parser = argparse.ArgumentParser("python -m minembed.kernels.ahead.wheels", description="Build wheels.")
    parser.add_argument("--platform", action="append", choices=[*TAGS, PURE], help="default: all of them")
    parser.add_argument("-o", "--output", type=Path, default=Path("dist"), metavar="FOLDER")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep libraries here for the next time")
    parser.add_argument("--no-isolation", action="store_true", help="build with this environment's setuptools")
    options = parser.parse_args(arguments)
    for platform in options.platform or [*TAGS, PURE]:
        try:
            wheel = make_wheel(platform, options.output, KERNELS.parent, not options.no_isolation, options.keep)
        except BackendError as error:
            parser.exit(1, f"{error}\n")
        print(f"{wheel}: {wheel.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main()
