"""The settings of a server: those of the command line, checked once."""

import ipaddress
import re
from dataclasses import dataclass

from minembed.errors import InputError
from minembed.runtime.checks import check_whole
from minembed.types import DtypeChoice

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
MOST_THREADS = 1024  # more would only compete, and take minutes to start
LONGEST_GRACE = 86_400.0  # seconds
ANY_PAGE = ("*", "null")  # origins that every page of the web has, or can take on
ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?")
DEFAULT_PORTS = {"http": 80, "https": 443}  # which browsers leave out


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
        if not self.api_keys and not self.insecure_no_auth:
            for origin in set(self.allowed_origins).intersection(ANY_PAGE):
                raise InputError(
                    f"--allowed-origin {origin} lets any page of the web send requests: give --api-key-file, "
                    "or say --insecure-no-auth"
                )
        for host in self.allowed_hosts:
            host_form(host)
        for origin in self.allowed_origins:
            origin_form(origin)
        self._check_numbers()

    def _check_numbers(self) -> None:
        if self.threads is not None:
            check_whole("threads", self.threads, most=MOST_THREADS)
        if not 0 <= self.grace <= LONGEST_GRACE:  # nor NaN
            raise InputError(f"grace must be from 0 to {LONGEST_GRACE:.0f} seconds, not {self.grace}")
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


def host_form(name: str) -> str:
    """The form in which a Host header, without its port, carries a name; raises InputError if none can.

    >>> host_form("Vectors.example.org"), host_form("2001:DB8:0::1"), host_form("*")
    ('vectors.example.org', '[2001:db8::1]', '*')
    >>> host_form("localhost:8080")
    Traceback (most recent call last):
    minembed.errors.InputError: --allowed-host takes a host name, without scheme and port, or *; not 'localhost:8080'
    """
    form = "*" if name == "*" else _host_form(name.lower())
    if not form:
        raise InputError(
            f"--allowed-host takes a host name, without scheme and port, or *; not {name!r}{hint_for(name)}"
        )
    return form


def _host_form(name: str) -> str:
    """The form of a name in small letters, or of an address; empty if it is neither."""
    try:
        address = ipaddress.IPv6Address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return name if re.fullmatch(r"[a-z0-9._-]+", name) else ""
    return "" if address.scope_id else f"[{address.compressed}]"


def origin_form(origin: str) -> str:
    """The form in which browsers send an origin; raises InputError for what none sends.

    >>> origin_form("https://V2.example.org:443/"), origin_form("http://localhost:3000"), origin_form("*")
    ('https://v2.example.org', 'http://localhost:3000', '*')
    >>> origin_form("v2.example.org")
    Traceback (most recent call last):
    minembed.errors.InputError: --allowed-origin takes scheme://host or scheme://host:port, or *; not 'v2.example.org'
    """
    if origin in ANY_PAGE:
        return origin
    found = ORIGIN.fullmatch(origin.lower().removesuffix("/"))
    scheme, host, port = found.groups() if found else ("", "", None)
    form = _host_form(host)
    if not form or int(port or 1) not in range(1, 65536):
        raise InputError(
            f"--allowed-origin takes scheme://host or scheme://host:port, or *; not {origin!r}{hint_for(origin)}"
        )
    own = "" if port is None or int(port) == DEFAULT_PORTS.get(scheme) else f":{int(port)}"
    return f"{scheme}://{form}{own}"


def hint_for(name: str) -> str:
    """What else to say of a name that is not accepted.

    >>> hint_for("a b"), hint_for("b\u00fccher.example")
    ('', ' (other alphabets in the form that begins with xn--)')
    """
    return "" if name.isascii() else " (other alphabets in the form that begins with xn--)"


def named(argument: str) -> tuple[str, str]:
    """Split NAME=MODEL; the name of a model without one is its argument.

    >>> named("small=/models/minilm"), named("all-MiniLM-L6-v2")
    (('small', '/models/minilm'), ('all-MiniLM-L6-v2', 'all-MiniLM-L6-v2'))
    """
    name, equals, model = argument.partition("=")
    return (name, model) if equals and name and "/" not in name else (argument, argument)
