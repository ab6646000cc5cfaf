"""Run Python in a process that may not use tiles, where the encoder on tiles computes on emulated ones."""

import os
import subprocess
import sys
import textwrap

import pytest
from places import SUPPORT

from minembed.kernels.tiles.amx import HARDWARE

slow_without_tiles = [] if HARDWARE else [pytest.mark.slow]  # the encoder on emulated ones is compiled for 90 s
needs_tiles = pytest.mark.skipif(not HARDWARE, reason="this CPU has no tiles, or this process may not use them")
BEGIN = """
from minembed.kernels.tiles.amx import HARDWARE
assert not HARDWARE
"""


def python_emulated(body, *arguments):
    """As processes.python."""
    command = [sys.executable, "-W", "error", "-c", BEGIN + textwrap.dedent(body), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT), "MINEMBED_DISABLE": "amx"}
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert found.returncode == 0, found.stderr
    return found.stdout.split("\n")[:-1]
