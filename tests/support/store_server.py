"""A local object store: moto's server, behind a proxy that simulates a bad network."""

import http.client
import threading
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


@contextmanager
def server():
    """moto's server on a free port of loopback; gives its endpoint."""
    from moto.server import ThreadedMotoServer

    made = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    made.start()
    try:
        host, port = made.get_host_and_port()
        yield f"http://{host}:{port}"
    finally:
        made.stop()


class Proxy:
    """Forwards requests; `fault(method, path, query, number)` returns None, or the name of the fault for a request.

    "403", "500" and "503" are answers, "drop" is none, "half" is half of an answer, "slow" comes after `seconds`.
    """

    def __init__(self, endpoint, seconds=3.0):
        self.target, self.seconds = urlsplit(endpoint), seconds
        self.fault = lambda method, path, query, number: None
        self.seen, self.lock = Counter(), threading.Lock()
        self.requests = []

    @contextmanager
    def serving(self):
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one(self):
                outer.handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_one

            def log_message(self, *args):
                pass

        made = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        made.daemon_threads = True
        threading.Thread(target=made.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{made.server_address[1]}"
        finally:
            made.shutdown()
            made.server_close()

    def handle(self, request):
        parts = urlsplit(request.path)
        with self.lock:
            number = self.seen[request.command]
            self.seen[request.command] += 1
            self.requests.append((request.command, parts.path, parts.query))
        fault = self.fault(request.command, parts.path, parts.query, number)
        body = self._body(request)
        if fault == "slow":
            threading.Event().wait(self.seconds)
        if fault == "drop":
            request.close_connection = True
            request.connection.close()
            return
        if fault in ("403", "500", "503"):
            code = {"403": "AccessDenied", "500": "InternalError", "503": "SlowDown"}[fault]
            self._answer(request, int(fault), {}, f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode())
            return
        connection = http.client.HTTPConnection(self.target.hostname, self.target.port, timeout=60)
        headers = {name: value for name, value in request.headers.items() if name.lower() != "transfer-encoding"}
        connection.request(request.command, request.path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        self._answer(request, answer.status, dict(answer.getheaders()), content, half=fault == "half")
        connection.close()

    def _body(self, request):
        length = request.headers.get("Content-Length")
        if length is not None:
            return request.rfile.read(int(length))
        if "chunked" not in request.headers.get("Transfer-Encoding", ""):
            return None
        pieces = []
        while size := int(request.rfile.readline().split(b";")[0], 16):
            pieces.append(request.rfile.read(size))
            request.rfile.readline()
        while request.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _answer(self, request, status, headers, content, half=False):
        request.send_response_only(status)
        length = headers.get("Content-Length", str(len(content))) if request.command == "HEAD" else str(len(content))
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                request.send_header(name, value)
        request.send_header("Content-Length", length)
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            request.close_connection = True
            request.wfile.flush()
            request.connection.close()
