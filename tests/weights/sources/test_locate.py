"""From a name to a folder: what is a path, the order of the sources, and what is said when none works."""

import errno
import hashlib
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from fakes import COMMIT, REPO, fill_hub_cache, refuse, write

from minembed.errors import InputError, InputTypeError, MinembedError, SourceError
from minembed.runtime.disk_errors import disk_error
from minembed.weights.sources import cache, hub, mirror
from minembed.weights.sources.locate import DEFAULT_MODEL, Located, locate
from minembed.weights.sources.mirrored import MINILM


def test_a_folder_wins_over_everything(home: Path, nothing_allowed: None) -> None:
    write(home / "minembed/models" / REPO.replace("/", "--"))
    fill_hub_cache(home / "hub")
    (home / REPO).mkdir(parents=True)
    (home / "all-MiniLM-L6-v2").mkdir()
    assert locate(REPO) == Located(home / REPO, "folder", None)
    assert locate("all-MiniLM-L6-v2") == Located(home / "all-MiniLM-L6-v2", "folder", None)
    assert locate(home / REPO).folder == locate("./" + REPO).folder.resolve() == home / REPO
    assert locate("~").folder == home


@pytest.mark.parametrize(
    "name", ["./x", "../x", "/x/y", "~/x", "~nobody-here/x", "a/b/c", "x/", r".\x", "C:\\x", "a b"]
)
def test_a_missing_folder_is_never_looked_for_elsewhere(name: str, nothing_allowed: None) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        locate(name)


def test_a_path_object_is_a_folder_and_nothing_else(nothing_allowed: None) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        locate(Path("org/name"))


def test_a_file_is_not_a_folder(home: Path, nothing_allowed: None) -> None:
    (home / "model.safetensors").write_bytes(b"")
    with pytest.raises(SourceError, match="is a file; pass the folder"):
        locate("model.safetensors")


@pytest.mark.parametrize(
    "name", ["org--x", "org/..", "-x", "x.git", "a..b", "models--a--b", "a/b\0", "é", "x" * 97, "x" * 300]
)
def test_names_that_the_hub_does_not_allow_never_become_paths(name: str, nothing_allowed: None) -> None:
    with pytest.raises(SourceError, match="there is no folder"):
        locate(name)


def test_arguments_of_the_wrong_kind() -> None:
    for name in (None, 7, b"all-MiniLM-L6-v2"):
        with pytest.raises(InputTypeError, match="str or a path"):
            locate(name)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="empty"):
        locate("")
    with pytest.raises(InputTypeError, match="revision must be a str"):
        locate("x", revision=1)  # type: ignore[arg-type]


@pytest.mark.parametrize("revision", ["", "../../x", "/etc/passwd", "a/../b", "a\\b", "C:x", "a\0b", "a\nb", "a//b"])
def test_a_revision_never_leaves_the_cache(revision: str, nothing_allowed: None) -> None:
    with pytest.raises(InputError, match="cannot be the name"):
        locate("x", revision=revision)


