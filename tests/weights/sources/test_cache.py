"""The caches on this machine: where they are, what counts as a whole checkpoint, what is second best."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from fakes import COMMIT, FILES, MODULES, PLAIN, REPO, fill_hub_cache, write
from platformdirs.macos import MacOS
from platformdirs.windows import Windows

from minembed.errors import SourceError
from minembed.runtime.folders import home_folder
from minembed.weights.sources import cache, hub
from minembed.weights.sources.cache import shortcoming
from minembed.weights.sources.locate import DEFAULT_MODEL, Located, cache_folder, locate


def test_the_cache_folder_follows_the_platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_folder() == home / "minembed"
    monkeypatch.setenv("MINEMBED_CACHE", "~/models")
    assert cache_folder() == home / "models"
    monkeypatch.setenv("MINEMBED_CACHE", "")
    assert cache_folder() == home / ".cache/minembed"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_folder() == home / "xdg/minembed"


def as_on(system: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """platformdirs chooses its system once, when it is imported."""
    monkeypatch.setattr("platformdirs.PlatformDirs", system)


def test_the_cache_folder_on_windows(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINEMBED_CACHE", raising=False)
    as_on(Windows, monkeypatch)
    monkeypatch.setattr("platformdirs.windows.get_win_folder", lambda name: str(home / "Local"))  # the system's answer
    assert cache_folder() == home / "Local/minembed"


def test_the_cache_folder_on_macos(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINEMBED_CACHE", raising=False)
    as_on(MacOS, monkeypatch)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cache_folder() == home / "Library/Caches/minembed"
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    assert cache_folder() == Path(MacOS("minembed").user_cache_dir)  # which may be the same, in an older platformdirs
    (home / "Library/Caches/minembed").mkdir(parents=True)
    assert cache_folder() == home / "Library/Caches/minembed"  # a cache that is there goes on being used


def test_without_a_home_folder_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MINEMBED_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where nobody is
    with pytest.raises(SourceError, match="set MINEMBED_CACHE"):
        cache_folder()
    if sys.version_info >= (3, 11):  # before, pathlib keeps the function that was there when it was imported
        with pytest.raises(SourceError, match="set MINEMBED_CACHE"):
            home_folder()


def test_the_hugging_face_cache_follows_its_variables(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # most particular last, so that each one set overrules those before it
    monkeypatch.delenv("HF_HUB_CACHE")
    assert cache.hub_caches() == [home / ".cache/huggingface/hub"]
    for variable, value, expected in (
        ("XDG_CACHE_HOME", "xdg", "xdg/huggingface/hub"),
        ("HF_HOME", "hf", "hf/hub"),
        ("HUGGINGFACE_HUB_CACHE", "old", "old"),
        ("HF_HUB_CACHE", "$HOME/new", "new"),
    ):
        monkeypatch.setenv(variable, value if "$" in value else str(home / value))
        assert cache.hub_caches() == [home / expected]
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", "~/st")
    assert cache.hub_caches() == [home / "new", home / "st"]


def test_minembeds_cache_comes_before_the_hugging_face_cache(home: Path, nothing_allowed: None) -> None:
    snapshot = fill_hub_cache(home / "hub")
    assert locate(DEFAULT_MODEL) == Located(snapshot, "Hugging Face cache", COMMIT)
    own = write(home / "minembed/models/sentence-transformers--all-MiniLM-L6-v2")
    assert locate(DEFAULT_MODEL) == locate(REPO) == Located(own, "minembed cache", None)
    assert locate(DEFAULT_MODEL, revision="main") == Located(snapshot, "Hugging Face cache", COMMIT)


def test_branches_tags_and_commits_from_the_hugging_face_cache(home: Path, nothing_allowed: None) -> None:
    old = fill_hub_cache(home / "hub", "org/name", ref="refs/pr/1", sha="a" * 40)
    new = fill_hub_cache(home / "hub", "org/name")
    assert locate("org/name") == Located(new, "Hugging Face cache", COMMIT)
    assert locate("org/name", revision=COMMIT) == Located(new, "Hugging Face cache", COMMIT)
    assert locate("org/name", revision="refs/pr/1") == Located(old, "Hugging Face cache", "a" * 40)
    with pytest.raises(SourceError, match="holds no revision 'v2'"):
        locate("org/name", revision="v2", local_files_only=True)


def test_a_reference_cannot_point_outside_the_snapshots(home: Path, nothing_allowed: None) -> None:
    write(home / "hub/outside")
    (fill_hub_cache(home / "hub", "org/name").parents[1] / "refs/main").write_text("../../outside")
    with pytest.raises(SourceError, match="does not name a commit"):
        locate("org/name", local_files_only=True)


def test_snapshots_made_of_links_into_blobs(home: Path, nothing_allowed: None) -> None:
    snapshot = fill_hub_cache(home / "hub")
    blob = snapshot.parents[1] / "blobs" / "f00d"
    blob.parent.mkdir()
    (snapshot / "model.safetensors").rename(blob)
    (snapshot / "model.safetensors").symlink_to("../../blobs/f00d")
    assert locate(REPO).folder == snapshot
    blob.unlink()  # the link dangles, as after a clean-up that went wrong
    with pytest.raises(SourceError, match=r"not whole: model\.safetensors is missing"):
        locate(REPO, local_files_only=True)


@pytest.mark.parametrize("lost", [path for path in FILES if path != "modules.json"])
def test_an_incomplete_snapshot_is_passed_over(lost: str, home: Path, nothing_reachable: None) -> None:
    (fill_hub_cache(home / "hub") / lost).unlink()
    with pytest.raises(SourceError, match=f"Hugging Face cache: .*not whole: {lost} is missing"):
        locate(REPO)


def test_shards_count_when_all_are_there(home: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    folder = write(home / "x", without="model.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    (folder / "model-00001-of-00002.safetensors").touch()
    assert cache.shortcoming(folder) == "model-00002-of-00002.safetensors missing"
    (folder / "model-00002-of-00002.safetensors").touch()
    assert cache.shortcoming(folder) is None
    (folder / "model.safetensors.index.json").write_text("{")
    assert cache.shortcoming(folder) == "model.safetensors.index.json cannot be read"


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"[1]", b'[{"type": "Transformer"}]', b"\xff"])
def test_a_snapshot_with_an_unreadable_list_of_modules_is_passed_over(content: bytes, home: Path) -> None:
    folder = write(home / "x", FILES | {"modules.json": content})
    assert cache.shortcoming(folder) == "modules.json cannot be read"


def test_module_folders_are_followed_only_inside_the_checkpoint(home: Path) -> None:
    deep = [MODULES[0] | {"path": "0_Transformer"}, *MODULES[1:]]
    folder = write(home / "x", {"modules.json": json.dumps(deep).encode(), "1_Pooling/config.json": b"{}"})
    assert cache.shortcoming(folder) == "config.json is missing"
    write(folder / "0_Transformer")
    assert cache.shortcoming(folder) is None
    outside = [MODULES[0], MODULES[1] | {"path": "../x/1_Pooling"}]
    (folder / "modules.json").write_text(json.dumps(outside))
    assert cache.shortcoming(folder) == "../x/1_Pooling/config.json is missing"


def test_a_snapshot_without_modules_is_second_best(
    home: Path, nothing_reachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`transformers` fetches no modules.json, so its absence says nothing until somebody has asked the Hub."""
    snapshot = fill_hub_cache(home / "hub", "org/name", PLAIN)
    assert locate("org/name") == Located(snapshot, "Hugging Face cache", COMMIT)  # better than nothing
    monkeypatch.setattr(hub, "fetch", lambda *args, **kwargs: cache.Found(home, "new"))
    assert locate("org/name") == Located(home, "Hugging Face Hub", "new")
    mark = snapshot.parents[1] / ".no_exist" / COMMIT / "modules.json"
    mark.parent.mkdir(parents=True)
    mark.touch()
    assert locate("org/name") == Located(snapshot, "Hugging Face cache", COMMIT)


