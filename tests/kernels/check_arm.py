"""The kernels for ARM, run by QEMU on this machine: `make test-arm`.

ARM_MACHINE is the folder that tests/support/arm_machine.py has made.  What a CPU of ARM's computes is compared with
what Numba's kernels compute on this one, where that rests on the kernels alone (training multiplies by NumPy as well),
and, if ARM_NUMBA=1, with what Numba itself compiles there: that takes an hour.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from arm_machine import NUMBA, ArmMachine, install_wheels
from places import SUPPORT

from minembed.runtime.folders import cache_folder

CPUS = {  # as QEMU names them: the variant that suits them
    "cortex-a53": "neon",
    "cortex-a72": "neon",
    "cortex-a76": "dotprod",
    "neoverse-n1": "dotprod",
    "max": "dotprod",
}
OF_NUMBA = {"cortex-a53": "+neon", "neoverse-n1": "+neon,+dotprod"}  # LLVM would read this machine's /proc/cpuinfo
BITS = SUPPORT / "compiled_bits.py"
TRAINED = "train weights"


@pytest.fixture(scope="module")
def machine():
    return ArmMachine(Path(os.environ["ARM_MACHINE"]))


@pytest.fixture(scope="module")
def found(machine, tiny_checkpoint):
    """What each variant computes."""
    return {
        cpu: json.loads(machine.run(cpu, BITS, "native", "", tiny_checkpoint)) for cpu in ("cortex-a53", "neoverse-n1")
    }


def run_here(*arguments):
    """The output of Python on this machine, with kernels that Numba compiles for AVX2: tiles have other bits."""
    environment = os.environ | {"PYTHONPATH": str(SUPPORT), "NUMBA_CPU_NAME": "haswell"}
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("cpu", CPUS)
def test_the_cpu_is_known(machine, cpu):
    """A library on the wrong CPU would end the process."""
    script = (
        "from minembed.kernels.compiled.ahead_of_time import open_native; import sys;"
        "assert not {'numba', 'llvmlite'} & set(sys.modules); print(open_native().variant)"
    )
    assert machine.run(cpu, "-c", script).strip() == CPUS[cpu]
    assert machine.run(cpu, "-c", script, MINEMBED_DISABLE="dotprod").strip() == "neon"


def test_a_library_for_another_cpu_ends_the_process(machine, tiny_checkpoint):
    """So the test above can fail."""
    script = "from compiled_bits import choose; choose('dotprod'); from minembed import Embedder; import sys;"
    script += "print(Embedder.load(sys.argv[1], backend='native', dtype='int8').encode('the cat'))"
    with pytest.raises(AssertionError, match="exit status -4"):  # SIGILL
        machine.run("cortex-a53", "-c", script, tiny_checkpoint)


def test_neon_and_dotprod_have_the_same_bits(found):
    neon, dotprod = (dict(about) for about in found.values())
    assert (neon.pop("variant"), dotprod.pop("variant")) == ("neon", "dotprod")
    assert neon == dotprod and len(neon) == 6 + 16 + 3


@pytest.mark.parametrize("cpu", OF_NUMBA)
def test_this_machine_has_the_same_bits(found, tiny_checkpoint, cpu):
    wanted = json.loads(run_here(BITS, "numba", "", tiny_checkpoint))
    assert {name for name in wanted if found[cpu][name] != wanted[name]} <= {TRAINED}


@pytest.mark.skipif(os.environ.get("ARM_NUMBA") != "1", reason="ARM_NUMBA=1 compiles by Numba, under QEMU: an hour")
@pytest.mark.parametrize("cpu", OF_NUMBA)
def test_numba_has_the_same_bits_there(machine, found, tiny_checkpoint, cpu):
    if not (machine.site / "numba").is_dir():
        install_wheels(machine, NUMBA)
    settings = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": OF_NUMBA[cpu]}
    cache = {"NUMBA_CACHE_DIR": str(machine.folder / "cache")}
    wanted = json.loads(machine.run(cpu, BITS, "numba", "", tiny_checkpoint, **settings, **cache))
    assert {name: found[cpu][name] for name in wanted} == wanted


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_numpy_agrees_there(machine, tiny_checkpoint, dtype):
    """The tier of NumPy, which shares no code with the kernels; by the distances that docs/kernels.md allows."""
    script = (
        "from compiled_bits import TEXTS; from minembed import Embedder; import sys, numpy as np\n"
        "a, b = (Embedder.load(sys.argv[1], backend=x, dtype=sys.argv[2]) for x in ('native', 'numpy'))\n"
        "assert (a.backend, b.backend) == ('native', 'numpy')\n"
        "x, y = (model.encode(TEXTS[:100], truncation='silent') for model in (a, b))\n"
        "print(np.abs(x - y).max())"
    )
    difference = float(machine.run("neoverse-n1", "-c", script, tiny_checkpoint, dtype))
    assert difference <= {"float32": 1e-6, "bfloat16": 1e-2, "int8": 1e-2}[dtype]


def test_doctor_tells_of_it(machine, tiny_checkpoint, tmp_path):
    command = ("-m", "minembed", "doctor", "--json", "-m", tiny_checkpoint)
    told = json.loads(machine.run("neoverse-n1", *command, MINEMBED_CACHE=str(tmp_path)))
    assert told["tier"].startswith("native") and "dotprod.so, for NEON DotProd" in told["native"]


@pytest.mark.weights
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_a_real_model_has_the_same_bits(machine, minilm, tmp_path, dtype):
    """All widths of MiniLM, of which the vectors of this machine's kernels are known to be right."""
    texts = ["How do I bake bread?", "Compilers turn a program into another that does the same.", "Short. " * 40]
    script = (
        "import sys, json, numpy as np; from minembed import Embedder\n"
        "model = Embedder.load('all-MiniLM-L6-v2', backend=sys.argv[1], dtype=sys.argv[2], local_files_only=True)\n"
        "assert model.backend == sys.argv[1]; np.save(sys.argv[3], model.encode(json.loads(sys.argv[4])))"
    )
    files = there, here = tmp_path / "there.npy", tmp_path / "here.npy"
    cache = {"MINEMBED_CACHE": str(cache_folder())}
    machine.run("neoverse-n1", "-c", script, "native", dtype, there, json.dumps(texts), **cache)
    run_here("-c", script, "numba", dtype, here, json.dumps(texts))
    assert len({np.load(file).tobytes() for file in files}) == 1
