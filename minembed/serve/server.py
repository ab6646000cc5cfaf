"""The whole server: its parts are assembled, and run until a signal stops it gracefully."""

import errno
import logging
import math
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn

from minembed.errors import InputError
from minembed.runtime.threads import check_threads
from minembed.serve.access import AccessLog
from minembed.serve.app import App
from minembed.serve.loading import load_models
from minembed.serve.metrics import Meter
from minembed.serve.protocol import IDLE_SECONDS, protocol_with
from minembed.serve.queue import Queue
from minembed.serve.served import Models
from minembed.serve.service import Service
from minembed.serve.settings import Settings
from minembed.serve.table import table_of
from minembed.serve.workers import Workers

LOG = logging.getLogger("minembed")
BACKLOG = 1024  # connections that the system holds until they are accepted


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running server."""

    settings: Settings
    app: App
    queue: Queue
    meter: Meter
    service: Service
    log: AccessLog

    def start(self) -> Workers:
        """Start the threads that compute."""
        return Workers.start(self.queue, self.service.deliver, self.meter)


def assemble(settings: Settings, models: Models) -> Parts:
    """Assemble a server; nothing runs yet."""
    queue = Queue(
        check_threads(settings.threads),
        settings.max_batch_tokens,
        settings.max_queue_tokens,
        settings.max_queue_requests,
    )
    meter, service, log = Meter(queue), Service(queue), AccessLog(settings.access_log)
    app = App(settings, lambda app: table_of(settings, models, service, meter, lambda: app.stopping), meter, log)
    return Parts(settings, app, queue, meter, service, log)


class Server(uvicorn.Server):
    """Uvicorn's server; a signal stops it gracefully, and a second one at once."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start, self._on_stop = on_start, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and call `on_start`."""
        await super().startup(sockets)
        self._on_start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM; they end the process with code 0, so they are not raised again."""
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop gracefully; at the second signal, at once."""
        if self.should_exit:
            os._exit(128 + sig)
        self._on_stop()
        self.should_exit = True


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket to an address; raises InputError if that fails.

    >>> with bind("127.0.0.1", 0) as sock:
    ...     sock.getsockname()[0]
    '127.0.0.1'
    """
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # so that the port of a killed server can be used again at once
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.strip("[]"), port))
    except (OSError, UnicodeError) as error:  # UnicodeError: of a name that DNS cannot hold, as "a..b"
        sock.close()
        raise cannot_listen(host, port, error) from error
    return sock


def listen(sock: socket.socket) -> None:
    """Accept connections on a bound socket; raises InputError if another process took the port since it was bound.

    Two processes may bind one port as long as none listens, and uvloop does not say that listening failed.

    >>> with bind("127.0.0.1", 0) as sock:
    ...     listen(sock)
    """
    try:
        sock.listen(BACKLOG)
    except OSError as error:
        host, port = sock.getsockname()[:2]
        raise cannot_listen(host, port, error) from error


def cannot_listen(host: str, port: int, error: Exception) -> InputError:
    """The error of an address at which the server cannot listen, with the option that helps.

    >>> str(cannot_listen("127.0.0.1", 80, PermissionError(errno.EACCES, "Permission denied")))
    'cannot listen on 127.0.0.1:80: Permission denied; --port takes another'
    >>> str(cannot_listen("8.8.8.8", 80, OSError(errno.EADDRNOTAVAIL, "no such address")))
    'cannot listen on 8.8.8.8:80: no such address; --host takes an address of this machine'
    """
    is_system = isinstance(error, OSError) and not isinstance(error, socket.gaierror)  # whose numbers mean other things
    of_port = is_system and getattr(error, "errno", None) in (errno.EADDRINUSE, errno.EACCES)
    remedy = "--port takes another" if of_port else "--host takes an address of this machine"
    return InputError(f"cannot listen on {host}:{port}: {getattr(error, 'strerror', None) or error}; {remedy}")


def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Load, and serve until a signal comes; `ready` is called with the URL once requests are answered.

    Until then connections are refused, so that a proxy asks another server instead of waiting for this one.
    """
    with bind(settings.host, settings.port) as sock:
        parts = assemble(settings, load_models(settings))
        host, port = sock.getsockname()[:2]
        url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        server = Server(config_of(parts), lambda: ready(url), parts.app.stop)
        listen(sock)
        workers = parts.start()
        try:
            server.run([sock])
        finally:
            workers.stop(timeout=settings.grace)
            parts.log.flush()


def config_of(parts: Parts) -> uvicorn.Config:
    """Uvicorn's configuration for the application."""
    return uvicorn.Config(
        parts.app,
        http=protocol_with(parts.settings.max_connections),
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="error",  # a line for each request that is not HTTP would fill the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_SECONDS,
        timeout_graceful_shutdown=math.ceil(parts.settings.grace),
        backlog=BACKLOG,
    )
