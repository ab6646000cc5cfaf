"""The Hub, played by a server on 127.0.0.1: what is fetched, what is verified, what is said when it fails."""

import errno
import hashlib
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fakes import COMMIT, FILES, PLAIN, contents

from minembed.errors import SourceError
from minembed.weights.sources import cache, hub
from minembed.weights.sources.locate import Located, locate


@dataclass
class FakeHub:
    """A Hub with one repository, on 127.0.0.1."""

    url: str = ""
    repo: str = "org/name"
    files: dict[str, bytes] = field(default_factory=lambda: dict(FILES))
    sent: dict[str, bytes] = field(default_factory=dict)  # other bytes than those that the list of files describes
    answer: tuple[int, dict[str, str], bytes] | None = None  # the same answer to everything
    moved: str | None = None  # where the weights are said to be
    requests: list[str] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)

    def listing(self) -> bytes:
        siblings: list[dict[str, Any]] = []
        for path, content in self.files.items():
            sibling: dict[str, Any] = {"rfilename": path, "size": len(content), "blobId": git_hash(content)}
            if path.endswith(".safetensors"):
                sibling["lfs"] = {
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size": len(content),
                    "pointerSize": 130,
                }
            siblings.append(sibling)
        card = {"id": self.repo, "modelId": self.repo, "sha": COMMIT, "siblings": siblings, "tags": [], "downloads": 0}
        return json.dumps(card | {"private": False, "likes": 0}).encode()

    def respond(self, path: str) -> tuple[int, dict[str, str], bytes]:
        if self.answer:
            return self.answer
        if path.startswith(f"/api/models/{self.repo}"):
            return 200, {"Content-Type": "application/json"}, self.listing()
        file = path.removeprefix(f"/{self.repo}/resolve/").partition("/")[2]
        headers = {"X-Repo-Commit": COMMIT}
        if file not in self.files:
            return 404, headers | {"X-Error-Code": "EntryNotFound"}, b""
        if self.moved and file.endswith(".safetensors"):
            return 302, headers | {"Location": self.moved, "X-Linked-Size": "5", "X-Linked-Etag": '"abc"'}, b""
        content = self.files[file]
        etag = hashlib.sha256(content).hexdigest() if file.endswith(".safetensors") else git_hash(content)
        return 200, headers | {"ETag": f'"{etag}"'}, self.sent.get(file, content)


def git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@pytest.fixture
def fake_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    import huggingface_hub.constants

    fake = FakeHub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = fake.respond(self.path.partition("?")[0])
            fake.requests.append(f"{self.command} {self.path}")
            fake.tokens.add(self.headers.get("Authorization"))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None:
            return  # a client that gave up, as it should

    server = Server(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", fake.url)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    yield fake
    server.shutdown()
    thread.join()
    server.server_close()


def test_the_hub_fills_the_cache_for_the_next_load(fake_hub: FakeHub, home: Path) -> None:
    fake_hub.files |= {
        "onnx/model.onnx": b"onnx",
        "pytorch_model.bin": b"pickle",
        "README.md": b"#",
        "rust_model.ot": b"",
    }
    found = locate("org/name", token="hf_secret", show_progress_bar=False)
    assert found == Located(home / "hub/models--org--name/snapshots" / COMMIT, "Hugging Face Hub", COMMIT)
    assert contents(found.folder) == FILES  # nothing but what is read
    assert fake_hub.tokens == {"Bearer hf_secret"}
    fake_hub.requests.clear()
    again = Located(found.folder, "Hugging Face cache", COMMIT)
    assert locate("org/name") == locate("org/name", revision=COMMIT, local_files_only=True) == again
    assert fake_hub.requests == []


def test_eight_threads_fetch_at_once(fake_hub: FakeHub, home: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: locate("org/name", token=False), range(8)))
    assert {each.folder for each in found} == {home / "hub/models--org--name/snapshots" / COMMIT}
    assert contents(found[0].folder) == FILES


def test_a_plain_checkpoint_is_remembered_as_such(fake_hub: FakeHub, home: Path) -> None:
    fake_hub.files = dict(PLAIN)
    found = locate("org/name", revision="v1", token=False)
    assert found.source == "Hugging Face Hub"
    fake_hub.requests.clear()
    assert locate("org/name", revision="v1") == Located(found.folder, "Hugging Face cache", COMMIT)
    assert fake_hub.requests == []


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json"])
def test_wrong_bytes_from_the_hub_are_thrown_away(file: str, fake_hub: FakeHub, home: Path) -> None:
    fake_hub.sent[file] = bytes(len(FILES[file]))
    with pytest.raises(SourceError, match=f"{file} from 127.0.0.1 has the hash .* as the Hub says"):
        locate("org/name", token=False)
    assert bytes(len(FILES[file])) not in contents(home / "hub").values()
    assert not list((home / "hub/models--org--name").glob("refs/*"))  # nobody is led to what is left
    fake_hub.sent.clear()
    assert contents(locate("org/name", token=False).folder) == FILES


