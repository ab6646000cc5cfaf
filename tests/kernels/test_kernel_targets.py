"""Instruction sets: which is chosen, and AVX2 run for real on this CPU."""

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import llvmlite.binding as llvm
import numpy as np
import pytest
from cpu_kinds import AMX, AVX2, BF16, IDS, KINDS
from examples import heavy
from places import SUPPORT, TESTS

from minembed import Embedder
from minembed.errors import InputError
from minembed.kernels.tiles import shapes
from minembed.kernels.vectors.target import TARGET, read_target, target_of_numba

FLOAT32 = 1e-6  # the contract between tiers: AVX2 and AVX-512 both multiply and add with one rounding, in one order
COSINE = 0.9999  # of bfloat16 and int8: attention rounds to bfloat16 only where products of bfloat16 pay


# ---- which is chosen ----


@pytest.mark.parametrize(("cpu", "chosen", "tile", "dot_bytes", "dot_bfloat16"), KINDS, ids=IDS)
def test_what_suits_an_instruction_set(cpu, chosen, tile, dot_bytes, dot_bfloat16):
    assert (chosen.tile, chosen.dot_bytes, chosen.dot_bfloat16) == (tile, dot_bytes, dot_bfloat16)
    assert chosen.describe()


@pytest.mark.parametrize(
    ("cpu", "of_bytes", "of_bfloat16"),
    [
        ("x86-64", 2, 2),
        ("haswell", 4, 4),
        ("alderlake", 6, 4),
        ("skylake-avx512", 12, 12),
        ("cascadelake", 14, 12),
        ("cooperlake", 14, 12),
        ("znver4", 14, 14),
        ("sapphirerapids", 14, 12),
        ("apple-m1", 6, 4),
        ("cortex-a72", 4, 4),
    ],
)
def test_what_is_taken_apart_has_smaller_tiles(cpu, of_bytes, of_bfloat16):
    (chosen,) = [kind[1] for kind in KINDS if kind[0] == cpu]
    assert (chosen.byte_rows, chosen.bfloat16_rows) == (of_bytes, of_bfloat16)


@pytest.fixture
def host(monkeypatch):
    """A machine with everything but tiles; settings(...) are Numba's."""
    features = dict.fromkeys(BF16 | {"avxvnni", "sse2", "avx"}, True) | {"amx-tile": False}
    monkeypatch.delenv("MINEMBED_DISABLE", raising=False)
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: "znver5")
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: features)
    monkeypatch.setattr(llvm, "get_process_triple", lambda: "x86_64-unknown-linux-gnu")

    def settings(cpu=None, features=None, avx=True):
        return target_of_numba(SimpleNamespace(CPU_NAME=cpu, CPU_FEATURES=features, ENABLE_AVX=avx))

    return settings


def test_the_machine_as_it_is(host):
    found = host()
    assert found == host("znver5") and found.machine == "x86_64"
    assert found.dot_bytes == "vnni512" and found.dot_bfloat16 and not found.amx
    assert found.cpu == "znver5" and not found.disabled
    assert found.describe() == "AVX-512 VNNI BF16"


def test_a_named_cpu_has_no_more_than_it_has(host):
    assert host("haswell").tile == (6, 1) and host("haswell").dot_bytes == "pmaddwd"
    assert host("alderlake").dot_bytes == "vnni256" and host("skylake-avx512").dot_bytes == "pmaddwd"
    assert host("cascadelake").dot_bytes == "vnni512" and not host("cascadelake").dot_bfloat16
    assert host("znver4").dot_bfloat16 and host("znver4").cpu == "znver4"
    assert host("sapphirerapids").is_far and not host("znver4").is_far and not host("haswell").is_far
    assert host("sapphirerapids").has_bfloat16 and not host("sapphirerapids").dot_bfloat16
    assert not host("sapphirerapids").amx
    assert host("nehalem").dot_bytes == host("a name nobody knows").dot_bytes == "plain"
    assert host("nehalem").tile == (2, 1)


def test_a_named_cpu_has_no_more_than_this_one(host, monkeypatch):
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: dict.fromkeys(AVX2, True))
    for cpu in ("znver5", "sapphirerapids", "skylake-avx512"):
        assert host(cpu).tile == (6, 1) and host(cpu).dot_bytes == "pmaddwd" and not host(cpu).dot_bfloat16


def test_single_features(host):
    assert host(features="-avx512f").tile == (6, 1) and not host(features="-avx512f").dot_bfloat16
    assert host(features="-avx512vnni,-avxvnni").dot_bytes == "pmaddwd"
    assert not host(features="+sse2,-avx512bf16").has_bfloat16
    assert host("sapphirerapids", "+amx-tile,+amx-bf16,+amx-int8").amx
    assert not host("haswell", "+amx-tile,+amx-bf16,+amx-int8").amx  # whose other instructions tiles need as well
    assert host("haswell", "+avxvnni").dot_bytes == "vnni256"
    assert host(features="") == host()
    assert host(avx=False).dot_bytes == "plain" and host(avx=False).tile == (2, 1)


@pytest.mark.parametrize("missing", ["-avx2", "-avx", "-avx2,-avx512f"])
def test_what_rests_on_a_missing_feature_is_missing_too(host, missing):
    """LLVM takes it away as well, and then aborts where it is asked for."""
    assert host(features=missing).dot_bytes == "plain" and not host(features=missing).dot_bfloat16
    assert host(features=missing).tile == (2, 1)


