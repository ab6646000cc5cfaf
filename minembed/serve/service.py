"""Between the event loop and the threads that compute: a job goes to the queue, and its request waits for it."""

import asyncio
from typing import Any

import numpy as np

from minembed.serve.lanes import Rows
from minembed.serve.queue import Job, Queue
from minembed.serve.request import Request
from minembed.types import Array


class Service:
    """Runs jobs for the requests of one event loop."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._futures: dict[Job, asyncio.Future[None]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def deliver(self, jobs: list[Job]) -> None:
        """Take the jobs that are done, from any thread."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._resolve, jobs)

    def _resolve(self, jobs: list[Job]) -> None:
        for job in jobs:
            future = self._futures.get(job)
            if future is not None and not future.done():
                future.set_result(None)

    async def run(self, job: Job, request: Request) -> list[Rows]:
        """Compute a job.  Raises its error, FullError or ClosedError of the queue, or GoneError."""
        loop = self._loop = asyncio.get_running_loop()
        future = self._futures[job] = loop.create_future()
        try:
            request.presence.expect(future)
            self.queue.put(job)
            await future
        except BaseException:
            self.queue.cancel(job)
            raise
        finally:
            request.presence.expect(None)
            del self._futures[job]
        if job.error is not None:
            raise job.error
        return job.results()


def joined(parts: list[Rows]) -> Array:  # -> (N, width)
    """The rows of all parts as one contiguous array, for JSON.

    >>> joined([Rows(np.ones((2, 3))), Rows(np.ones((1, 3)))]).shape
    (3, 3)
    """
    rows: list[Array] = [part.rows for part in parts]
    return np.ascontiguousarray(rows[0]) if len(rows) == 1 else np.concatenate(rows)


def chained(parts: list[Rows]) -> list[Any]:
    """The rows of all parts, which are lists, as one list.

    >>> chained([Rows([1, 2]), Rows([3])])
    [1, 2, 3]
    """
    return [row for part in parts for row in part.rows]


def counted(parts: list[Rows]) -> tuple[int, int]:
    """The number of tokens that were read, and of truncated items.

    >>> counted([Rows([], 7, 1), Rows([], 5, 0)])
    (12, 1)
    """
    return sum(part.tokens for part in parts), sum(part.truncated for part in parts)
