"""Which files a release consists of, what is missing, and what pip would choose from them on other machines."""

import platform
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from archives import SUMS, wrong_sums
from release_tools import QUIET, try_to

MARKS = {  # platforms, and how the names of their wheels end
    "linux-x86_64": "manylinux2014_x86_64",
    "linux-aarch64": "manylinux2014_aarch64",
    "macos-arm64": "macosx_11_0_arm64",
    "windows-x86_64": "win_amd64",
}
PURE = "none-any"
TARGETS = {  # pip's names of machines that are not at hand, and whose wheel it has to choose there
    "manylinux2014_x86_64": "linux-x86_64",  # every later glibc takes these; pip does not know that of --platform
    "musllinux_1_2_x86_64": "linux-x86_64",
    "manylinux2014_aarch64": "linux-aarch64",
    "musllinux_1_2_aarch64": "linux-aarch64",
    "macosx_14_0_arm64": "macos-arm64",
    "macosx_14_0_x86_64": "",
    "win_amd64": "windows-x86_64",
    "win_arm64": "",
}


def here() -> str:
    """The platform of this machine."""
    system = {"linux": "linux", "darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    return f"{system}-{platform.machine().replace('AMD64', 'x86_64')}"


def artefacts(folder: Path) -> dict[str, list[Path]]:
    """The sdist, the pure wheel and those of platforms; each has to be there once."""
    wheels = sorted(folder.glob("*.whl"))
    found = {"sdist": sorted(folder.glob("*.tar.gz")), "pure": [w for w in wheels if PURE in w.name]}
    return found | {name: [w for w in wheels if mark in w.name] for name, mark in MARKS.items()}


def wrong_files(folder: Path, platforms: Iterable[str], with_sums: bool = True) -> list[str]:
    """What is wrong with the files of a release, before any is used: missing, too many, or not as their hashes say."""
    wrong, found = [], artefacts(folder)
    for name in ("sdist", "pure", *platforms):
        if len(found[name]) != 1:
            there = ", ".join(path.name for path in found[name]) or "missing"
            wrong.append(f"{folder}: one {name} has to be there: {there}")
    if with_sums and not (folder / SUMS).is_file():
        return [*wrong, f"{folder} has no {SUMS}: nothing to compare the files with"]
    return wrong + [f"{name}: not as {SUMS} says" for name in (wrong_sums(folder) if with_sums else [])]


def wrong_choices(folder: Path, platforms: Iterable[str]) -> list[str]:
    """Where pip would choose another wheel than that of the platform, or than the pure one where there is none."""
    wrong = []
    for target, name in TARGETS.items():
        wanted = MARKS[name] if name in platforms else PURE
        with TemporaryDirectory() as place:
            words = [sys.executable, "-m", "pip", "download", *QUIET[:2], "--no-index", "--no-deps", "-d", place]
            words += ["--find-links", folder, "--only-binary=:all:", "--platform", target, "minembed"]
            try:
                try_to(*words)
                (chosen,) = (path.name for path in Path(place).iterdir())
                wrong += [f"for {target} pip chooses {chosen}"] if wanted not in chosen else []
            except AssertionError as error:
                wrong.append(f"for {target} pip chooses nothing: {error}")
    return wrong
