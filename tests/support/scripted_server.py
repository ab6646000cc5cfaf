"""A server that gives the answers that a test wrote, right or wrong."""

import json
import socketserver
import threading
import time
from contextlib import contextmanager


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
