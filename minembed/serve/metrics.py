"""Metrics for Prometheus: requests, latencies, tokens, chunks and the queue."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from minembed.serve.queue import Chunk, Queue

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOKENS = (16, 32, 64, 128, 256, 512, 768, 1024, 2048, 4096)
CONTENT_TYPE = CONTENT_TYPE_LATEST


class Meter:
    """The metrics of one server.

    >>> meter = Meter(Queue(threads=1))
    >>> meter.request("/v1/embeddings", "minilm", 200, 0.004, 12)
    >>> 'minembed_requests_total{route="/v1/embeddings",status="200"} 1.0' in meter.text().decode()
    True
    """

    def __init__(self, queue: Queue) -> None:
        own = self._registry = CollectorRegistry()
        by_model = ("route", "model")
        self._requests = Counter("minembed_requests", "Requests answered", ("route", "status"), registry=own)
        self._seconds = Histogram(
            "minembed_request_seconds",
            "From the head of a request to its answer",
            by_model,
            registry=own,
            buckets=SECONDS,
        )
        self._tokens = Counter("minembed_tokens", "Tokens read", by_model, registry=own)
        self._chunk_tokens = Histogram(
            "minembed_chunk_tokens", "Tokens computed together, as estimated", registry=own, buckets=TOKENS
        )
        self._chunk_parts = Histogram(
            "minembed_chunk_requests", "Requests computed together", registry=own, buckets=(1, 2, 4, 8, 16, 32, 64, 128)
        )
        self._chunk_seconds = Histogram("minembed_chunk_seconds", "Time of a chunk", registry=own, buckets=SECONDS)
        self._waited = Histogram("minembed_queue_seconds", "Time in the queue", registry=own, buckets=SECONDS)
        Gauge("minembed_queue_tokens", "Tokens that wait", registry=own).set_function(lambda: queue.tokens)
        Gauge("minembed_queue_requests", "Requests that wait", registry=own).set_function(lambda: queue.jobs)
        self._clock = queue.clock
        self._counts: dict[tuple[str, int], Counter] = {}  # cached: a look-up by labels is slow
        self._of_models: dict[tuple[str, str], tuple[Histogram, Counter]] = {}
        started = Gauge("minembed_start_time_seconds", "When the server began, in seconds since 1970", registry=own)
        started.set(time.time())

    def request(self, route: str, model: str, status: int, seconds: float, tokens: int) -> None:
        """Count a request that was answered."""
        count = self._counts.get((route, status))
        if count is None:
            count = self._counts[route, status] = self._requests.labels(route, str(status))
        count.inc()
        if model:
            own = self._of_models.get((route, model))
            if own is None:
                own = self._seconds.labels(route, model), self._tokens.labels(route, model)
                self._of_models[route, model] = own
            own[0].observe(seconds)
            own[1].inc(tokens)

    def chunk(self, chunk: Chunk, seconds: float) -> None:
        """Count a chunk that was computed; called by the threads that compute."""
        self._chunk_tokens.observe(chunk.tokens)
        self._chunk_parts.observe(len(chunk.parts))
        self._chunk_seconds.observe(seconds)
        now = self._clock() - seconds
        for part in chunk.parts:
            if part.start == 0:
                self._waited.observe(max(0.0, now - part.job.arrived))

    def text(self) -> bytes:
        """All metrics, in the text format of Prometheus."""
        return generate_latest(self._registry)
