"""The load of `bench serve`, against a small server of the standard library: nothing is timed."""

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from places import ROOT

sys.path.insert(0, str(ROOT / "bench"))
try:
    import load
finally:
    sys.path.remove(str(ROOT / "bench"))


@pytest.fixture
def server():
    """A server that answers 200, or what a request asks for, in pieces; its port and what it was asked."""
    seen = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append(body["input"])
            answer = b"x" * body.get("size", 10)
            self.send_response(body.get("status", 200))
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            for start in range(0, len(answer), 70_000):
                self.wfile.write(answer[start : start + 70_000])

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield http.server_address[1], seen
        http.shutdown()
        thread.join()


def test_every_request_is_answered_and_counted(server):
    port, seen = server
    bodies = [
        {"input": ["a"]},
        {"input": ["ü"], "size": 500_000},
        {"input": ["c"], "status": 429},
        {"input": [], "size": 0},
    ]
    found = load.drive(port, [load.request("/", body) for body in bodies], clients=3, seconds=60, most=20)
    assert len(seen) == len(found["latencies"]) == 20 and found["statuses"] == {200: 15, 429: 5}
    assert sorted(map(str, seen)) == sorted(str(body["input"]) for body in bodies for _ in range(5))
    assert found["latencies"] == sorted(found["latencies"]) and found["latencies"][0] > 0


def test_it_ends_when_its_time_is_over(server):
    port, seen = server
    found = load.drive(port, [load.request("/", {"input": "a"})], clients=4, seconds=0, most=1000)
    assert len(seen) == len(found["latencies"]) == 4


def test_it_is_a_process_that_reads_its_task(server):
    port, _ = server
    task = {"port": port, "path": "/v1/embeddings", "bodies": [{"input": "a"}], "clients": 2, "seconds": 60, "most": 7}
    command = [sys.executable, str(ROOT / "bench" / "load.py")]
    done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["statuses"] == {"200": 7} and found["cpu_s"] > 0
