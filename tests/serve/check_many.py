"""200 clients of three models at once, and half of them killed: `make test-serve`.

Every answer has the bits of `encode` of each text alone.  REQUESTS says how many each client sends.
"""

import base64
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hostile import post
from raw_http import json_of, read_answer, status_of
from serving import running
from tiny import write_tiny_checkpoint

from minembed import Embedder

CLIENTS, REQUESTS = 200, int(os.environ.get("REQUESTS", "100"))
WORDS = "the a of and cat dog house tree river bread oven rain sun train book code test index query cache 中 文".split()


def texts_of(count):
    rng = random.Random(7)
    return [" ".join(rng.choices(WORDS, k=int(rng.lognormvariate(2, 1)) + 1)) for _ in range(count)]


TEXTS = texts_of(300)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Three models: name, folder, and the vector of each text alone."""
    folder, found = tmp_path_factory.mktemp("models"), {}
    for seed, name in enumerate(("one", "two", "three")):
        own = write_tiny_checkpoint(folder / name, seed=seed, hidden_size=32 + 16 * seed)
        model = Embedder.load(own, threads=1)
        found[name] = own, {text: model.encode(text, truncation="silent") for text in TEXTS}
    return found


@pytest.fixture
def server(models, tmp_path):
    named = [f"{name}={folder}" for name, (folder, _) in models.items()]
    with running(
        tmp_path, *named, "--access-log", "none", "--max-queue-requests", "100000", wait=120
    ) as running_server:
        yield running_server


def client(port, models, seed, requests):
    """Send requests of one text to 64 to any model; count the rows that are not those of the text alone."""
    rng, wrong, rows = random.Random(seed), 0, 0
    with socket.create_connection(("127.0.0.1", port), 300) as sock:
        for _ in range(requests):
            name, form = rng.choice(list(models)), rng.choice(["float", "base64"])
            texts = [rng.choice(TEXTS) for _ in range(rng.choice([1, 1, 1, 2, 5, 16, 64]))]
            sock.sendall(post(json.dumps({"input": texts, "model": name, "encoding_format": form}).encode()))
            answer = read_answer(sock)
            assert status_of(answer) == 200, answer[:300]
            for text, item in zip(texts, json_of(answer)["data"], strict=True):
                value = item["embedding"]
                row = np.frombuffer(base64.b64decode(value), "<f4") if form == "base64" else np.float32(value)
                wrong += row.tobytes() != models[name][1][text].tobytes()
                rows += 1
    return wrong, rows


def test_no_byte_is_wrong_for_200_clients(server, models, amount):
    each, first, begin = amount.rounds(REQUESTS, each=CLIENTS), amount.seed(0), time.monotonic()
    with ThreadPoolExecutor(CLIENTS) as pool:
        seeds = range(first, first + CLIENTS)
        found = list(pool.map(lambda seed: client(server.port, models, seed, each), seeds))
    wrong, rows = (sum(column) for column in zip(*found, strict=True))
    print(f"{CLIENTS * each} requests, {rows} rows, {wrong} wrong, in {time.monotonic() - begin:.0f} s")
    assert wrong == 0


BULK = """
import sys
sys.path[:0] = sys.argv[3:]
import json, socket
from hostile import post
body = json.dumps({"input": ["the cat in the rain and the sun"] * 500, "model": "three"}).encode()
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 300) as sock:
    while True:
        sock.sendall(post(body))
        sock.recv(int(sys.argv[2]))
"""


def test_clients_that_are_killed_disturb_nobody(server, models):
    support = str(Path(__file__).parents[1] / "support")
    killed = [
        subprocess.Popen([sys.executable, "-c", BULK, str(server.port), str(size), support])
        for size in (1, 100, 10**6)
        for _ in range(4)
    ]
    with ThreadPoolExecutor(12) as pool:
        others = [pool.submit(client, server.port, models, seed, 40) for seed in range(12)]
        time.sleep(3)
        for process in killed:
            process.send_signal(signal.SIGKILL)
            process.wait()
        found = [other.result(timeout=300) for other in others]
    assert sum(wrong for wrong, _ in found) == 0
    time.sleep(1)
    waiting = [line for line in metrics(server.port) if line.startswith("minembed_queue_tokens")]
    assert waiting == ["minembed_queue_tokens 0.0"]  # their work was dropped
    assert server.process.poll() is None and "Traceback" not in server.log() and "failed" not in server.log()


def metrics(port):
    with socket.create_connection(("127.0.0.1", port), 30) as sock:
        sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return read_answer(sock).decode().splitlines()
