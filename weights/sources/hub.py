"""A checkpoint from the Hugging Face Hub, through huggingface_hub (0.24 to 2.x), into the Hugging Face cache.

The library is imported late, and only its stable interfaces are used.  It handles the endpoint, the token, the time
limits and the progress bars of its environment variables.  Two things are added here: the first contact has a time
limit, and every file is compared with the hash that the Hub gives.
"""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from minembed.errors import SourceError
from minembed.runtime.checksums import hash_file
from minembed.runtime.disk_errors import DISK_ERRORS, disk_error
from minembed.runtime.interrupts import not_swallowed
from minembed.runtime.paths import is_plain_path
from minembed.weights.sources import cache

if TYPE_CHECKING:
    from huggingface_hub.hf_api import ModelInfo, RepoSibling

_T = TypeVar("_T")
_FILE = re.compile(r"[\w.-]+\.(json|txt|model)|(adapter_)?model(-\d+-of-\d+)?\.safetensors")
_FOLDER = re.compile(r"(\w+_)?\d+_\w+")  # 1_Pooling, query_0_Transformer; not onnx, openvino, …
_SECONDS = 4.0


def fetch(
    repo: str,
    revision: str | None,
    token: str | bool | None = None,
    *,
    show: bool | None = None,
    store: Path | None = None,
) -> cache.Found:
    """Download "org/name" at a branch, tag or commit into the Hugging Face cache, verify it and return the snapshot.

    `store` is another folder with the same layout.

    Raises `SourceError` with the reason, for an unreachable Hub after `HF_HUB_ETAG_TIMEOUT` seconds (default 4).
    """
    try:
        with not_swallowed(), _bars(show):
            return _fetch(repo, revision or "main", token, store or cache.hub_caches()[0])
    except SourceError:
        raise
    except ImportError as error:
        raise SourceError(f"huggingface_hub cannot be imported ({error}); `pip install huggingface_hub`") from error
    except Exception as error:  # errors of requests, httpx, ssl and xet have no common base class
        raise _explain(error, repo, revision) from error


def _fetch(repo: str, revision: str, token: str | bool | None, store: Path) -> cache.Found:
    from huggingface_hub import hf_hub_download

    info, seconds = _contact(repo, revision, token)
    commit = info.sha or revision
    paths = _wanted(info, repo)
    snapshot = store

    def download(path: str, at: str) -> Path:
        found = hf_hub_download(
            repo, path, revision=at, cache_dir=store, endpoint=_endpoint(), etag_timeout=seconds, token=token
        )
        return Path(found)

    for path, sibling in paths.items():
        file = download(path, commit)
        _verify(file, sibling, store)
        snapshot = file.parents[path.count("/")]
    if lack := cache.shortcoming(snapshot):
        raise SourceError(f"{repo} is not a whole checkpoint: {lack}")
    if "modules.json" not in paths:
        with suppress(_utils().EntryNotFoundError):  # asking leaves a mark in the cache that there is none
            download("modules.json", commit)
    if commit != revision:
        download("config.json" if "config.json" in paths else next(iter(paths)), revision)  # writes refs/<revision>
    return cache.Found(snapshot, commit)


def _contact(repo: str, revision: str, token: str | bool | None) -> "tuple[ModelInfo, float]":
    """Request the list of files, and the headers of the weights file, which is often on another host."""
    from huggingface_hub import HfApi, hf_hub_url

    seconds = float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or _SECONDS)
    api = HfApi(endpoint=_endpoint(), token=token)
    info = _within(seconds, lambda: api.model_info(repo, revision=revision, timeout=seconds, files_metadata=True))
    weights = [path for path in _wanted(info, repo) if path.endswith(".safetensors")]
    url = hf_hub_url(repo, weights[-1], revision=info.sha or revision, endpoint=_endpoint())
    headers, session = _utils().build_hf_headers(token=token), _utils().get_session()
    # Any answer is fine, even 403: this detects firewalls that allow the Hub but not its file servers, where the
    # download itself would retry for minutes.
    try:
        _within(seconds, lambda: session.request("HEAD", url, headers=headers, timeout=seconds))
    except Exception as error:  # as in fetch
        raise SourceError(f"{_host()} answers, but its files cannot be fetched: {_first_line(error)}") from error
    return info, seconds