def test_the_hub_comes_before_the_mirror(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def from_hub(repo: str, revision: str | None, token: object, *, show: bool | None) -> cache.Found:
        asked.append((repo, revision, token, show))
        return cache.Found(home, COMMIT)

    monkeypatch.setattr(hub, "fetch", from_hub)
    monkeypatch.setattr(mirror, "fetch", refuse("must not be asked"))
    found = locate(DEFAULT_MODEL, revision="v1", token="secret", show_progress_bar=False)
    assert found == Located(home, "Hugging Face Hub", COMMIT)
    assert asked == [(REPO, "v1", "secret", False)]


def test_the_mirror_serves_the_models_that_it_has(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "fetch", refuse("no network"))
    monkeypatch.setattr(mirror, "fetch", lambda target, source, show: write(target))
    own = home / "minembed/models/sentence-transformers--all-MiniLM-L6-v2"
    with pytest.raises(SourceError, match="package mirror: has all-MiniLM-L6-v2 and all-mpnet-base-v2 only"):
        locate("org/all-MiniLM-L6-v2")
    with pytest.raises(SourceError, match="package mirror: has no revisions"):
        locate(DEFAULT_MODEL, revision="main")
    assert not own.exists()
    assert locate(DEFAULT_MODEL) == Located(own, "package mirror", None)
    assert locate(DEFAULT_MODEL) == Located(own, "minembed cache", None)


def test_when_nothing_works_the_error_lists_every_source(home: Path, nothing_reachable: None) -> None:
    with pytest.raises(SourceError) as caught:
        locate(DEFAULT_MODEL, token="secret")
    message = str(caught.value)
    for part in (
        f"cannot find the model '{DEFAULT_MODEL}' ({REPO})",
        f"folder: no folder {DEFAULT_MODEL} here",
        f"minembed cache: no {home / 'minembed'}",
        f"Hugging Face cache: no {home / 'hub'}",
        "Hugging Face Hub: hub: no network",
        "package mirror: mirror: no network",
        "HF_ENDPOINT",
        "PIP_INDEX_URL",
        "minembed pull",
    ):
        assert part in message
    assert "secret" not in message
    assert isinstance(caught.value, OSError) and isinstance(caught.value, MinembedError)
    assert caught.value.errno is None


def test_the_errno_of_a_full_disk_survives(nothing_reachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise disk_error(OSError(errno.ENOSPC, "No space left on device"), Path("models"))

    monkeypatch.setattr(mirror, "fetch", full)
    with pytest.raises(
        SourceError, match=r"cannot write to models: No space left on device; .*MINEMBED_CACHE"
    ) as caught:
        locate(DEFAULT_MODEL)
    assert caught.value.errno == errno.ENOSPC


def test_a_cache_that_may_not_be_read_is_a_reason(nothing_reachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(repo: str, revision: str | None) -> cache.Found:
        raise PermissionError(errno.EACCES, "Permission denied", "models--x")

    monkeypatch.setattr(cache, "find_in_hub_caches", closed)
    with pytest.raises(SourceError, match=r"Hugging Face cache: .*Permission denied: 'models--x'"):
        locate("x")


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
@pytest.mark.parametrize("value", ["1", "ON", "yes", "True"])
def test_offline_variables(variable: str, value: str, nothing_allowed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SourceError, match=f"package mirror: not asked, because {variable} is set"):
        locate(DEFAULT_MODEL)


@pytest.mark.parametrize(
    "given", [{"token": 3}, {"local_files_only": "yes"}, {"show_progress_bar": 0}, {"revision": b"v1"}]
)
def test_arguments_of_other_types(tmp_path: Path, given: dict[str, Any]) -> None:
    """Also where the model is a folder, for which they are not needed."""
    with pytest.raises(InputTypeError, match=f"{next(iter(given))} must be"):
        locate(tmp_path, **given)


def test_offline_variables_switched_off(nothing_reachable: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with pytest.raises(SourceError, match="hub: no network"):
        locate(DEFAULT_MODEL)


def test_local_files_only_opens_no_connection_and_starts_no_process(home: Path) -> None:
    """In a process of its own, where the interpreter itself reports every connection, look-up and child."""
    fill_hub_cache(home / "hub", "org/name")
    program = """
        import sys
        from minembed.errors import SourceError
        from minembed.weights.sources.locate import locate

        seen = []
        sys.addaudithook(lambda event, args: seen.append(event))
        print(locate("org/name", local_files_only=True).source)
        try:
            locate("all-MiniLM-L6-v2", local_files_only=True)
        except SourceError as error:
            print("not asked, because local_files_only=True" in str(error))
        abroad = ("socket.", "subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.spawn", "os.system")
        print("open" in seen, [event for event in seen if event.startswith(abroad)])
        print({"huggingface_hub", "tqdm", "subprocess", "zipfile", "hashlib"} & (set(sys.modules) - before))
    """
    before = "import sys, minembed; before = set(sys.modules)\n"
    result = subprocess.run(
        [sys.executable, "-c", before + textwrap.dedent(program)], capture_output=True, text=True, check=True
    )
    assert result.stdout.splitlines() == ["Hugging Face cache", "True", "True []", "set()"]


@pytest.mark.weights
def test_the_default_model_is_the_official_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the user's own caches and settings
    found = locate(DEFAULT_MODEL)
    digest = hashlib.sha256((found.folder / "model.safetensors").read_bytes()).hexdigest()
    assert digest == MINILM.weights_sha256
