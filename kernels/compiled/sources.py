"""The sources of compiled code, and their hashes, which show whether compiled code is stale."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from minembed import version

KERNELS = Path(__file__).parents[1]
PACKAGE = Path(version.__file__).parent
FROZEN = ("search/metrics.py", "transformer/pooling.py")  # whose constants are compiled in; a test finds others


def sources() -> dict[str, Path]:
    """Every source file of compiled code, by a name that does not depend on where the package is.

    >>> {"kernels/encoder/gemm.py", "search/metrics.py"} <= set(sources())
    True
    """
    kernels = {f"kernels/{path.relative_to(KERNELS).as_posix()}": path for path in sorted(KERNELS.rglob("*.py"))}
    return kernels | {name: PACKAGE / name for name in FROZEN}


def stamp_of(*others: str) -> str:
    """A hash of this version, of the other strings, and of every source.

    >>> stamp_of() == stamp_of() != stamp_of("numba 0.68")
    True
    """
    digest = hashlib.sha256()
    digest.update("\0".join((version.__version__, *others)).encode())
    for name, path in sources().items():
        content = path.read_bytes() if path.is_file() else b""  # installed without sources: only the version counts
        digest.update(f"\0{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def hashes_of(names: Iterable[str]) -> dict[str, str]:
    """A hash of each of these sources, by their names in `sources`; "" for a missing one.

    >>> hashes_of(["kernels/no_such_file.py"])
    {'kernels/no_such_file.py': ''}
    """
    found, hashes = sources(), {}
    for name in sorted(names):
        there = name in found and found[name].is_file()
        hashes[name] = hashlib.sha256(found[name].read_bytes()).hexdigest()[:16] if there else ""
    return hashes


def in_checkout() -> bool:
    """Whether sources may change without a new version; installed ones do not.

    >>> in_checkout() in (True, False)
    True
    """
    return KERNELS.with_name("pyproject.toml").is_file()
