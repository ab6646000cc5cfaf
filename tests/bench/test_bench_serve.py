"""The load of `bench serve`, against a small server of the standard library, and its report: nothing is timed."""

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


MACHINE = {
    "cpu": "a CPU",
    "cores": 2,
    "usable_cores": 2,
    "memory_gb": 8.0,
    "system": "Linux 6",
    "python": "CPython 3.12.0",
}
HEAD = {"date": "2026-01-02 03:04 UTC", "commit": {"id": "0123456789abcdef", "changed": False}, "machine": MACHINE}


def cell(shape, clients, rate, p50=5.0, p99=9.0, cpu=2500.0, others=0.0):
    found = {"shape": shape, "clients": clients, "requests": 900, "failed": 0, "texts_per_s": rate, "p50_ms": p50}
    shares = {"generator_us_a_request": 90.0, "generator_share": 0.03, "others": others}
    return found | {"p99_ms": p99, "cpu_us_a_text": cpu} | shares


def result():
    """A record of `bench serve`: ours, a peer that is slower, one that is absent."""
    ours = [cell("short", 1, 150.0, p50=5.4), cell("short", 64, 700.0, p99=100.0), cell("batch", 64, 180.0)]
    peer = [cell("short", 1, 90.0), cell("short", 64, 350.0, p99=200.0), cell("batch", 64, 60.0)]
    found = [
        {"server": "minembed", "precision": "float32", "cells": ours},
        {"server": "fastapi-onnxruntime", "precision": "float32", "cells": peer},
        {"server": "tei", "precision": "float32", "cells": "not on the path"},
    ]
    base = {"short": {"texts_per_s": 800.0, "cpu_us": 2300.0}, "batch": {"texts_per_s": 200.0, "cpu_us": 9000.0}}
    starts = [{"what": "minembed, int8", "median_s": 0.8, "worst_s": 0.9, "runs": 5}]
    return {
        **HEAD,
        "settings": {"threads": 2, "batch": 64},
        "offline": {"float32": {**base, "single": {"p50_ms": 5.0, "cpu_us": 9000.0}}},
        "found": found,
        "starts": starts,
        "versions": {"minembed": "0.2.0", "torch": None},
    }


def test_the_report_compares_servers(bench):
    text = bench.report_serve.serve(result(), {})
    row = "| **minembed** | float32 | 150 | 5.4 |  |  | **700** | 0.88 | 5 | 100 | 2500 | 2300 | 3.0% |"
    assert row in text and "- text-embeddings-inference, float32: not on the path" in text
    assert "| minembed, int8 | **0.80** | 0.90 | 5 |" in text and "torch" not in text and "Others used" not in text
    disturbed = result()
    disturbed["found"][0]["cells"].append(cell("short", 8, 400.0, others=0.5))
    assert "Others used the machine" in bench.report_serve.serve(disturbed, {})


def test_the_targets_of_servers(bench):
    found = {what: (value, sign, limit) for what, value, sign, limit, _ in bench.report_serve.figures(result())}
    expected = {
        "server, 64 clients, batch, float32: rate over that of `encode`": (0.9, "≥", 0.8),
        "server, 64 clients, short, float32: rate over that of `encode`": (0.875, "≥", 0.75),
        "server, float32: its own CPU a short request": (200.0, "≤", 200),
        "server, float32: p50 of 1 client, above a single `encode`": (pytest.approx(0.4), "≤", 0.5),
        "server, 64 clients, short, float32: rate over the best peer's": (2.0, "≥", 1.5),
        "server, 64 clients, batch, float32: rate over the best peer's": (3.0, "≥", 2.5),
        "server, 64 clients, short, float32: p99 over the best peer's": (0.5, "≤", 0.7),
        "server: start of the process to the first vectors": (0.8, "≤", 1.0),
    }
    assert {what: found[what] for what in expected} == expected
    assert {value for what, (value, *_) in found.items() if what not in expected} == {None}  # int8, bfloat16
    assert {value for _, value, *_ in bench.report_serve.figures({})} == {None}


def test_shapes_can_be_measured_one_after_the_other(bench):
    before, shorter = result()["found"], [cell("short", 64, 999.0)]
    found = [
        {"server": "minembed", "precision": "float32", "cells": shorter},
        {"server": "infinity-torch", "precision": "float32", "cells": "absent"},
    ]
    rows = {row["server"]: row["cells"] for row in bench.bench_serve.together(before, found)}
    assert list(rows) == ["minembed", "infinity-torch", "fastapi-onnxruntime", "tei"]
    kept = [(one["shape"], one["clients"], one["texts_per_s"]) for one in rows["minembed"]]
    assert kept == [("short", 1, 150.0), ("batch", 64, 180.0), ("short", 64, 999.0)]


def test_the_report_of_a_long_run(bench):
    def lap(minute, p99, size):
        short = {"requests": 1000, "failed": 0, "p50_ms": 50.0, "p99_ms": p99}
        rest = {"batch": {**short, "requests": 10}, "resident_mb": size, "load_average": 2.5, "others": 0.07}
        return {"minute": minute, "short": short, **rest}

    laps = [lap(1, 100.0, 200.0), lap(2, 100.0, 206.0), lap(3, 100.0, 201.0), lap(4, 110.0, 204.0)]
    about = {"settings": {"threads": 2, "precision": "float32"}, "clients": {"short": 48, "batch": 4}}
    text = bench.report_serve.soak({**HEAD, **about, "laps": laps}, {})
    assert "4,040 requests, 0 of them failed" in text and "3.0% apart at most" in text and "is 1.10 times" in text
    assert "| 4 | 1000 | 50 | 110 | 10 | 50 | 110 | 204.0 | 2.5 | 7% |" in text


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
