"""Check that the packages of the extra `serve` are installed."""

from importlib.util import find_spec

from minembed.errors import MissingExtraError

PACKAGES = ("uvicorn", "httptools", "msgspec", "orjson", "prometheus_client")


def require(packages: tuple[str, ...] = PACKAGES) -> None:
    """Raise MissingExtraError, which says what to install, if one of them is missing.

    >>> require(("no_such_package",))
    Traceback (most recent call last):
    minembed.errors.MissingExtraError: a server needs no_such_package: pip install 'minembed[serve]'
    """
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise MissingExtraError(f"a server needs {', '.join(missing)}: pip install 'minembed[serve]'")
