"""Whether the client of a connection is still there, told to the request that waits, without a task that asks."""

import asyncio


class GoneError(Exception):
    """The client has disconnected."""


class Presence:
    """The client of one connection; one of its requests at a time waits for a result.

    >>> presence = Presence()
    >>> presence.leave()
    >>> presence.is_gone
    True
    """

    __slots__ = ("_future", "is_gone")

    def __init__(self) -> None:
        self.is_gone = False
        self._future: asyncio.Future[None] | None = None

    def expect(self, future: "asyncio.Future[None] | None") -> None:
        """Fail this future with GoneError when the client leaves; None ends that.  Raises GoneError if it has left."""
        if future is not None and self.is_gone:
            raise GoneError
        self._future = future

    def leave(self) -> None:
        """The client has disconnected; called on the thread of the event loop."""
        self.is_gone = True
        if self._future is not None and not self._future.done():
            self._future.set_exception(GoneError())
