"""One call of a client, with all its requests: stopping it ends the pauses and the requests of every thread."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Event

from minembed.runtime.progress import Stopped


class Call:
    """The requests of one call.  Once it is stopped, none is sent, and those being answered end at once.

    >>> call = Call()
    >>> call.stop()
    >>> call.pause(60.0)
    Traceback (most recent call last):
    minembed.runtime.progress.Stopped
    """

    def __init__(self) -> None:
        self.stopped = Event()
        self._sockets: set[socket.socket] = set()

    def stop(self) -> None:
        """End all requests: their threads raise Stopped, or an error of the connection, which nobody waits for."""
        self.stopped.set()
        for one in list(self._sockets):
            with suppress(OSError):  # closed already
                socket.socket.shutdown(one, socket.SHUT_RDWR)  # an SSLSocket's own would drop what its reader holds

    def check(self) -> None:
        """Raise Stopped if the call was stopped."""
        if self.stopped.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Wait, as long as the call is not stopped; raises Stopped if it is."""
        self.stopped.wait(seconds)
        self.check()

    @contextmanager
    def using(self, one: socket.socket) -> Iterator[None]:
        """Let `stop` end what waits for a socket; raises Stopped if the call was stopped before."""
        self._sockets.add(one)
        try:
            self.check()  # after the socket is known: a `stop` before this line has not seen it
            yield
        finally:
            self._sockets.discard(one)


class Alone(Call):
    """A call with one request, in the thread of the caller, which an interrupt reaches by itself.

    >>> Alone().pause(0.0)
    """

    def pause(self, seconds: float) -> None:
        """Wait: on every system Ctrl-C ends this, but not the wait for an event."""
        time.sleep(seconds)
