"""The parts of the encoder's workspaces, apart from each other: nothing reaches from one into the next."""

import os
import signal
import subprocess
import sys

import pytest
from places import SUPPORT

from minembed.kernels.tiles.permission import tiles_usable

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are fenced as Linux does it")
KINDS = ["float32", "bfloat16", "int8"]
FAMILIES = 12


def run(*words, folder=None):
    """A process that sets parts apart; what Numba compiles there is of no use to others, and kept in the folder."""
    settings = {"PYTHONPATH": str(SUPPORT), "NUMBA_CACHE_DIR": str(folder)} if folder else {"PYTHONPATH": str(SUPPORT)}
    command = [sys.executable, "-X", "faulthandler", SUPPORT / "apart.py", *words]
    environment = os.environ | settings
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=6000, env=environment)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", ["end", "begin"])
def test_no_part_is_left(side, kind, amount, tmp_path):
    """Every number of rows up to 600, in each of 12 architectures, in 12 ways."""
    done = run("rows", side, kind, amount.seed(1), FAMILIES, 1, folder=tmp_path)
    assert (done.returncode, done.stdout[-6:]) == (0, "whole\n"), done.stderr[-3000:]
    amount.did(int(done.stdout.split()[0]))


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "float32"])
def test_no_part_is_left_on_tiles(dtype, amount, tmp_path):
    """The same for some numbers of rows: where the CPU has no tiles they are emulated, slowly."""
    families, step = (FAMILIES, 1) if tiles_usable() else (6, 37)
    done = run("rows", "end", f"tiled-{dtype}", amount.seed(1), families, step, folder=tmp_path)
    assert (done.returncode, done.stdout[-6:]) == (0, "whole\n"), done.stderr[-3000:]
    amount.did(int(done.stdout.split()[0]))


@pytest.mark.slow
def test_a_part_that_is_too_short_is_felt(tmp_path):
    """Where only the first page of a part may be used, the kernels that use all of it end their process."""
    for part in range(5):
        done = run("short", "begin", "float32", part, folder=tmp_path)
        assert done.returncode == -signal.SIGSEGV and "whole" not in done.stdout, (part, done.stderr[-3000:])


@pytest.mark.parametrize("part", range(3))
@pytest.mark.parametrize("side", ["end", "begin"])
def test_a_fence_between_parts_is_felt(side, part):
    """One number beyond a part ends the process; its last one does not."""
    assert run("beyond", side, part, 0).stdout == "whole\n"
    assert run("beyond", side, part, 1).returncode == -signal.SIGSEGV
