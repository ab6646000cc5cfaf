"""A real server in a process of its own: its limits, its end, and the bits of its answers."""

import base64
import signal
import socket
import time
from contextlib import ExitStack

import numpy as np
import pytest
from hostile import FIXED, GOOD, HEAD, post
from raw_http import ask_raw, json_of, read_answer, status_of
from serving import running

from minembed import Embedder
from minembed.errors import InputError
from minembed.serve import server as server_module
from minembed.serve.server import bind
from minembed.serve.settings import Settings


@pytest.fixture(scope="module")
def server(tiny_folder, tmp_path_factory):
    options = (f"tiny={tiny_folder}", "--backend", "numpy", "--max-connections", "8")
    with running(tmp_path_factory.mktemp("server"), *options) as running_server:
        yield running_server
        assert running_server.process.poll() is None
        assert "Traceback" not in running_server.log()


def test_an_answer(server, tiny_folder):
    answer = ask_raw(server.port, post(b'{"input": ["the cat", "bread"], "encoding_format": "base64"}'))
    assert status_of(answer) == 200
    found = [np.frombuffer(base64.b64decode(item["embedding"]), "<f4") for item in json_of(answer)["data"]]
    expected = Embedder.load(tiny_folder, backend="numpy").encode(["the cat", "bread"])
    assert np.stack(found).tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", FIXED)
def test_hostile_requests(server, name):
    raw, allowed = FIXED[name]
    answer = ask_raw(server.port, raw)
    assert status_of(answer) in allowed, answer[:200]


@pytest.mark.parametrize("at", (0, 10, 25, 40, 62))
def test_no_more_is_read_than_an_answer(at):
    """ "100 Continue" and the answer may come at once, or be cut anywhere; then nothing else will come."""
    both = b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    parts = [part for part in (both[:at], both[at:]) if part]

    class Received:
        def recv(self, size):
            return parts.pop(0)  # an IndexError if there is none left

    assert status_of(read_answer(Received())) == 200 and not parts


