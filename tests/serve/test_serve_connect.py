"""`Embedder.connect`: against a server in a process of its own, the bits and the errors of a model in memory."""

import asyncio
import os
import pickle
import re
import subprocess
import threading

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
    MinembedWarning,
    ServerError,
    SourceError,
    TruncationWarning,
)

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
