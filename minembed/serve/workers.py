"""The threads that compute: each takes a chunk from the queue, computes all of it, and delivers the results."""

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from minembed.runtime.threads import single_threaded_blas
from minembed.serve.queue import Chunk, Job, Lane, Part, Queue


class Watcher(Protocol):
    """An observer of chunks."""

    def chunk(self, chunk: Chunk, seconds: float) -> None:
        """Note a computed chunk and its time."""


@dataclass(frozen=True, slots=True)
class Workers:
    """Threads that work on a queue; `stop` waits for them."""

    queue: Queue
    threads: tuple[threading.Thread, ...]

    @staticmethod
    def start(queue: Queue, deliver: Callable[[list[Job]], None], watcher: Watcher | None = None) -> "Workers":
        """Start the queue's number of threads; on these, `deliver` gets the jobs that are done."""
        threads = tuple(
            threading.Thread(target=_serve, args=(queue, deliver, watcher), name=f"minembed-{i}", daemon=True)
            for i in range(queue.threads)
        )
        for thread in threads:
            thread.start()
        return Workers(queue, threads)

    def stop(self, timeout: float | None = None) -> None:
        """Accept no more jobs, compute those that wait, and end the threads; `timeout` is for all of them together."""
        self.queue.close()
        end = None if timeout is None else time.monotonic() + timeout
        for thread in self.threads:
            thread.join(None if end is None else max(0.0, end - time.monotonic()))


def _serve(queue: Queue, deliver: Callable[[list[Job]], None], watcher: Watcher | None) -> None:
    with ExitStack() as stack:
        stack.enter_context(single_threaded_blas())
        stack.enter_context(np.errstate(over="ignore", invalid="ignore", under="ignore"))  # results are checked instead
        while (chunk := queue.take()) is not None:
            begin = time.perf_counter()
            results = computed(chunk.lane, chunk.parts, chunk.together)
            seconds = time.perf_counter() - begin
            done = queue.finish(chunk, results, seconds)
            if done:
                deliver(done)
            if watcher is not None:  # nobody waits for what it notes
                watcher.chunk(chunk, seconds)
            del chunk, results, done  # not kept while the thread waits


def computed(lane: Lane, parts: Sequence[Part], together: bool) -> list[Any]:
    """The result of each part, or the Exception that it raises alone: no request fails because of another's text.

    >>> class Halves:
    ...     def compute(self, parts, together):
    ...         return [10 // part.start for part in parts]
    >>> computed(Halves(), [Part(None, 5, 6), Part(None, 0, 1)], False)
    [2, ZeroDivisionError('integer division or modulo by zero')]
    """
    try:
        return lane.compute(parts, together)
    except Exception as error:
        if len(parts) == 1:
            return [error]
    return [computed(lane, [part], together)[0] for part in parts]