def _within(seconds: float, call: Callable[[], _T]) -> _T:
    """Return the result of a call with a time limit: looking up a host name has no timeout of its own."""
    import threading
    from concurrent.futures import Future
    from concurrent.futures import TimeoutError as Late

    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="minembed-hub", daemon=True).start()
    try:
        return future.result(seconds)
    except Late as error:
        raise SourceError(f"no answer from {_host()} within {seconds:g} s (HF_HUB_ETAG_TIMEOUT)") from error


def _wanted(info: "ModelInfo", repo: str) -> "dict[str, RepoSibling]":
    """Return the files that a checkpoint needs, the weights last, so that an interrupted download has no weights."""
    listed = {str(sibling.rfilename): sibling for sibling in info.siblings or []}
    paths = {path: sibling for path, sibling in listed.items() if _is_wanted(path)}
    if not any(path.endswith(".safetensors") for path in paths):
        has = "only pytorch_model.bin, which is never unpickled" if "pytorch_model.bin" in listed else "no weights"
        if "adapter_config.json" in listed:
            has = "only an adapter as a pickle, adapter_model.bin, which is never opened"
        raise SourceError(f"{repo} has no model.safetensors ({has}); convert it, and pass the folder")
    return dict(sorted(paths.items(), key=lambda item: (item[0].endswith(".safetensors"), item[0])))


def _is_wanted(path: str) -> bool:
    *folders, file = path.split("/")
    return is_plain_path(path) and bool(_FILE.fullmatch(file)) and all(map(_FOLDER.fullmatch, folders))


def _verify(file: Path, sibling: "RepoSibling", store: Path) -> None:
    with file.open("rb") as content:
        if sibling.lfs is not None:
            expected, digest = sibling.lfs.sha256, hash_file(content)
        elif sibling.blob_id is not None:  # git's hash of a file
            expected, digest = sibling.blob_id, hash_file(content, "sha1", b"blob %d\0" % file.stat().st_size)
        else:
            return  # some mirrors of the Hub give no hashes
    if digest != expected:
        blob = file.resolve()
        file.unlink()
        if store.resolve() in blob.parents:
            blob.unlink(missing_ok=True)
        raise SourceError(
            f"{sibling.rfilename} from {_host()} has the hash {digest}, not {expected} as the Hub says: "
            "it was thrown away; try again, and look at proxies on the way if this happens twice"
        )


def _explain(error: Exception, repo: str, revision: str | None) -> SourceError:
    utils = _utils()
    answered = (getattr(each, "response", None) for each in (error, error.__cause__))
    status = next((answer.status_code for answer in answered if answer is not None), None)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return disk_error(error, cache.hub_caches()[0], "HF_HUB_CACHE")
    if isinstance(error, utils.GatedRepoError):
        return SourceError(f"{repo} is gated: accept its terms on {_host()}, then pass token= or set HF_TOKEN")
    if isinstance(error, utils.RevisionNotFoundError):
        return SourceError(f"{repo} has no revision {revision!r}")
    if isinstance(error, utils.RepositoryNotFoundError) or status in (401, 403, 404):
        return SourceError(f"{_host()} shows no {repo} ({status}): no such model, or a private one that needs token=")
    if status == 429:
        return SourceError(f"{_host()} limits the number of requests (429): wait, or pass token= or set HF_TOKEN")
    if status is not None:
        return SourceError(f"{_host()} answered with status {status}")
    return SourceError(f"{_host()} gave no usable answer: {_first_line(error)}")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _utils() -> Any:
    # Untyped on purpose: its names are the same in all accepted versions, but they are re-exported differently.
    from huggingface_hub import utils

    return utils


def _endpoint() -> str | None:
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or None


def _host() -> str:
    from urllib.parse import urlsplit

    return urlsplit(_endpoint() or "https://huggingface.co").hostname or "the Hub"


@contextmanager
def _bars(show: bool | None) -> Iterator[None]:
    """Hide huggingface_hub's progress bars, which it shows on terminals, if `show` is False."""
    utils = _utils()
    settled = os.environ.get("HF_HUB_DISABLE_PROGRESS_BARS")  # has priority; contradicting it gives a warning
    if show is not False or settled is not None or utils.are_progress_bars_disabled():
        yield
        return
    try:
        utils.disable_progress_bars()
        yield
    finally:
        utils.enable_progress_bars()
