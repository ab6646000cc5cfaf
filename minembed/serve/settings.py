"""The settings of a server: those of the command line, checked once."""

import ipaddress
from dataclasses import dataclass

from minembed.errors import InputError
from minembed.types import DtypeChoice

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a server.  Raises InputError for those that would leave it open to strangers.

    >>> Settings(models=("all-MiniLM-L6-v2",)).host
    '127.0.0.1'
    >>> Settings(models=("all-MiniLM-L6-v2",), host="0.0.0.0")
    Traceback (most recent call last):
    minembed.errors.InputError: host 0.0.0.0 can be reached by others: give --api-key-file, or say --insecure-no-auth
    """

    models: tuple[str, ...] = ()  # each a name, a folder, or NAME=FOLDER
    rerankers: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()  # folders
    host: str = "127.0.0.1"
    port: int = 8080
    api_keys: tuple[str, ...] = ()
    insecure_no_auth: bool = False
    allowed_hosts: tuple[str, ...] = ()  # beside those of this machine; "*" allows any
    allowed_origins: tuple[str, ...] = ()  # of pages of other servers that may send requests (CORS)
    threads: int | None = None
    dtype: DtypeChoice | None = None
    backend: str = "auto"
    offline: bool = False
    max_batch_tokens: int = 1024  # that are computed together on one core
    max_queue_tokens: int = 524_288  # that wait
    max_queue_requests: int = 1024
    max_items: int = 2048  # texts of a request
    max_body: int = 2_000_000  # bytes
    max_connections: int = 256
    strict: bool = False  # whether texts of too many tokens are errors
    accept_token_ids: bool = False
    access_log: str = "human"  # or "json", "none"
    grace: float = 30.0  # seconds that requests have to end when the server stops

    def __post_init__(self) -> None:
        if not (self.models or self.rerankers or self.indexes):
            raise InputError("nothing to serve: name a model, --rerank MODEL or --index FOLDER")
        if not is_loopback(self.host) and not self.api_keys and not self.insecure_no_auth:
            raise InputError(
                f"host {self.host} can be reached by others: give --api-key-file, or say --insecure-no-auth"
            )
        for name in ("max_batch_tokens", "max_queue_tokens", "max_queue_requests", "max_items", "max_body"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1, not {getattr(self, name)}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def named(argument: str) -> tuple[str, str]:
    """Split NAME=MODEL; the name of a model without one is its argument.

    >>> named("small=/models/minilm"), named("all-MiniLM-L6-v2")
    (('small', '/models/minilm'), ('all-MiniLM-L6-v2', 'all-MiniLM-L6-v2'))
    """
    name, equals, model = argument.partition("=")
    return (name, model) if equals and name and "/" not in name else (argument, argument)