def test_a_snapshot_of_sentence_transformers_without_modules_is_a_fragment(home: Path, nothing_reachable: None) -> None:
    fill_hub_cache(home / "hub", REPO, PLAIN)
    with pytest.raises(SourceError, match=r"not whole: modules\.json is missing"):
        locate(REPO)


def test_a_pickle_is_second_best_so_that_the_loader_can_explain(
    home: Path, nothing_reachable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {path: content for path, content in FILES.items() if path != "model.safetensors"}
    snapshot = fill_hub_cache(home / "hub", "org/name", files | {"pytorch_model.bin": b"pickle"})
    assert locate("org/name") == Located(snapshot, "Hugging Face cache", COMMIT)
    monkeypatch.setattr(hub, "fetch", lambda *args, **kwargs: cache.Found(home, "new"))
    assert locate("org/name").source == "Hugging Face Hub"


def test_sentence_transformers_own_folder_is_read_too(
    home: Path, nothing_allowed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(home / "st"))
    fill_hub_cache(home / "hub", files={"config.json": b"{}"})
    snapshot = fill_hub_cache(home / "st")
    assert locate(REPO) == Located(snapshot, "Hugging Face cache", COMMIT)


@pytest.mark.parametrize("content", ["[" * 100_000, "sparse"])
@pytest.mark.parametrize("name", ["modules.json", "model.safetensors.index.json"])
def test_files_that_no_model_has(tiny_checkpoint, tmp_path, name, content):
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place)
    if name != "modules.json":
        (place / "model.safetensors").unlink()
    (place / name).write_text(content)
    if content == "sparse":
        with (place / name).open("r+b") as file:
            file.truncate(3 << 30)
    assert shortcoming(place) == f"{name} cannot be read"


def test_a_reference_of_gigabytes(home):
    reference = fill_hub_cache(home / "hub", "org/name").parents[1] / "refs/main"
    with reference.open("r+b") as file:
        file.truncate(3 << 30)
    with pytest.raises(SourceError, match="it has more than 4096 bytes"):
        locate("org/name", local_files_only=True)
