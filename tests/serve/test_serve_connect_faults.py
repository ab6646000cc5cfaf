"""`Embedder.connect`: servers that fail, refuse, break off, fall silent or are none; limits; calls that end early."""

import asyncio
import json
import signal
import threading
import time
import warnings
from contextlib import contextmanager

import pytest
from scripted_server import CLOSED, FACTS, FOUND, LISTED, BrokenOff, http, scripted, vectors

from minembed import Embedder
from minembed.errors import InputError, MinembedError, NumericalError, ServerError, SourceError
from minembed.models import remote_calls
from minembed.runtime.progress import Stopped


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


NAMES = ["/a/m", "/b/m/", "x/other"]


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
