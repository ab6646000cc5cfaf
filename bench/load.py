"""A load generator that leaves the cores to the server: one thread, sockets, requests prepared in advance.

`python load.py` reads its task as JSON from standard input and writes what it saw as JSON: it is a process of its own,
so that its processor time can be told.  Standard library only; it asks 127.0.0.1 and nobody else.
"""

import json
import re
import selectors
import socket
import sys
import time
from itertools import cycle

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
HOST = "127.0.0.1"


def request(path: str, body: dict) -> bytes:
    """The bytes of a POST."""
    content = json.dumps(body).encode()
    lines = (f"POST {path} HTTP/1.1", f"Host: {HOST}", "Content-Type: application/json")
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


class Client:
    """One connection, which sends the next request as soon as it gets an answer."""

    def __init__(self, port: int):
        self.socket = socket.create_connection((HOST, port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.begin, self.parts, self.left = 0.0, b"", -1

    def ask(self, content: bytes) -> None:
        """Send a complete request."""
        self.begin, self.parts, self.left = time.perf_counter(), b"", -1
        self.socket.sendall(content)

    def read(self) -> int | None:
        """Read the available data; returns the status if the answer is complete, otherwise None."""
        part = self.socket.recv(1 << 18)
        if not part:
            raise ConnectionError("the server closed a connection")
        if self.left >= 0:
            self.left -= len(part)
        else:
            self.parts += part
            end = self.parts.find(b"\r\n\r\n")
            if end < 0:
                return None
            self.left = int(LENGTH.search(self.parts, 0, end + 2)[1]) - (len(self.parts) - end - 4)
        return int(self.parts[9:12]) if self.left == 0 else None


def drive(port: int, requests: list[bytes], clients: int, seconds: float, most: int) -> dict:
    """Keep `clients` requests in flight, up to a time and a number of them: latencies, in order, and statuses."""
    latencies, statuses, left = [], {}, cycle(requests)
    with selectors.DefaultSelector() as selector:
        cpu, begin = time.process_time(), time.perf_counter()
        for _ in range(clients):
            client = Client(port)
            selector.register(client.socket, selectors.EVENT_READ, client)
            client.ask(next(left))
        running, asked, last = clients, clients, begin
        while running:
            for key, _ in selector.select(timeout=60):
                client = key.data
                status = client.read()
                if status is None:
                    continue
                last = time.perf_counter()
                latencies.append(last - client.begin)
                statuses[status] = statuses.get(status, 0) + 1
                if last - begin < seconds and asked < most:
                    client.ask(next(left))
                    asked += 1
                else:
                    selector.unregister(client.socket)
                    client.socket.close()
                    running -= 1
    own = time.process_time() - cpu
    return {"seconds": last - begin, "cpu_s": own, "latencies": sorted(latencies), "statuses": statuses}


def main() -> None:
    """Run the task on standard input."""
    task = json.load(sys.stdin)
    requests = [request(task["path"], body) for body in task["bodies"]]
    json.dump(drive(task["port"], requests, task["clients"], task["seconds"], task["most"]), sys.stdout)


if __name__ == "__main__":
    main()
