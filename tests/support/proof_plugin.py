"""A plugin of pytest for `make proof`: records the tries and the outcome of every test, and the machine."""

import json
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

REPORT = "MINEMBED_PROOF_REPORT"
BEGUN = ".begun"  # the suffix of a file beside the report
_found: dict[str, dict] = {}


def pytest_runtest_logreport(report):
    """Record the worst of setup, call and teardown, and the count of the test."""
    one = _found.setdefault(report.nodeid, {"outcome": "passed", "count": None})
    if report.outcome != "passed" and one["outcome"] != "failed":
        one["outcome"] = report.outcome
    one["count"] = dict(report.user_properties).get("count", one["count"])


def versions():
    """The versions of Python and of the packages that compute."""
    found = {"python": platform.python_version()}
    for name in ("numpy", "numba", "tokenizers", "safetensors"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def instructions():
    """The CPU that kernels are compiled for, by Numba or, without it, ahead of time."""
    from minembed.runtime.backend import has_native

    if find_spec("numba"):
        from minembed.kernels.vectors.target import TARGET

        return TARGET.describe()
    if has_native():
        from minembed.kernels.compiled.ahead_of_time import open_native

        return open_native().variant
    return "NumPy"


def pytest_sessionstart(session):
    """Say that tests began: whatever ends now without a report is a failure of the tests."""
    Path(os.environ[REPORT]).with_suffix(BEGUN).touch()


def pytest_sessionfinish(session, exitstatus):
    """Write the report; of several processes (pytest -n), the one that heard of all tests."""
    if hasattr(session.config, "workerinput"):
        return
    told = {"tests": _found, "exit": int(exitstatus), "versions": versions(), "instructions": instructions()}
    Path(os.environ[REPORT]).write_text(json.dumps(told), encoding="utf-8")
