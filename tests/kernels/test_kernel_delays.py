"""Two cores for a query, with delays at every step of what they say to each other: the same bits, and nobody waits."""

import os
import subprocess
import sys

import pytest
from places import SUPPORT

pytestmark = pytest.mark.slow
DTYPES = ["float32", "bfloat16", "int8"]


def run(folder, *words):
    """A process with delays; what Numba compiles there is of no use to others, and kept in the folder."""
    environment = os.environ | {"PYTHONPATH": str(SUPPORT), "NUMBA_CACHE_DIR": str(folder)}
    command = [sys.executable, "-X", "faulthandler", SUPPORT / "delayed.py", *words]
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=3000, env=environment)


@pytest.mark.parametrize("dtype", DTYPES)
def test_delays_change_no_bit(tmp_path, dtype, amount):
    number = amount.rounds(2000)
    done = run(tmp_path, dtype, amount.seed(1), number)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout) > number / 20  # the helper took part


def test_a_product_without_a_number_is_found(tmp_path):
    """A late helper takes a task of a product that it knows nothing of, and this one's task stays undone."""
    done = run(tmp_path, "float32", 1, 20_000, "reused")
    assert (done.returncode != 0 and "other bits" in done.stderr) or done.returncode < 0, done.stderr[-3000:]
