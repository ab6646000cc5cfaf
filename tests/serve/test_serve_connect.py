"""`Embedder.connect`: against a server in a process of its own, the bits and the errors of a model in memory."""

import asyncio
import json
import os
import pickle
import re
import signal
import socketserver
import subprocess
import threading
import time
import warnings
from contextlib import contextmanager

import numpy as np
import pytest
from command import MODULE
from places import ROOT
from tiny import write_tiny_checkpoint

from minembed import Embedder
from minembed.errors import (
    InputAttributeError,
    InputError,
    InputTypeError,
    MinembedError,
    MinembedWarning,
    NumericalError,
    ServerError,
    SourceError,
    TruncationWarning,
)
from minembed.models import remote_calls, remote_http
from minembed.runtime.progress import Stopped

PROMPTS = {"passage": "the house: ", "query": "index: ", "long": "of the dog "}
KEY = "a-kéy-of-this-test"
TEXTS = [
    "the cat",
    "a dog in the rain",
    "bread and sun",
    "test " * 40,
    "x",
    "中文 house",
    "a\ud83d\ude00 \ud83d",
    "\x00",
]


@pytest.fixture(autouse=True)
def connections_end_with_the_test(monkeypatch):
    """The traceback of an error keeps its model in a circle, and of a circle the collector may take sockets first."""
    made, begin = [], remote_http.Connections.__init__

    def remembered(self, *arguments, **options):
        begin(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(remote_http.Connections, "__init__", remembered)
    yield
    for connections in made:
        connections.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    own = {"prompts": PROMPTS, "similarity_fn_name": "dot"}
    return write_tiny_checkpoint(tmp_path_factory.mktemp("connect") / "tiny", sentence_transformers=own)


@pytest.fixture(scope="module")
def local(folder):
    return Embedder.load(folder, backend="numpy")


@pytest.fixture(scope="module")
def url(folder, tmp_path_factory):
    """A server in a process of its own."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(KEY + "\n", encoding="utf-8")
    options = ("--port", 0, "--backend", "numpy", "--threads", 2, "--api-key-file", keys, "--access-log", "none")
    command = [*MODULE, "serve", *map(str, (folder, f"other={folder}", *options))]
    environment = {**os.environ, "PYTHONUTF8": "1"}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        yield re.search(r"http://\S+", process.stderr.readline()).group()
        process.terminate()


@pytest.fixture(scope="module")
def remote(url):
    with Embedder.connect(url, api_key=KEY, concurrency=2) as model:
        yield model


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


CASES = [
    {},
    {"normalize_embeddings": False},
    {"truncate_dim": 5},
    {"truncate_dim": 5, "normalize_embeddings": True},
    {"prompt_name": "long"},
    {"prompt": "bread \ud83d"},
    {"batch_size": 1},
    {"precision": "ubinary"},
    {"precision": "int8", "ranges": np.float32([[-1] * 32, [1] * 32])},
    {"device": "cpu", "convert_to_numpy": True, "show_progress_bar": False},
]


@pytest.mark.parametrize("options", CASES, ids=lambda options: ",".join(options) or "none")
def test_encode_has_the_bits_of_a_model_in_memory(options, remote, local):
    ours = remote.encode(TEXTS, truncation="silent", **options)
    assert same(ours, local.encode(TEXTS, truncation="silent", **options)) and ours.flags.writeable
    assert same(remote.encode("the cat", **options), local.encode("the cat", **options))


def test_tasks_have_their_prompts(remote, local):
    for name in ("encode_query", "encode_document"):
        ours, theirs = (getattr(model, name)(["cat", "rain"]) for model in (remote, local))
        assert same(ours, theirs) and not same(ours, local.encode(["cat", "rain"]))
    assert same(remote.encode_query("cat", prompt="x "), local.encode_query("cat", prompt="x "))


def test_columns_streams_and_tasks_of_a_loop(remote, local):
    many = [f"{TEXTS[i % 3]} {i}" for i in range(300)]
    expected = local.encode(many)
    assert same(remote.encode(text for text in many), expected)
    taken = []

    def texts():
        for text in many * 4:
            taken.append(text)
            yield text

    blocks = remote.stream(texts(), batch_size=20)
    assert taken == []
    found = [next(blocks)]
    assert len(found[0]) == 20 and len(taken) <= 20 * (2 * remote.concurrency + 2)
    assert same(np.concatenate([*found, *blocks]), np.tile(expected, (4, 1)))
    assert same(asyncio.run(remote.aencode(many)), expected)
    assert remote.encode([]).shape == (0, 32) and list(remote.stream([])) == []
    a, b = remote.encode(["cat", "dog"]), remote.encode(["rain"])
    assert same(remote.similarity(a, b), local.similarity(a, b))
    assert same(remote.similarity_pairwise(a, a), local.similarity_pairwise(a, a))


def test_threads_and_copies_share_a_connection(remote, local):
    expected, wrong = local.encode(TEXTS, truncation="silent"), []

    def work(model):
        for _ in range(5):
            if not same(model.encode(TEXTS, truncation="silent"), expected):
                wrong.append(model)

    threads = [threading.Thread(target=work, args=(m,)) for m in (remote, remote, pickle.loads(pickle.dumps(remote)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_it_says_what_is_there(remote, local, folder, url):
    assert (remote.dimension, remote.max_seq_length, remote.model) == (32, 32, str(folder))
    assert remote.info()["prompts"] == sorted(PROMPTS) and remote.info()["source"] == url
    assert KEY not in repr(remote) and KEY not in repr(remote.client) and url in repr(remote)
    assert same(Embedder.connect(url, api_key=KEY, model="tiny").encode("cat"), local.encode("cat"))
    assert same(Embedder.connect(url + "/v1/", api_key=KEY, model="other").encode("cat"), local.encode("cat"))


def test_the_snippet_of_the_docs(url):
    page = (ROOT / "docs" / "serve.md").read_text(encoding="utf-8")
    (snippet,) = (code for code in re.findall(r"```python\n(.*?)```", page, re.S) if "Embedder.connect" in code)
    found = {}
    exec(snippet.replace('"http://127.0.0.1:8080"', f"{url!r}, api_key={KEY!r}"), found)
    assert found["vectors"].shape == (2, 32)
    found["model"].close()


def test_cuts_are_told(remote):
    with pytest.warns(TruncationWarning, match=r"1 text\(s\) longer than 32 tokens"):
        remote.encode(TEXTS)
    for size in (1, 2, 64):
        with pytest.raises(InputError, match=r"^texts\[3\] has more than 32 tokens: ") as caught:
            remote.encode(TEXTS, truncation="error", batch_size=size)
        assert caught.value.text == 3
    with pytest.warns(MinembedWarning, match="takes its ranges"):
        remote.encode(TEXTS, truncation="silent", precision="int8")


REFUSED = [
    (InputError, "texts\\[1\\] is empty", ["a", ""], {}),
    (InputTypeError, "texts\\[1\\] is", ["a", 3], {}),
    (InputTypeError, "texts is dict", {"a": "b"}, {}),
    (InputError, "texts\\[0\\] has a surrogate", ["\ud83d"], {"errors": "strict"}),
    (InputError, "output_value='token_embeddings'", ["a"], {"output_value": "token_embeddings"}),
    (InputTypeError, "device 'cuda'", ["a"], {"device": "cuda"}),
    (InputTypeError, "did you mean 'precision'", ["a"], {"precison": "int8"}),
    (InputError, "truncate_dim 33 is more", ["a"], {"truncate_dim": 33}),
    (InputError, "'secret' is not among", ["a"], {"prompt_name": "secret"}),
    (InputError, "is not among", ["a"], {"prompt_name": "\ud83d"}),
    (InputError, "one vector gives int8 no ranges", "a", {"precision": "int8"}),
    (InputError, "texts\\[1\\] has 3000003 bytes in JSON.*larger --max-body", ["b", "a" * 3_000_000], {}),
]


@pytest.mark.parametrize(("kind", "message", "texts", "options"), REFUSED, ids=[case[1][:28] for case in REFUSED])
def test_what_is_refused_is_named(kind, message, texts, options, remote, local):
    with pytest.raises(kind, match=message):
        remote.encode(texts, **options)
    assert same(remote.encode("a"), local.encode("a"))


def test_names_of_prompts_are_checked_as_in_memory(remote, local):
    for model in (remote, local):
        with pytest.raises(InputError, match="'nope' is not among the checkpoint's prompts: document, long"):
            model.encode([], prompt_name="nope")
        with pytest.raises(InputError, match="prompt_name 'nope' is not among"):
            list(model.stream([], prompt_name="nope"))
        assert model.encode([], prompt_name="document").shape == (0, 32)  # every model has this one
    both = {"prompt": "x ", "prompt_name": "nope"}  # the first makes the second of no effect
    assert same(remote.encode(["cat"], **both), local.encode(["cat"], **both))


def test_what_a_server_does_not_have(remote):
    with pytest.raises(InputAttributeError, match=r"no 'forward': Embedder\.load"):
        remote.forward(None)
    with pytest.raises(InputAttributeError, match=r"no 'tokenize': Embedder\.load"):
        remote.tokenize(["the cat"])
    assert not hasattr(remote, "save") and not hasattr(remote, "__array__")
    with pytest.raises(InputTypeError, match="use encode"):
        remote.stream("one text")
    with pytest.raises(InputError, match="stream with precision 'int8'"):
        remote.stream(["a"], precision="int8")


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"api_key": None}, ServerError, "wants a key: give api_key="),
        ({"api_key": "wrong"}, ServerError, "refuses this api_key"),
        ({"model": "another"}, SourceError, "serves no model 'another'; it has .*tiny, other"),
        ({"api_key": "a\nb"}, InputError, "api_key must be"),
        ({"timeout": 0}, InputError, "timeout must be"),
        ({"retries": -1}, InputError, "retries must be"),
        ({"concurrency": 0}, InputError, "concurrency must be"),
        ({"patience": 1}, InputTypeError, "unexpected keyword argument 'patience'"),
    ],
)
def test_connections_that_are_refused(given, kind, message, url):
    with pytest.raises(kind, match=message):
        Embedder.connect(url, **{"api_key": KEY, **given})


@pytest.mark.parametrize("end", ["/elsewhere", "/v1/embeddings"])
def test_a_wrong_path(end, url):
    with pytest.raises(ServerError, match="404"):
        Embedder.connect(url + end, api_key=KEY)


@pytest.mark.parametrize(
    "wrong",
    [
        "localhost:8080",
        "ftp://a",
        "http://",
        "http://a:b@c",
        "http://a?b",
        "http://a:x",
        "http://a b",
        "http://a:0",
        "",
        3,
    ],
)
def test_urls_that_are_none(wrong):
    with pytest.raises(InputError):
        Embedder.connect(wrong)


# --- servers that fail ----------------------------------------------------------------------------------------------


def http(status, value, *headers):
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = [f"HTTP/1.1 {status} x", f"content-length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


FACTS = {"dimension": 1, "max_seq_length": 9, "prompts": [], "similarity_fn_name": "cosine"}
LISTED = http(200, {"data": [{"id": "m", "owned_by": "minembed", "minembed": FACTS}]})
FOUND = http(200, {"data": [{"index": 0, "embedding": "AACAPw=="}]})


def vectors(body):
    data = [{"index": i, "embedding": "AACAPw=="} for i in range(len(json.loads(body)["input"]))]
    return http(200, {"data": data})


NAMES = ["/a/m", "/b/m/", "x/other"]
CLOSED = b""  # the connection is closed instead of an answer


class BrokenOff(bytes):
    """The beginning of an answer, after which the connection is closed."""


@contextmanager
def scripted(*answers):
    """A server that gives these answers, one a request, and then the last one again."""
    left, seen = list(answers), []

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while head := self.rfile.readline():
                length = 0
                while (line := self.rfile.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                body = self.rfile.read(length)
                seen.append((time.monotonic(), head.decode().split()[1]))
                answer = left.pop(0) if len(left) > 1 else left[0]
                if callable(answer):
                    answer = answer(body)
                if answer == CLOSED:
                    return
                self.wfile.write(answer)
                if isinstance(answer, BrokenOff):
                    return

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, allow_reuse_address = True, True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def waits(monkeypatch):
    """How long was waited before each request that was sent again; nobody waits in these tests."""
    found = []
    monkeypatch.setattr(remote_calls.time, "sleep", found.append)
    return found


def test_too_much_load_is_waited_for_as_asked(waits):
    busy = http(429, {"error": {"message": "full"}}, "retry-after: 3")
    stopping = http(503, {"error": {"message": "stops"}}, "retry-after: 86400")
    with scripted(LISTED, busy, stopping, busy, FOUND) as (url, seen):
        assert Embedder.connect(url).encode("a").tolist() == [1.0]
    assert waits == [3.0, 30.0, 3.0] and len(seen) == 5


def test_patience_ends(waits):
    with scripted(LISTED, http(429, {"error": {"message": "full"}}, "retry-after: 1")) as (url, seen):
        with pytest.raises(ServerError, match=r"too much load, also after 2 retries \(429 full\)"):
            Embedder.connect(url, retries=2).encode("a")
    assert waits == [1.0, 1.0] and len(seen) == 4


def test_broken_connections_are_made_anew(waits):
    with scripted(LISTED, CLOSED, CLOSED, FOUND) as (url, _):
        model = Embedder.connect(url, retries=1)
        assert model.encode("a").tolist() == [1.0]  # a kept connection that was closed is no failed attempt
        assert waits == [0.25]
    with scripted(LISTED, CLOSED) as (url, seen):
        with pytest.raises(ServerError, match="no server answers"):
            Embedder.connect(url, retries=2).encode("a")
    assert waits == [0.25, 0.25, 0.5] and len(seen) == 5
    with scripted(LISTED, FOUND[:-5], FOUND) as (url, _):  # half an answer is never taken for one
        with pytest.raises(ServerError, match=r"no answer within 0\.2 s"):
            Embedder.connect(url, timeout=0.2).encode("a")


BODY = FOUND.index(b"{")
OPEN_ENDED = b"HTTP/1.1 200 x\r\nconnection: close\r\n\r\n" + FOUND[BODY:]


@pytest.mark.parametrize(
    "part",
    [FOUND[:20], FOUND[: BODY - 6], FOUND[:BODY], FOUND[: BODY + 9], FOUND[:-1], OPEN_ENDED[:-9]],
    ids=["header", "length", "no body", "body", "last byte", "no length"],
)
def test_an_answer_that_breaks_off_is_asked_for_again(part, waits):
    with scripted(LISTED, FOUND, BrokenOff(part), BrokenOff(part), FOUND, FOUND) as (url, seen):
        model = Embedder.connect(url, retries=1)
        for _ in range(3):  # the second meets it, first on a kept connection, then on a new one
            assert model.encode("a").tolist() == [1.0]
        assert waits == [0.25] and len(seen) == 6
    with scripted(LISTED, BrokenOff(part)) as (url, _):
        model = Embedder.connect(url, retries=0)
        with pytest.raises(ServerError, match="no server answers"):
            model.encode("a")
        assert not model.client.connections._idle
    with scripted(LISTED, BrokenOff(OPEN_ENDED)) as (url, _):  # the end of the connection can be that of the answer
        assert Embedder.connect(url, retries=0).encode("a").tolist() == [1.0]


def test_a_vector_that_is_none_has_the_index_of_its_text():
    bad = http(424, {"error": {"message": "item 1 of the request gives NaN or infinity"}})
    with scripted(LISTED, lambda body: bad if b"bad" in body else vectors(body)) as (url, _):
        with pytest.raises(NumericalError, match=r"^texts\[3\] gives NaN") as caught:
            Embedder.connect(url).encode(["a", "b", "c", "bad", "e"], batch_size=2)
    assert caught.value.text == 3


def test_silence_ends(waits):
    with scripted(LISTED, lambda body: threading.Event().wait(1) or CLOSED) as (url, _):
        with pytest.raises(ServerError, match=r"no answer within 0\.1 s"):
            Embedder.connect(url, timeout=0.1).encode("a")
    assert waits == []


# --- limits of servers ----------------------------------------------------------------------------------------------


@contextmanager
def limited(max_items, max_body, tells=True):
    """A server with limits, and the number of texts of each request that it answered."""
    facts, sizes = FACTS | ({"max_items": max_items, "max_body": max_body} if tells else {}), []

    def answer(body):
        many = len(json.loads(body)["input"])
        if len(body) > max_body:
            return http(413, {"error": {"message": f"the body has more than {max_body} bytes: send several requests"}})
        if many > max_items:
            message = f"`input` has {many} items: send up to {max_items} a request"
            return http(400, {"error": {"message": message}})
        sizes.append(many)
        return vectors(body)

    with scripted(http(200, {"data": [{"id": "m", "minembed": facts}]}), answer) as (url, _):
        with Embedder.connect(url, concurrency=1) as model:
            yield model, sizes


def test_requests_keep_the_limits_that_a_server_tells():
    with limited(max_items=32, max_body=600) as (model, sizes):
        assert len(model.encode(["a"] * 40)) == 40 and sizes == [32, 8]
        sizes.clear()
        assert len(model.encode(["a"] * 40, batch_size=64)) == 40 and sizes == [32, 8]
        sizes.clear()
        for text in ("a" * 100, "é" * 50, '"' * 50, "\x00" * 17, "\U0001f600" * 25):  # about 100 bytes each
            assert len(model.encode([text] * 7, prompt="b" * 50)) == 7
        assert max(sizes) == sizes[0] == 4 and sum(sizes) == 35
        with pytest.raises(InputError, match=r"texts\[1\] has 603 bytes in JSON, and the server takes \d+ of .*--max"):
            model.encode(["a", "a" * 600])
        with pytest.raises(InputError, match=r"texts\[0\] has 4 bytes in JSON, and the server takes 0 of texts"):
            model.encode(["a"], prompt="a" * 600)


def test_limits_that_a_server_does_not_tell():
    with limited(max_items=32, max_body=600, tells=False) as (model, sizes):
        with pytest.raises(InputError, match=r"texts\[0:40\]: `input` has 40 items: give batch_size=32"):
            model.encode(["a"] * 40)
        with pytest.raises(InputError, match=r"texts\[0:2\]: the body has more than 600 bytes: give a smaller batch"):
            model.encode(["a" * 400] * 2)
        with pytest.raises(InputError, match=r"texts\[0\]: the body has more than 600 bytes: shorten the text"):
            model.encode("a" * 600)
        assert sizes == []
    with limited(max_items=2048, max_body=2_000_000, tells=False) as (model, sizes):
        assert len(model.encode(["a"] * 2100, batch_size=4096)) == 2100 and sizes == [2048, 52]


# --- calls that end early -------------------------------------------------------------------------------------------


def busy(body):
    return http(429, {"error": {"message": "full"}}, "retry-after: 1")


def silent(body):
    threading.Event().wait(15)
    return CLOSED


def refused(model):
    with pytest.raises(InputError, match=r"texts\[0\]: bad"):
        model.encode(["bad", *"abcdef"], batch_size=1)


def interrupted(model, texts=tuple("abcdefg")):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # shells let what runs behind ignore it
    timer = threading.Timer(0.3, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            model.encode(texts, batch_size=1)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)


def interrupted_alone(model):
    interrupted(model, "a")


def cancelled(model, texts=tuple("abcdefg")):
    async def main():
        task = asyncio.create_task(model.aencode(texts, batch_size=1))
        await asyncio.sleep(0.3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())  # waits for the loop's threads


def cancelled_alone(model):
    cancelled(model, "a")


def closed_early(model):
    blocks = model.stream(["good", *"abcdef"], batch_size=1)
    next(blocks)
    blocks.close()


@pytest.mark.parametrize("end", [refused, interrupted, interrupted_alone, cancelled, cancelled_alone, closed_early])
@pytest.mark.parametrize("rest", [busy, silent])
def test_a_call_that_ends_early_sends_and_waits_no_more(end, rest):
    if end in (interrupted, interrupted_alone) and not hasattr(signal, "pthread_kill"):
        pytest.skip("there is no signal to a thread here")

    def answer(body):
        if b"good" in body:
            return FOUND
        return http(400, {"error": {"message": "bad"}}) if b"bad" in body else rest(body)

    with scripted(LISTED, answer) as (url, seen):
        model = Embedder.connect(url, retries=20)
        begin = time.monotonic()
        end(model)
        for thread in threading.enumerate():  # those for which Python waits at its end
            if thread.name.startswith("minembed-connect"):
                thread.join(10)
        assert time.monotonic() - begin < 8
        time.sleep(1.3)  # longer than the server asks for
        assert len(seen) <= 1 + 1 + 4 + 1  # the models, the first answer, and `concurrency` at a time
        model.close()


def test_a_call_that_is_stopped_sends_nothing():
    call = remote_calls.Call()
    call.stop()
    with scripted(LISTED, FOUND) as (url, seen):
        model = Embedder.connect(url)
        with pytest.raises(Stopped):
            model.client.ask("GET", "/v1/models", None, call)
        assert len(seen) == 1
        model.close()


@pytest.mark.parametrize(
    ("answer", "kind", "message"),
    [
        (http(200, b"<html>"), ServerError, "was another model started there"),
        (http(200, {"data": [{"index": 0, "embedding": "AACAPwAAgD8="}]}), ServerError, "vectors of 1 numbers"),
        (http(200, {"data": [{"index": 1, "embedding": "AACAPw=="}]}), ServerError, "did not answer"),
        (http(200, {"data": [{"index": 0, "embedding": "!"}]}), ServerError, "did not answer"),
        (http(200, {"data": 3}), ServerError, "did not answer"),
        (http(424, {"error": {"message": "gives NaN"}}), NumericalError, "gives NaN"),
        (http(404, {"error": {"message": "no model of that name"}}), SourceError, "no model of that name"),
        (http(500, {"error": {"message": "\x1b[31mred" + "x" * 999}}), ServerError, r"500 \?\[31mredx+$"),
        (http(502, b"<html>"), ServerError, "502; is this the URL of a minembed server"),
        (http(302, b"", "location: https://elsewhere"), ServerError, "redirects to 'https://elsewhere'"),
        (b"SSH-2.0-x\r\n", ServerError, "no server answers"),
    ],
)
def test_answers_that_are_none(answer, kind, message, waits):
    with scripted(LISTED, answer) as (url, _):
        model = Embedder.connect(url, retries=0)
        with pytest.raises(kind, match=message) as caught:
            model.encode("a")
    assert isinstance(caught.value, MinembedError) and len(str(caught.value)) < 500


def test_a_short_name_that_two_models_share_is_none():
    data = [{"id": name, "minembed": FACTS | {"max_seq_length": 9 + i}} for i, name in enumerate(NAMES)]
    with scripted(http(200, {"data": data})) as (url, _):
        with pytest.raises(SourceError, match="serves 2 models called 'm': give a full name, one of /a/m, /b/m/"):
            Embedder.connect(url, model="m")
        for i, name in enumerate(NAMES):
            assert Embedder.connect(url, model=name).max_seq_length == 9 + i
        assert Embedder.connect(url, model="other").model == "x/other"
        assert Embedder.connect(url).model == "/a/m"


@pytest.mark.parametrize("listed", [b"<html>", {"data": [{"id": "m", "owned_by": "x"}]}, {"data": 3}, [], {}])
def test_servers_of_others(listed):
    with scripted(http(200, listed)) as (url, _), pytest.raises(ServerError, match="does not list its models"):
        Embedder.connect(url)


def test_no_server():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ServerError, match=r"no server answers .*: is minembed serve running there"):
            Embedder.connect("http://127.0.0.1:9")
