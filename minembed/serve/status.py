"""The state of the server: /health and /ready for monitoring, /metrics for Prometheus."""

from collections.abc import Callable

from minembed.serve.errors import Refusal
from minembed.serve.metrics import CONTENT_TYPE, Meter
from minembed.serve.request import Answer, Request


class Status:
    """The handlers."""

    def __init__(self, meter: Meter, is_stopping: Callable[[], bool]) -> None:
        self.meter, self.is_stopping = meter, is_stopping

    async def health(self, request: Request) -> Answer:
        """200 as long as the process answers."""
        return Answer(b"{}")

    async def ready(self, request: Request) -> Answer:
        """200 as long as requests are accepted; 503 once the server stops."""
        if self.is_stopping():
            raise Refusal(503, "the server stops", "stopping", headers={"retry-after": "5"})
        return Answer(b"{}")

    async def metrics(self, request: Request) -> Answer:
        """The metrics for Prometheus."""
        return Answer(self.meter.text(), content_type=CONTENT_TYPE)
