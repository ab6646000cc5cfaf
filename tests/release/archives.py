"""Archives: an sdist whose bytes depend on its files alone, what two folders differ in, and lists of hashes."""

import gzip
import hashlib
import io
import tarfile
from pathlib import Path

SUMS = "SHA256SUMS"


def normalise_sdist(path: Path, epoch: int) -> None:
    """Write an sdist anew: entries by name, of one time, of nobody, so that two builds are the same bytes."""
    with tarfile.open(path) as archive:
        members = sorted(archive.getmembers(), key=lambda member: member.name)
        contents = [archive.extractfile(member).read() if member.isfile() else None for member in members]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for member, content in zip(members, contents, strict=True):
            clean = tarfile.TarInfo(member.name)
            clean.type, clean.mtime, clean.mode = member.type, epoch, 0o755 if member.isdir() else 0o644
            clean.size = len(content or b"")
            archive.addfile(clean, io.BytesIO(content) if content is not None else None)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as file:
        file.write(packed.getvalue())


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def differences(first: Path, second: Path) -> list[str]:
    """The files of the second folder that the first lacks or has other bytes of."""
    names = sorted(path.name for path in second.iterdir() if path.is_file())
    return [n for n in names if not (first / n).is_file() or digest(first / n) != digest(second / n)]


def write_sums(folder: Path) -> None:
    """SHA256SUMS of all other files, as `sha256sum -c` reads it."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name != SUMS)
    lines = [f"{digest(path)}  {path.name}\n" for path in files]
    (folder / SUMS).write_text("".join(lines), encoding="utf-8")


def wrong_sums(folder: Path) -> list[str]:
    """What is not as SHA256SUMS says: files that changed, are missing, or are not in it."""
    lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: sum_ for sum_, _, name in (line.partition("  ") for line in lines)}
    there = {path.name for path in folder.iterdir() if path.is_file()} - {SUMS}
    changed = {name for name in there & set(listed) if digest(folder / name) != listed[name]}
    return sorted(changed | (there ^ set(listed)))
