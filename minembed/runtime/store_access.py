"""Access to object stores: pyarrow's file systems, with errors converted to ours."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from importlib import import_module
from typing import Any

from minembed.errors import MinembedError, MissingExtraError, SourceError
from minembed.runtime.interrupts import not_swallowed

ATTEMPTS = 5  # of a request that fails for a temporary reason
CONNECT_SECONDS = 10.0
RETRY_SECONDS = 30
REASONS = (  # a part of pyarrow's message, the errno, and our message
    (("NO_SUCH_BUCKET", "NoSuchBucket"), errno.ENOENT, "there is no such bucket: look at its name, or make it first"),
    (
        ("ACCESS_DENIED", "HTTP status 403", "INVALID_ACCESS_KEY", "SIGNATURE", "TOKEN", "credentials"),
        errno.EACCES,
        "access is denied: look at the credentials (AWS_ACCESS_KEY_ID, AWS_PROFILE; GOOGLE_APPLICATION_CREDENTIALS) "
        "and what they allow",
    ),
    (("curlCode: 28", "imed out", "imeout"), errno.ETIMEDOUT, "it does not answer in time"),
    (("curlCode", "NETWORK_CONNECTION"), errno.ECONNREFUSED, "it cannot be reached: look at the network, and at "
     "AWS_ENDPOINT_URL where that is set"),
    (("SLOW_DOWN", "THROTTLING", "INTERNAL_FAILURE", "SERVICE_UNAVAILABLE", "HTTP status 5"), errno.EAGAIN,
     f"it answers with an error of its own, {ATTEMPTS} times"),
)  # fmt: skip


@lru_cache(32)
def _opened(scheme: str, bucket: str, surroundings: tuple[str | None, ...], process: int) -> Any:
    try:
        with not_swallowed():
            fs = import_module("pyarrow.fs")
            kind = fs.S3FileSystem if scheme == "s3" else fs.GcsFileSystem
    except (ImportError, AttributeError) as error:
        raise MissingExtraError(f"{scheme}:// needs pyarrow: pip install 'minembed[arrow]'") from error
    if scheme == "gs":
        from datetime import timedelta

        return kind(retry_time_limit=timedelta(seconds=RETRY_SECONDS))
    endpoint, region = surroundings
    options: dict[str, Any] = {}
    if endpoint:
        options["scheme"], _, rest = endpoint.rpartition("://")
        options |= {"scheme": options["scheme"] or "https", "endpoint_override": rest.rstrip("/")}
    if region or endpoint:
        options["region"] = region or "us-east-1"
    else:
        options["region"] = fs.resolve_s3_region(bucket)
    retries = fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS)
    return kind(connect_timeout=CONNECT_SECONDS, request_timeout=RETRY_SECONDS, retry_strategy=retries, **options)


def store_of(scheme: str, bucket: str) -> Any:
    """The file system of a bucket, configured by the environment; raises MissingExtraError without pyarrow.

    >>> store_of("s3", "shop")  # doctest: +SKIP
    <pyarrow._s3fs.S3FileSystem object at 0x7f3b2c1d9e70>
    """
    names = (("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"), ("AWS_REGION", "AWS_DEFAULT_REGION"))
    found = tuple(next((os.environ[name] for name in some if os.environ.get(name)), None) for some in names)
    return _opened(scheme, bucket, found, os.getpid())


@contextmanager
def told(attempt: str, missing: bool = False) -> Iterator[None]:
    """Turn errors of a store into a SourceError, an OSError with an errno, that says what to do.

    A missing object stays a FileNotFoundError, unless with `missing`.

    >>> try:
    ...     with told("cannot read s3://shop/a"):
    ...         raise OSError("AWS Error SLOW_DOWN")
    ... except SourceError as error:
    ...     error.errno == errno.EAGAIN
    True
    """
    try:
        with not_swallowed():
            yield
    except MinembedError:
        raise
    except FileNotFoundError as error:
        if not missing:
            raise
        raise store_error(attempt, errno.ENOENT, REASONS[0][2]) from error
    except (OSError, ValueError) as error:  # pyarrow's errors derive from these
        told = str(error)
        for marks, code, said in REASONS:
            if any(mark in told for mark in marks):
                raise store_error(attempt, code, f"{said} ({_shortened(told)})") from error
        raise store_error(attempt, errno.EIO, _shortened(told)) from error


def _shortened(told: str) -> str:
    """The end of a message of pyarrow, which is the most informative part."""
    told = " ".join(told.split())
    at = told.find("AWS Error")
    return told[max(at, 0) :][:200]


def store_error(attempt: str, code: int, reason: str) -> SourceError:
    """An error of a store, with its errno.

    >>> store_error("cannot read s3://shop/a", errno.EIO, "half of it came").errno == errno.EIO
    True
    """
    error = SourceError(f"{attempt}: {reason}; existing data stays, and the same call continues")
    error.errno = code
    return error
