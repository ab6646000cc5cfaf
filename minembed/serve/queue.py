"""The queue of requests, which are taken in parts that fill a chunk together.  There is no model and no HTTP here.

A request is a `Job` of items, each with a number of tokens, in a `Lane` of jobs that can be computed together.  A free
core takes a chunk at once; no job waits for a batch to fill.  Small jobs come first, in the order of their arrival; the
rest of a chunk, at least a quarter, is shared among the large jobs of the lane.  So a query only waits for the chunks
that are being computed when it arrives, however many texts others have sent.
"""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from minembed.errors import MinembedError
from minembed.models.batching import CHUNK_TOKENS, SMALLEST_CHUNK

SMALL = 4  # jobs of up to a quarter of a chunk come first, and a quarter is reserved for the others
STARVED = 1.0  # seconds after which a lane without small jobs is served before those with small jobs
LONGEST_RETRY = 60  # seconds


class FullError(MinembedError, RuntimeError):
    """The queue is full; `retry_after` is the number of seconds after which it may have space."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ClosedError(MinembedError, RuntimeError):
    """The queue accepts no more jobs: the server stops."""


class Lane(Protocol):
    """Jobs that can be computed together; two lanes are never mixed."""

    def compute(self, parts: "Sequence[Part]", together: bool) -> list[Any]:
        """Compute all parts on the calling thread, one result per part, or raise an error for all of them.

        `together` says that the other cores are idle, so they may help.
        """


@dataclass(eq=False, slots=True)
class Job:
    """The items of one request for one lane; each gets a result."""

    lane: Lane
    asked: Any  # the input of the lane
    sizes: Sequence[int]  # tokens of each item, as estimated
    arrived: float = 0.0
    taken: int = 0  # items
    left: int = 0  # items that have no result yet
    tokens: int = 0  # of the items that were not taken
    small: bool = False
    pieces: list[tuple[int, Any]] = field(default_factory=list)  # the start of each, and its result
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.left, self.tokens = len(self.sizes), sum(self.sizes)

    def results(self) -> list[Any]:
        """The results of all parts, in the order of the items."""
        return [piece for _, piece in sorted(self.pieces, key=lambda piece: piece[0])]

    def fitting(self, room: int) -> tuple[int, int]:
        """The number of remaining items that fit into `room` tokens, and their tokens.

        >>> Job(None, None, [10, 20, 30]).fitting(35)
        (2, 30)
        """
        count = total = 0
        for size in self.sizes[self.taken :] if self.taken else self.sizes:
            if total + size > room:
                break
            count, total = count + 1, total + size
        return count, total


@dataclass(frozen=True, slots=True)
class Part:
    """Items start to stop of a job."""

    job: Job
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """The next work for one core."""

    lane: Lane
    parts: tuple[Part, ...]
    tokens: int  # as estimated
    together: bool  # whether all other cores are idle, with nothing to do


@dataclass(slots=True)
class _Waiting:
    """The waiting jobs of one lane."""

    served: float  # when a chunk was last taken
    small: "deque[Job]" = field(default_factory=deque)
    large: "deque[Job]" = field(default_factory=deque)
    tokens: int = 0


class Queue:
    """Waiting jobs, limited in tokens and in number; shared by the thread that puts and those that take.

    >>> queue = Queue(threads=1)
    >>> queue.put(Job("lane", "texts", [3, 4]))
    >>> [(part.start, part.stop) for part in queue.take().parts]
    [(0, 2)]
    """

    def __init__(
        self,
        threads: int,
        chunk_tokens: int = CHUNK_TOKENS,
        max_tokens: int = 512 * CHUNK_TOKENS,
        max_jobs: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.threads, self.chunk_tokens = threads, chunk_tokens
        self.max_tokens, self.max_jobs, self.clock = max_tokens, max_jobs, clock
        self.tokens = self.jobs = 0  # that wait
        self._changed = threading.Condition()
        self._lanes: dict[Lane, _Waiting] = {}  # lanes with waiting jobs
        self._idle = 0  # threads
        self._closed = False
        self._rate = 0.0  # recent tokens per second and thread

    def put(self, job: Job) -> None:
        """Add a job.  Raises FullError if there is no space (an empty queue accepts any job), ClosedError."""
        with self._changed:
            if self._closed:
                raise ClosedError("the server stops: send the request elsewhere, or again later")
            if self.jobs >= self.max_jobs or (self.jobs and self.tokens + job.tokens > self.max_tokens):
                message = f"{self.tokens} tokens of {self.jobs} requests wait already; send it again later"
                raise FullError(message, self._retry_after())
            job.arrived = self.clock()
            job.small = job.tokens * SMALL <= self.chunk_tokens
            waiting = self._lanes.get(job.lane)
            if waiting is None:
                waiting = self._lanes[job.lane] = _Waiting(job.arrived)
            (waiting.small if job.small else waiting.large).append(job)
            self._count(waiting, 1, job.tokens)
            if self._idle:
                self._changed.notify()

    def cancel(self, job: Job) -> None:
        """Remove the waiting items of a job; results of those being computed are dropped."""
        with self._changed:
            self._drop(job)

    def take(self) -> Chunk | None:
        """Wait for work, and take it; None once the queue is closed and empty."""
        with self._changed:
            shares = self.threads  # take one share: the other threads are busy and will come back
            self._idle += 1
            while not self._lanes:
                if self._closed:
                    return None
                self._changed.wait()
                shares = self._idle  # idle threads take theirs at once
            self._idle -= 1
            lane = self._choose()
            parts, tokens = self._gather(lane, shares)
            if self._lanes and self._idle:
                self._changed.notify()
            return Chunk(lane, tuple(parts), tokens, not self._lanes and self._idle == self.threads - 1)

    def finish(self, chunk: Chunk, results: Sequence[Any], seconds: float) -> list[Job]:
        """Store the result of each part, an Exception if it failed; returns the jobs that are now done."""
        done = []
        with self._changed:
            rate = chunk.tokens / max(seconds, 1e-6)
            self._rate = rate if not self._rate else 0.9 * self._rate + 0.1 * rate
            for part, result in zip(chunk.parts, results, strict=True):
                job = part.job
                if job.error is not None:
                    continue
                if isinstance(result, Exception):
                    job.error = result
                    self._drop(job)
                    done.append(job)
                    continue
                job.pieces.append((part.start, result))
                job.left -= part.stop - part.start
                if not job.left:
                    done.append(job)
        return done

    def close(self) -> None:
        """Accept no more jobs; waiting ones are still computed."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _retry_after(self) -> int:
        wait = self.tokens / (self._rate * self.threads) if self._rate else 1.0
        return max(1, min(LONGEST_RETRY, math.ceil(wait)))

    def _count(self, waiting: _Waiting, jobs: int, tokens: int) -> None:
        waiting.tokens += tokens
        self.tokens += tokens
        self.jobs += jobs

    def _drop(self, job: Job) -> None:
        waiting = self._lanes.get(job.lane)
        if waiting is None or job.taken == len(job.sizes):
            return
        jobs = waiting.small if job.small else waiting.large
        if job in jobs:
            jobs.remove(job)
            self._count(waiting, -1, -job.tokens)
            self._forget_empty(job.lane, waiting)

    def _forget_empty(self, lane: Lane, waiting: _Waiting) -> None:
        if not waiting.small and not waiting.large:
            del self._lanes[lane]

    def _choose(self) -> Lane:
        """The lane with the oldest small job; one without small jobs if there is none, or if it has starved."""
        if len(self._lanes) == 1:
            return next(iter(self._lanes))
        urgent = {lane: waiting for lane, waiting in self._lanes.items() if waiting.small}
        others = {lane: waiting for lane, waiting in self._lanes.items() if not waiting.small}
        late = self.clock() - STARVED
        last = min(others, key=lambda lane: others[lane].served) if others else None
        if last is not None and (not urgent or others[last].served < late):
            return last
        return min(urgent, key=lambda lane: urgent[lane].small[0].arrived)

    def _gather(self, lane: Lane, shares: int) -> tuple[list[Part], int]:
        """Fill a chunk from one lane: one of `shares` equal shares of its waiting tokens, within the limits."""
        waiting = self._lanes[lane]
        waiting.served = self.clock()
        room = budget = max(SMALLEST_CHUNK, min(self.chunk_tokens, -(-waiting.tokens // shares)))
        kept = budget // SMALL if waiting.large else 0
        parts: list[Part] = []
        for jobs, least in ((waiting.small, kept), (waiting.large, 0)):
            share = max(SMALLEST_CHUNK, room // max(1, len(jobs))) if jobs is waiting.large else budget
            while jobs and room > least:
                part, tokens = self._part(jobs, min(share, room - least), must=not parts)
                if part is None:
                    break
                parts.append(part)
                room -= tokens
                self._count(waiting, -(part.stop == len(part.job.sizes)), -tokens)
        self._forget_empty(lane, waiting)
        return parts, budget - room

    def _part(self, jobs: "deque[Job]", room: int, must: bool) -> tuple[Part | None, int]:
        """Take what fits of the first job, and put back the rest of it: small jobs first, large ones last."""
        job = jobs[0]
        count, tokens = job.fitting(room)
        if not count:
            if not must:
                return None, 0
            count, tokens = 1, job.sizes[job.taken]
        start, job.taken = job.taken, job.taken + count
        job.tokens -= tokens
        jobs.popleft()
        if job.taken < len(job.sizes):
            jobs.appendleft(job) if job.small else jobs.append(job)
        return Part(job, start, job.taken), tokens
