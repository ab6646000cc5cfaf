"""Access control: the checks of a request's head, before its body is read."""

import hashlib
import hmac
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import Message
from email.utils import collapse_rfc2231_value
from functools import lru_cache

from minembed.serve.errors import Refusal
from minembed.serve.settings import LOOPBACK_NAMES, Settings, host_form, origin_form

ONCE = {  # headers that may occur once, and the field for each
    b"host": "host",
    b"origin": "origin",
    b"authorization": "authorization",
    b"content-type": "content_type",
    b"content-length": "content_length",
    b"transfer-encoding": "transfer_encoding",
    b"content-encoding": "content_encoding",
}


@dataclass(slots=True)
class Head:
    """The headers that are checked."""

    host: bytes | None = None
    origin: bytes | None = None
    authorization: bytes | None = None
    content_type: bytes | None = None
    content_length: bytes | None = None
    transfer_encoding: bytes | None = None
    content_encoding: bytes | None = None

    @staticmethod
    def of(headers: Sequence[tuple[bytes, bytes]]) -> "Head":
        """Extract them; raises Refusal for one that is given twice.

        >>> Head.of([(b"host", b"localhost")]).host
        b'localhost'
        """
        head = Head()
        for name, value in headers:
            field = ONCE.get(name)
            if field is not None:
                if getattr(head, field) is not None:
                    raise Refusal(400, f"the header {name.decode()} is given twice", "syntax")
                setattr(head, field, value)
        return head


class Guard:
    """The checks of one server.

    >>> guard = Guard(Settings(models=("m",)))
    >>> guard.check_host(Head(host=b"localhost:8080"))
    >>> guard.check_host(Head(host=b"evil.example"))
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: this server does not answer for that Host; --allowed-host adds one
    """

    def __init__(self, settings: Settings) -> None:
        host = settings.host if ":" not in settings.host else f"[{settings.host.strip('[]')}]"
        names = (*LOOPBACK_NAMES, host.lower(), *map(host_form, settings.allowed_hosts))
        self._any_host, self._any_origin = "*" in settings.allowed_hosts, "*" in settings.allowed_origins
        self._hosts = frozenset(name.encode() for name in names)
        self._origins = frozenset(origin_form(origin).encode() for origin in settings.allowed_origins)
        self._keys = [hashlib.sha256(key.encode()).digest() for key in settings.api_keys]

    def check_host(self, head: Head) -> None:
        """Refuse unknown host names, against DNS rebinding."""
        if head.host is None or not (self._any_host or host_name(head.host) in self._hosts):
            raise Refusal(421, "this server does not answer for that Host; --allowed-host adds one", "unsupported")

    def check_origin(self, head: Head) -> bytes | None:
        """Refuse pages of other servers; returns the origin of an allowed one."""
        origin = head.origin
        if origin is None:
            return None
        if self._any_origin or origin in self._origins:
            return origin
        scheme, _, rest = origin.partition(b"://")
        if scheme in (b"http", b"https") and rest.lower() == (head.host or b"").lower():
            return None  # a page of this server
        raise Refusal(403, "pages of other servers may not ask this one; --allowed-origin allows it", "unsupported")

    def check_key(self, head: Head) -> None:
        """Refuse clients without a valid key, if keys are set; all keys are compared, in constant time."""
        if not self._keys:
            return
        digest = hashlib.sha256(key_of(head.authorization or b"")).digest()
        if not sum(hmac.compare_digest(digest, key) for key in self._keys):
            headers = {"www-authenticate": 'Bearer realm="minembed", Basic realm="minembed"'}
            raise Refusal(401, "this server wants a key: send Authorization: Bearer KEY", "key", headers=headers)


def host_name(host: bytes) -> bytes:
    """A Host without its port.

    >>> host_name(b"LocalHost:80"), host_name(b"[::1]:80"), host_name(b"::1"), host_name(b"[::1].evil.example")
    (b'localhost', b'[::1]', b'::1', b'[::1].evil.example')
    """
    host = host.strip().lower()
    name, colon, port = host.rpartition(b":")
    if host.startswith(b"["):
        return name if colon and port.isdigit() and name.endswith(b"]") else host
    return name if colon and port.isdigit() and b":" not in name else host


def key_of(authorization: bytes) -> bytes:
    """The key in an Authorization header: that of Bearer, or the password of Basic, which browsers can ask for.

    >>> key_of(b"Bearer abc"), key_of(b"Basic dTphYmM="), key_of(b"other")
    (b'abc', b'abc', b'')
    """
    scheme, _, rest = authorization.partition(b" ")
    if scheme.lower() == b"bearer":
        return rest.strip()
    if scheme.lower() == b"basic":
        try:
            return b64decode(rest.strip(), validate=True).partition(b":")[2]
        except ValueError:
            return b""
    return b""


def check_body(head: Head, limit: int) -> None:
    """Refuse bodies whose headers announce too many bytes (413), another type (415), or no length (411).

    >>> check_body(Head(content_type=b"application/json; charset=utf-8", content_length=b"12"), 100)
    """
    if head.transfer_encoding is not None:
        if head.content_length is not None or head.transfer_encoding.strip().lower() != b"chunked":
            raise Refusal(400, "Transfer-Encoding must be chunked, without Content-Length", "syntax", headers=CLOSE)
    elif head.content_length is None:
        raise Refusal(411, "send a Content-Length", "syntax", headers=CLOSE)
    else:
        digits = head.content_length
        if not digits.isdigit() or len(digits) > 18:
            raise Refusal(400, "Content-Length is no number", "syntax", headers=CLOSE)
        if int(digits) > limit:
            raise Refusal(413, f"the body has more than {limit} bytes: send several requests", headers=CLOSE)
    check_content(head)


def check_content(head: Head) -> None:
    """Refuse bodies that are not announced as JSON, or are compressed, with 415.

    >>> check_content(Head(content_type=b"application/json"))
    >>> check_content(Head(content_type=b"text/plain"))
    Traceback (most recent call last):
    minembed.serve.errors.Refusal: send JSON in UTF-8, as Content-Type: application/json
    """
    if not is_json(head.content_type or b""):
        raise Refusal(415, "send JSON in UTF-8, as Content-Type: application/json", "unsupported", headers=CLOSE)
    if head.content_encoding is not None and head.content_encoding.strip().lower() not in (b"identity", b""):
        raise Refusal(415, "send the body as it is, without Content-Encoding", "unsupported", headers=CLOSE)


@lru_cache(64)
def is_json(content_type: bytes) -> bool:
    """Whether a Content-Type is that of JSON in UTF-8; parameters that JSON does not have are ignored.

    >>> is_json(b'Application/JSON; x="a;b"; Charset="UTF-8"'), is_json(b"application/json; x=y; charset=latin-1")
    (True, False)
    """
    if len(content_type) > 256:  # none that means JSON; parsing takes the square of the length
        return False
    message = Message()
    message["content-type"] = content_type.decode("latin-1")
    try:
        named = [(name.lower(), collapse_rfc2231_value(value)) for name, value in message.get_params([])[1:]]
    except ValueError:  # a value in a codec that cannot decode it (RFC 2231)
        return False
    charsets = {value.strip().lower() for name, value in named if name == "charset"}
    return message.get_content_type() == "application/json" and charsets <= {"utf-8", "utf8"}


CLOSE = {"connection": "close"}  # the rest of the body is not read