def test_several_requests_on_one_connection(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        for _ in range(3):
            sock.sendall(post(GOOD))
            assert status_of(read_answer(sock)) == 200
        sock.sendall(post(GOOD) + post(b"{}"))  # both at once
        both = read_answer(sock)
        while both.count(b"HTTP/1.1") < 2:
            both += sock.recv(65536)
        assert both.startswith(b"HTTP/1.1 200") and both.count(b"HTTP/1.1 400") == 1


def test_pipelined_requests_are_not_read_ahead_without_bound(tiny_folder, tmp_path):
    """Nobody reads the answers, and all that is left ends with the connection."""
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy") as server:
        assert status_of(ask_raw(server.port, post(GOOD))) == 200
        before, left, end = server.memory(), memoryview(post(GOOD) * 200_000), time.monotonic() + 3
        with socket.create_connection(("127.0.0.1", server.port), 0.2) as sock:
            while left and time.monotonic() < end:
                try:
                    left = left[sock.send(left) :]
                except TimeoutError:
                    continue
            assert left and server.memory() < before + 20e6  # the system keeps some MB of it
        assert status_of(ask_raw(server.port, post(GOOD))) == 200
        assert "Traceback" not in server.log()


def test_what_is_no_request_after_pipelined_ones(tiny_folder, tmp_path):
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy") as server:
        assert ask_raw(server.port, post(GOOD) * 20 + b"what?\r\n\r\n").count(b"HTTP/1.1 400") == 1
        assert status_of(ask_raw(server.port, post(GOOD))) == 200
        assert "Traceback" not in server.log()


def test_a_connection_too_many_is_refused(server):
    with ExitStack() as held:
        first, *_ = [held.enter_context(socket.create_connection(("127.0.0.1", server.port), 10)) for _ in range(8)]
        time.sleep(0.1)
        assert status_of(ask_raw(server.port, post(GOOD))) == 503
        first.close()
        time.sleep(0.1)
        assert status_of(ask_raw(server.port, post(GOOD))) == 200


def test_a_signal_ends_it_in_good_order(tiny_folder, tmp_path):
    """What was accepted is answered, what comes then is refused, the exit code is 0, and the port is free again."""
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy") as server, ExitStack() as held:
        busy, idle = (held.enter_context(socket.create_connection(("127.0.0.1", server.port), 20)) for _ in range(2))
        busy.sendall(post(b'{"input": [' + b",".join([b'"the cat in the rain"'] * 2000) + b"]}"))
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        answer = read_answer(busy)
        assert status_of(answer) == 200 and b"connection: close" in answer
        assert idle.recv(100) == b""  # closed: it had asked for nothing
        assert server.process.wait(20) == 0
        assert "Traceback" not in server.log()
    bind("127.0.0.1", server.port).close()


def test_the_line_of_the_last_request_is_in_the_log_soon(tiny_folder, tmp_path):
    """Also if the server is killed then."""
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy") as server:
        assert status_of(ask_raw(server.port, post(GOOD))) == 200
        end = time.monotonic() + 10
        while "POST /v1/embeddings 200" not in server.log():
            assert time.monotonic() < end, server.log()
            time.sleep(0.05)
        assert status_of(ask_raw(server.port, post(b"{}"))) == 400
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert "POST /v1/embeddings 400" in server.log() and "Traceback" not in server.log()


HALF_A_BODY = HEAD + b'Content-Length: 100\r\n\r\n{"input": "a'
LONG = post(b'{"input": [' + b",".join([b'"' + b"the cat " * 40 + b'"'] * 2000) + b"]}")  # seconds of work


def test_a_client_that_leaves_is_not_computed_for(tiny_folder, tmp_path):
    with running(tmp_path, f"tiny={tiny_folder}", "--backend", "numpy", "--threads", "1") as server:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), 20) as sock:
                sock.sendall(LONG)
                time.sleep(0.05)
        end, asked = time.monotonic() + 20, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
        while b'status="499"} 3.0' not in (seen := ask_raw(server.port, asked)):
            assert time.monotonic() < end, seen
        assert b"minembed_queue_tokens 0.0" in seen and b"minembed_queue_requests 0.0" in seen
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(("raw", "grace"), [(HALF_A_BODY, 1), (LONG, 0)])
def test_a_grace_that_runs_out(raw, grace, tiny_folder, tmp_path):
    """A request that is not done by then is told so, and the server does not wait for it."""
    options = (f"tiny={tiny_folder}", "--backend", "numpy", "--threads", "1", "--grace", grace)
    with running(tmp_path, *options) as server, socket.create_connection(("127.0.0.1", server.port), 20) as busy:
        busy.sendall(raw)
        time.sleep(0.1)
        begin = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        answer = read_answer(busy)
        assert status_of(answer) == 503 and b"retry-after: 5" in answer and b"connection: close" in answer
        assert json_of(answer)["error"]["type"] == "server_error"
        assert server.process.wait(10) == 0 and grace <= time.monotonic() - begin < grace + 5
        assert "Traceback" not in server.log()


def test_a_port_that_is_taken(server):
    with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1"):
        bind("127.0.0.1", server.port)


def test_a_port_that_another_takes_while_models_load(tiny_folder, monkeypatch):
    """Both may bind it, since none listens yet; who listens later is told, and does not say that it is ready."""
    load = server_module.load_models
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))

        def load_slowly(settings):
            with pytest.raises(ConnectionRefusedError):  # not left waiting
                socket.create_connection(("127.0.0.1", settings.port), 5)
            other.listen()
            return load(settings)

        def ready(url):
            raise AssertionError(f"it says that it is ready on {url}")

        monkeypatch.setattr(server_module, "load_models", load_slowly)
        settings = Settings(models=(str(tiny_folder),), backend="numpy", threads=1, port=other.getsockname()[1])
        with pytest.raises(InputError, match=r"cannot listen on 127\.0\.0\.1:\d+: .*; --port takes another"):
            server_module.run(settings, ready)


@pytest.mark.parametrize("host", ["nosuch.invalid", "192.0.2.1", "a..b", "x" * 70 + ".example", "2001:db8::1"])
def test_a_host_that_is_not_of_this_machine(host):
    """Another port would not help."""
    with pytest.raises(InputError, match="; --host takes an address of this machine") as caught:
        bind(host, 0)
    assert "--port" not in str(caught.value)


def test_a_head_that_stops_in_the_middle_is_not_waited_for(server):
    """Closing one's side is no answer to wait for: the rest will never come."""
    begin = time.monotonic()
    answer = ask_raw(server.port, HEAD[:40], half_closed=True)
    assert status_of(answer) in (0, 400, 408) and time.monotonic() - begin < 15
