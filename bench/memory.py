"""Resident memory of this process, in megabytes (1 MB = 1024 * 1024 bytes).

Linux's VmHWM is preferred to `ru_maxrss`: the latter starts from what the *parent* had resident when it forked.
"""

import os
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")
PAGE = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 4096


def _status(field: str) -> float | None:
    """One kB field of /proc/self/status in MB, or None where there is no such file."""
    if not STATUS.exists():
        return None
    for line in STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    return None


def peak_mb() -> float | None:
    """The most memory this process has had resident since it began, or since `reset_peak`."""
    peak = _status("VmHWM")
    if peak is not None or sys.platform == "win32":
        return peak
    import resource

    bytes_per_unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * bytes_per_unit / 2**20


def resident_mb() -> float | None:
    """The current resident memory (Linux), otherwise None."""
    return _status("VmRSS")


def resident_of(pid: int) -> float | None:
    """What another process has resident now (Linux), else None."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE / 2**20
    except OSError:
        return None


def reset_peak() -> bool:
    """Reset `peak_mb` to the current resident memory; returns whether the system allows it."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