@pytest.mark.parametrize("cpu", ["sapphirerapids", "emeraldrapids", "graniterapids", "rocketlake"])
def test_tiles(host, monkeypatch, cpu):
    """A virtual machine may have them under the name of a CPU that has none: what there is counts."""
    monkeypatch.setattr(llvm, "get_host_cpu_name", lambda: cpu)
    monkeypatch.setattr(llvm, "get_host_cpu_features", lambda: dict.fromkeys(BF16 | AMX, True))
    assert host().amx and host().describe() == "AVX-512 VNNI BF16 AMX" and not host().dot_bfloat16
    assert not host("icelake-server").amx and not host(features="-amx-int8").amx
    assert not host(features="-avx512bf16").amx and not host(avx=False).amx


def test_what_a_user_disables(host, monkeypatch):
    monkeypatch.setenv("MINEMBED_DISABLE", "avx512vnni, AMX,")
    found = host(features="+amx-tile,+amx-bf16,+amx-int8,+amx-fp16")
    assert found.dot_bytes == "pmaddwd" and found.dot_bfloat16 and not any("amx" in name for name in found.features)
    assert found.describe() == "AVX-512 BF16 (MINEMBED_DISABLE: no amx, avx512vnni, avxvnni)"
    monkeypatch.setenv("MINEMBED_DISABLE", "avx512bf16")
    assert not host().has_bfloat16 and not host().dot_bfloat16 and host().dot_bytes == "vnni512"
    monkeypatch.setenv("MINEMBED_DISABLE", "avx512bf")
    with pytest.raises(InputError, match=r"'avx512bf', which is unknown; known: amx, .*avx512bf16"):
        host()


def test_this_machine():
    assert read_target() == TARGET and TARGET.tile == (shapes.TILE_ROWS, shapes.TILE_VECTORS)
    assert (TARGET.byte_rows, TARGET.bfloat16_rows) == (shapes.BYTE_ROWS, shapes.BFLOAT16_ROWS)
    there = {name for name, is_there in llvm.get_host_cpu_features().items() if is_there}
    assert set(TARGET.features) <= there and set(target_of_numba().features) <= there


# ---- AVX2 for real ----

AS_HASWELL = """
import json, sys
import numpy as np
from kernel_assembly import TILES, assert_tile_spills_nothing
from minembed import Embedder
from minembed.kernels.vectors.target import TARGET
assert TARGET.tile == (6, 1) and TARGET.dot_bytes == "pmaddwd", TARGET
for name in TILES:
    assert_tile_spills_nothing(name)
for dtype in sys.argv[4:]:
    model = Embedder.load(sys.argv[1], backend="numba", dtype=dtype)
    assert model.backend == "numba"  # so the self-test was passed
    np.save(f"{sys.argv[2]}/{dtype}.npy", model.encode(json.loads(sys.argv[3]), truncation="silent"))
print("as haswell")
"""
TEXTS = [" ".join(["the cat", "un believ able", "rain and sun"][i % 3 :] * (i // 3)) for i in range(61)]
needs_more_than_avx2 = pytest.mark.skipif(
    not {"avx512f", "avx2", "fma"} <= TARGET.features, reason="this CPU has no more than AVX2"
)


def as_another(cpu):
    """The environment of a process that compiles for another CPU, and finds the helpers of the tests."""
    return os.environ | {
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": "",
        "PYTHONPATH": str(SUPPORT),
    }


@needs_more_than_avx2
@pytest.mark.parametrize("dtypes", ["int8", *heavy(["float32 bfloat16"])])  # int8 attends in float32 there
def test_avx2_gives_the_same_vectors(tiny_checkpoint, tmp_path, dtypes):
    arguments = str(tiny_checkpoint), str(tmp_path), json.dumps(TEXTS), *dtypes.split()
    command = [sys.executable, "-W", "error", "-c", AS_HASWELL, *arguments]
    found = subprocess.run(command, capture_output=True, text=True, env=as_another("haswell"), cwd=SUPPORT)
    assert (found.returncode, found.stdout) == (0, "as haswell\n"), found.stderr
    for dtype in dtypes.split():
        here = Embedder.load(tiny_checkpoint, backend="numba", dtype=dtype).encode(TEXTS, truncation="silent")
        there = np.load(tmp_path / f"{dtype}.npy")
        if dtype == "float32":
            assert np.abs(here - there).max() <= FLOAT32
        assert (here.astype(np.float64) * there).sum(axis=1).min() >= COSINE


def kernel_tests_on(cpu, chosen):
    names = sorted(map(str, (TESTS / "kernels").glob("test_kernel_*.py")))
    command = [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-p", "no:cacheprovider", *chosen, *names]
    found = subprocess.run(command, capture_output=True, text=True, env=as_another(cpu), cwd=SUPPORT)
    assert found.returncode == 0, found.stdout[-5000:]


@needs_more_than_avx2
def test_linear_layers_pass_on_avx2():
    kernel_tests_on("haswell", ["-k", "test_linear_layers and not on_avx2"])


@needs_more_than_avx2
@pytest.mark.slow
@pytest.mark.parametrize("cpu", ["haswell", "nehalem", "skylake-avx512"])
def test_every_kernel_test_passes_on_a_lesser_cpu(cpu):
    kernel_tests_on(cpu, [])