def test_a_transfer_cut_short_leaves_no_model(fake_hub: FakeHub, home: Path) -> None:
    fake_hub.sent["model.safetensors"] = FILES["model.safetensors"][:5000]
    with pytest.raises(SourceError, match=r"Hugging Face Hub: "):
        locate("org/name", token=False)
    fake_hub.sent.clear()
    assert contents(locate("org/name", token=False).folder) == FILES


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (401, {}, r"shows no org/name \(401\): no such model, or a private one"),
        (401, {"X-Error-Code": "RepoNotFound"}, r"shows no org/name \(401\): no such model, or a private one"),
        (
            403,
            {"X-Error-Code": "GatedRepo"},
            "is gated: accept its terms on 127.0.0.1, then pass token= or set HF_TOKEN",
        ),
        (404, {"X-Error-Code": "RepoNotFound"}, r"shows no org/name \(404\)"),
        (404, {"X-Error-Code": "RevisionNotFound"}, "org/name has no revision 'v9'"),
        (429, {"Retry-After": "3600"}, r"limits the number of requests \(429\)"),
        (503, {"Retry-After": "3600"}, "answered with status 503"),
        (200, {"Content-Type": "text/html"}, "gave no usable answer"),  # a captive portal
    ],
)
def test_refusals_of_the_hub_are_told(status: int, headers: dict[str, str], message: str, fake_hub: FakeHub) -> None:
    fake_hub.answer = status, headers, b"<html>Welcome to the hotel</html>"
    with pytest.raises(SourceError, match=message):
        locate("org/name", revision="v9", token=False)
    assert len(fake_hub.requests) == 1  # no retries


def test_an_adapter_alone_is_fetched_and_found_again(fake_hub: FakeHub, home: Path) -> None:
    fake_hub.files = {
        "adapter_config.json": b'{"peft_type": "LORA"}',
        "adapter_model.safetensors": b"a few numbers",
        "tokenizer.json": b"{}",
        "modules.json": FILES["modules.json"],
        "1_Pooling/config.json": FILES["1_Pooling/config.json"],
        "optimizer.pt": b"left behind",
    }
    found = locate("org/name")
    assert found.source == "Hugging Face Hub"
    assert sorted(contents(found.folder)) == sorted(set(fake_hub.files) - {"optimizer.pt"})
    assert locate("org/name").source == "Hugging Face cache"
    (found.folder / "adapter_model.safetensors").unlink()
    assert cache.shortcoming(found.folder) == "adapter_model.safetensors is missing"


def test_a_repository_with_pickled_weights_only(fake_hub: FakeHub) -> None:
    del fake_hub.files["model.safetensors"]
    fake_hub.files["pytorch_model.bin"] = b"pickle"
    with pytest.raises(
        SourceError, match=r"no model\.safetensors \(only pytorch_model\.bin, which is never unpickled\)"
    ):
        locate("org/name", token=False)


def test_a_repository_that_lacks_a_file(fake_hub: FakeHub) -> None:
    del fake_hub.files["1_Pooling/config.json"]
    with pytest.raises(SourceError, match=r"not a whole checkpoint: 1_Pooling/config\.json is missing"):
        locate("org/name", token=False)


def test_a_firewall_that_lets_the_hub_through_but_not_its_files(fake_hub: FakeHub) -> None:
    fake_hub.moved = "http://127.0.0.1:9/blob"  # the discard port, closed everywhere
    with pytest.raises(SourceError, match=r"127\.0\.0\.1 answers, but its files cannot be fetched"):
        locate("org/name", token=False)
    assert [request.partition(" ")[0] for request in fake_hub.requests] == ["GET", "HEAD"]


def test_a_hub_that_never_answers(fake_hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(fake_hub, "respond", lambda path: (release.wait(60), (500, {}, b""))[1])
    monkeypatch.setattr(hub, "_SECONDS", 0.2)
    try:
        with pytest.raises(SourceError, match=r"Hugging Face Hub: .*127\.0\.0\.1"):
            locate("org/name", token=False)
    finally:
        release.set()


def test_a_call_without_a_time_limit_of_its_own_is_left_alone_in_time() -> None:
    release = threading.Event()
    with pytest.raises(SourceError, match=r"no answer from huggingface\.co within 0\.05 s"):
        hub._within(0.05, release.wait)
    release.set()
    assert hub._within(60, lambda: 7) == 7


def test_a_full_disk_below_the_hub(fake_hub: FakeHub, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def full(*args: object, **kwargs: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", full)
    with pytest.raises(SourceError, match=r"cannot write to .*hub: No space left .*set HF_HUB_CACHE") as caught:
        locate("org/name", token=False)
    assert caught.value.errno == errno.ENOSPC


def test_without_huggingface_hub_the_reason_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(SourceError, match=r"huggingface_hub cannot be imported .*pip install huggingface_hub"):
        locate("org/name")
