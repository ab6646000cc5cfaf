"""Every array of every call ends, and then begins, at a page that nobody may touch: nothing beyond is touched."""

import os
import signal
import subprocess
import sys

import pytest
from examples import heavy
from places import SUPPORT
from tiers import COMPILED

from minembed.kernels.vectors.known_cpus import features_of
from minembed.kernels.vectors.target import TARGET

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pages are fenced as Linux does it")
PARTS = ["encode", "search", "train"]


def run(part, side, backend, seed, number, **settings):
    command = [sys.executable, "-X", "faulthandler", str(SUPPORT / "guarded.py"), part, side, backend, str(seed)]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)} | settings  # its folder is not on the path of `-P`
    return subprocess.run([*command, str(number)], capture_output=True, text=True, timeout=3000, env=environment)


@pytest.mark.parametrize("number", [8, *heavy([200])])
@pytest.mark.parametrize("backend", COMPILED)
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("side", ["end", "begin"])
def test_nothing_beyond_is_touched(part, side, backend, number, amount):
    done = run(part, side, backend, amount.seed(1), amount.rounds(number))
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["x86-64", "haswell", "skylake-avx512"])
@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("side", ["end", "begin"])
def test_nor_by_kernels_for_lesser_processors(part, side, cpu, amount):
    if not features_of(cpu) & {"avx2", "avx512f"} <= TARGET.features:
        pytest.skip("this CPU is less than that")
    if "numba" not in COMPILED:
        pytest.skip("Numba compiles these")
    settings = {"NUMBA_CPU_NAME": cpu, "NUMBA_CPU_FEATURES": ""}
    done = run(part, side, "numba", amount.seed(1), amount.rounds(200), **settings)
    assert (done.returncode, done.stdout) == (0, "whole\n"), done.stderr[-3000:]


@pytest.mark.parametrize("backend", COMPILED)
def test_a_fence_is_felt(backend):
    """One number beyond the end ends the process; the last one does not."""
    assert run("beyond", "end", backend, 0, 0).returncode == 0
    assert run("beyond", "end", backend, 0, 1).returncode == -signal.SIGSEGV
