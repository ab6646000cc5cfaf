"""Checkpoints on this machine: minembed's own cache, and the Hugging Face cache, which is read without its library."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minembed.errors import SourceError
from minembed.runtime.files import move_into_place
from minembed.runtime.folders import cache_folder, home_folder
from minembed.runtime.json_files import LARGEST_JSON
from minembed.runtime.paths import is_plain_path, read_regular

LARGEST_REFERENCE = 4096  # bytes of a file that names a commit
_TOKENIZERS = (
    "tokenizer.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)


@dataclass(frozen=True, slots=True)
class Found:
    """A checkpoint folder; `doubt` says why another source should be tried before this one is used."""

    folder: Path
    revision: str | None = None
    doubt: str | None = None


def own_folder(repo: str) -> Path:
    """Return the folder for minembed's own copy of "org/name", which need not exist."""
    return cache_folder() / "models" / repo.replace("/", "--")


def find_own(repo: str, revision: str | None) -> Found:
    """Find "org/name" in minembed's own cache, which keeps one copy of a model and no revisions."""
    folder = own_folder(repo)
    if revision is not None:
        raise SourceError("keeps no revisions")
    if not folder.is_dir():
        raise SourceError(f"no {folder}")
    if lack := shortcoming(folder):
        raise SourceError(f"{folder} is not whole: {lack}")
    return Found(folder)


def hub_caches() -> list[Path]:
    """Return the Hugging Face cache, then sentence-transformers' folder with the same layout, if one is set."""
    environ = os.environ
    if named := environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        caches = [named]
    elif home := environ.get("HF_HOME"):
        caches = [str(Path(home) / "hub")]
    else:
        caches = [str(Path(environ.get("XDG_CACHE_HOME") or home_folder() / ".cache") / "huggingface" / "hub")]
    if named := environ.get("SENTENCE_TRANSFORMERS_HOME"):
        caches.append(named)
    return [Path(os.path.expandvars(cache)).expanduser().absolute() for cache in caches]


def find_in_hub_caches(repo: str, revision: str | None) -> Found:
    """Find "org/name" at a branch, tag or commit hash (default: main) in the caches of Hugging Face tools."""
    reasons = []
    doubtful = None
    for cache in hub_caches():
        try:
            found = find_in_hub_cache(cache, repo, revision or "main")
        except SourceError as error:
            reasons.append(str(error))
            continue
        if found.doubt is None:
            return found
        doubtful = doubtful or found
    if doubtful:
        return doubtful
    raise SourceError("; ".join(reasons))


def find_in_hub_cache(cache: Path, repo: str, revision: str) -> Found:
    """Find "org/name" at a branch, tag or commit hash in one folder with the layout of the Hugging Face cache."""
    folder = cache / f"models--{repo.replace('/', '--')}"
    if not folder.is_dir():
        raise SourceError(f"no {folder}")
    commit = revision
    if not (folder / "snapshots" / revision).is_dir():
        reference = folder / "refs" / revision
        if not reference.is_file():
            raise SourceError(f"{folder} holds no revision {revision!r}")
        commit = read_regular(reference, LARGEST_REFERENCE).decode("utf-8", "replace").strip()
    if not re.fullmatch(r"[0-9A-Za-z]{1,64}", commit):
        raise SourceError(f"{folder / 'refs' / revision} does not name a commit")
    snapshot = folder / "snapshots" / commit
    if lack := shortcoming(snapshot):
        raise SourceError(f"{snapshot} is not whole: {lack}")
    return Found(snapshot, commit, _doubt(folder, snapshot, repo))


def _doubt(folder: Path, snapshot: Path, repo: str) -> str | None:
    # Tools download only the files that they need: a snapshot made by `transformers` has no modules.json even if the
    # repository has one, and would be pooled the wrong way.  A mark in .no_exist says that the Hub does not have it.
    if not (snapshot / "modules.json").is_file():
        if repo.startswith("sentence-transformers/"):
            raise SourceError(f"{snapshot} is not whole: modules.json is missing")
        if not (folder / ".no_exist" / snapshot.name / "modules.json").is_file():
            return f"{snapshot} has no modules.json, and nothing tells whether the repository has one"
    if not any(path for pattern in ("model", "adapter_model") for path in snapshot.rglob(f"{pattern}*.safetensors")):
        return f"{snapshot} has its weights as pytorch_model.bin only"
    return None


def shortcoming(folder: Path) -> str | None:
    """Say what is missing in a folder for a complete checkpoint, or None; weights in any format count."""
    root, needs_config = folder, True
    if (folder / "modules.json").is_file():
        try:
            listed = _read_json(folder / "modules.json")
            modules = [(str(module["type"]).rpartition(".")[2], str(module["path"])) for module in listed]
            first, path = modules[0]
        except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
            return "modules.json cannot be read"
        for kind, below in modules[1:]:
            if kind != "Normalize" and not (is_plain_path(below) and (folder / below / "config.json").is_file()):
                return f"{below}/config.json is missing"
            weights = [folder / below / name for name in ("model.safetensors", "pytorch_model.bin")]
            if kind in ("Dense", "LayerNorm") and not any(path.is_file() for path in weights):
                return f"{below}/model.safetensors is missing"
        if first not in ("Transformer", "StaticEmbedding") or not (path in ("", ".") or is_plain_path(path)):
            return None  # the reader of the folder judges unusual modules, and refuses them by name
        root, needs_config = folder / path, first == "Transformer"
    if (root / "adapter_config.json").is_file():
        if not any((root / name).is_file() for name in ("adapter_model.safetensors", "adapter_model.bin")):
            return "adapter_model.safetensors is missing"
        if not (root / "config.json").is_file():
            return None  # only an adapter: the rest is in the folder of its base
    if needs_config and not (root / "config.json").is_file():
        return "config.json is missing"
    if not any((root / name).is_file() for name in _TOKENIZERS):
        return "tokenizer.json is missing"
    return _weights_shortcoming(root)


def _weights_shortcoming(root: Path) -> str | None:
    names = ("model.safetensors", "pytorch_model.bin", "pytorch_model.bin.index.json")
    if any((root / name).is_file() for name in names):
        return None
    index = root / "model.safetensors.index.json"
    if not index.is_file():
        return "model.safetensors is missing"
    try:
        shards = sorted({str(shard) for shard in _read_json(index)["weight_map"].values()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"{index.name} cannot be read"
    missing = [shard for shard in shards if not (is_plain_path(shard) and (root / shard).is_file())]
    return f"{', '.join(missing)} missing" if missing else None


def _read_json(path: Path) -> Any:
    return json.loads(read_regular(path, LARGEST_JSON).decode("utf-8"))


def publish(staged: Path, target: Path) -> None:
    """Move a finished folder to its place in one step.

    A complete checkpoint that another process put there meanwhile stays, and ours is left in the work folder; a damaged
    one is also moved to the work folder.
    """
    attempts = 5
    for attempt in range(attempts):
        try:
            move_into_place(staged, target)
            return
        except FileExistsError as error:
            if target.is_dir() and shortcoming(target) is None:
                return
            if attempt + 1 == attempts:
                raise
            _move_aside(target, staged.with_name(f"damaged-{attempt}"), error)


def _move_aside(target: Path, aside: Path, cause: OSError) -> None:
    try:
        target.rename(aside)
    except FileNotFoundError:
        return  # another process has just moved it: try again
    except OSError:
        raise cause from None
