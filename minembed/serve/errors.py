"""Error responses, in the shape of each interface."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minembed.errors import InputError, MinembedError, NumericalError, TokenizationError
from minembed.serve.queue import ClosedError, FullError

LONGEST = 300  # characters of a message; long input is not echoed
OPENAI, TEI, RERANK = "openai", "tei", "rerank"  # the shapes


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of refusal: its names in text-embeddings-inference and OpenAI, and TEI's status if it differs."""

    tei: str
    openai: str = "invalid_request_error"
    code: str | None = None
    tei_status: int | None = None


KINDS = {
    "syntax": Kind("Validation"),
    "invalid": Kind("Validation", tei_status=422),
    "empty": Kind("Empty"),
    "unsupported": Kind("Validation"),
    "tokenizer": Kind("Tokenizer", tei_status=422),
    "backend": Kind("Backend", "server_error"),
    "overloaded": Kind("Overloaded", "rate_limit_error", "rate_limit_exceeded"),
    "stopping": Kind("Unhealthy", "server_error"),
    "key": Kind("Validation", code="invalid_api_key"),
    "model": Kind("Validation", code="model_not_found"),
    "internal": Kind("Backend", "server_error"),
}


class Refusal(Exception):
    """An error response: its status, its kind, and a message for the client."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = "invalid",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.kind, self.param = status, message, kind, param
        self.headers = headers or {}

    def body(self, shape: str) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object of an interface.

        >>> Refusal(400, "`input` is empty", "empty").body("tei")
        (400, {'error': '`input` is empty', 'error_type': 'Empty'})
        """
        kind = KINDS[self.kind]
        message = self.message if len(self.message) <= LONGEST else self.message[:LONGEST] + "..."
        if shape == TEI:
            status = kind.tei_status if kind.tei_status and self.status == 400 else self.status
            return status, {"error": message, "error_type": kind.tei}
        if shape == RERANK:
            return self.status, {"message": message, "detail": message}
        error = {"message": message, "type": kind.openai, "param": self.param, "code": kind.code}
        return self.status, {"error": error}


def refusal_of(error: Exception) -> Refusal:
    """The response to an error of the package; any other error is a 500 without its cause.

    >>> refusal_of(InputError("dimensions 0")).status, refusal_of(KeyError("secret")).message
    (400, 'something went wrong here; the log of the server says what')
    """
    if isinstance(error, Refusal):
        return error
    if isinstance(error, FullError):
        return Refusal(429, str(error), "overloaded", headers={"retry-after": str(error.retry_after)})
    if isinstance(error, ClosedError):
        return Refusal(503, str(error), "stopping", headers={"retry-after": "5", "connection": "close"})
    if isinstance(error, NumericalError):
        return Refusal(424, str(error), "backend")
    if isinstance(error, TokenizationError):
        return Refusal(400, str(error), "tokenizer")
    if isinstance(error, InputError):
        return Refusal(400, str(error))
    if isinstance(error, MinembedError):
        return Refusal(424, str(error), "backend")
    return Refusal(500, "something went wrong here; the log of the server says what", "internal")
