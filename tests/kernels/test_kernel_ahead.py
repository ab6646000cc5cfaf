"""The libraries of this checkout, which `make test-native` builds: what they compute has the bits of Numba's code."""

import json
import os
import subprocess
import sys

import pytest
from places import SUPPORT
from tiny import write_tiny_checkpoint

from minembed.errors import BackendError
from minembed.kernels.ahead.building import build
from minembed.kernels.ahead.platforms import PLATFORMS, undefined
from minembed.kernels.compiled.ahead_of_time import constants_of, open_native
from minembed.kernels.compiled.calling import words_in
from minembed.kernels.compiled.variants import VARIANTS
from minembed.kernels.entries import ENTRIES, ON_TILES
from minembed.kernels.libraries import MANIFEST, NATIVE, platform_here, read_libraries
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.vectors.target import target_of_numba

pytestmark = pytest.mark.slow
LIKE = {  # a CPU for which Numba compiles what a variant holds, without and with tiles
    "znver4": "znver4",
    "avx512bf16": "cooperlake",
    "avx512bf16 with tiles": "sapphirerapids",
    "avx512vnni": "cascadelake",
    "avx512": "skylake-avx512",
    "avx2vnni": "alderlake",
    "avx2": "haswell",
    "sse41": "nehalem",
}
WITH_TILES = " with tiles"
HASHES = 2 * 6 + 16 + 3  # of vectors, searches, training


@pytest.fixture(scope="module")
def libraries():
    if not (NATIVE / MANIFEST).is_file():
        pytest.skip("there are no libraries: make native")
    return read_libraries()


@pytest.fixture(scope="module")
def checkpoints(tiny_checkpoint, tmp_path_factory):
    """Two: one whose layers are padded, and one whose longer texts are on tiles in float32 too."""
    sizes = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 96, "max_seq_length": 64}
    return tiny_checkpoint, write_tiny_checkpoint(tmp_path_factory.mktemp("whole"), **sizes)


def bits(backend, variant, folders, **environment):
    """What compiled_bits.py finds."""
    command = [sys.executable, "-W", "error", str(SUPPORT / "compiled_bits.py"), backend, variant, *map(str, folders)]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)} | environment
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_suits_this_cpu_has_the_bits_of_numba(libraries, checkpoints):
    found, wanted = bits("native", "", checkpoints), bits("numba", "", checkpoints)
    assert found.pop("variant") == open_native().variant + WITH_TILES * tiles_usable()
    assert found == wanted and len(found) == HASHES


@pytest.mark.parametrize("name", LIKE)
def test_every_variant_has_the_bits_of_numba(libraries, checkpoints, name):
    """Each that this CPU can run, in a process that takes it for its own."""
    variant, tiles = name.removesuffix(WITH_TILES), name.endswith(WITH_TILES)
    if variant not in libraries.by_name or not VARIANTS[variant].needs <= target_of_numba().features:
        pytest.skip("it is not built (make native-all), or this CPU lacks something of it")
    if tiles and not tiles_usable():
        pytest.skip("this process may not use tiles, or the CPU has none")
    setting = {} if tiles else {"MINEMBED_DISABLE": "amx"}
    found = bits("native", variant, checkpoints, **setting)
    assert found.pop("variant") == name
    cpu = {"NUMBA_CPU_NAME": LIKE[name], "NUMBA_CPU_FEATURES": ""}
    wanted = bits("numba", "", checkpoints, **setting, **cpu)
    assert found == wanted and len(found) == HASHES
    print(f"{name}: the same {HASHES} hashes")


def test_every_entry_is_there(libraries):
    for name, library in libraries.by_name.items():
        if name in VARIANTS:
            wanted = {entry for entry in ENTRIES if VARIANTS[name].target.amx or entry not in ON_TILES}
            assert set(library.entries) == wanted and library.constants == constants_of(VARIANTS[name].target)
            for entry, shape in library.entries.items():
                assert shape.words == words_in(ENTRIES[entry].kinds)
                assert shape.shared in ("", *libraries.by_name) and shape.shared != name
    native = open_native()
    native.compile(native.about.entries)


def test_equal_code_is_there_once(libraries):
    """Code of float32 is the same with and without AVX-512 VNNI, and with AVX-VNNI as with AVX2."""
    for first, second in (("avx512vnni", "avx512"), ("avx2vnni", "avx2")):
        if {first, second} <= set(libraries.by_name):
            entries = libraries.by_name[first].entries
            assert entries["run_float32"].shared == second and entries["run_int8"].shared == ""
            assert libraries.by_name[second].entries["run_float32"].shared == ""


def test_nothing_is_needed_but_memory(libraries):
    for library in libraries.by_name.values():
        if library.file.suffix == ".so":
            assert undefined(library.file.read_bytes()) <= {"memset", "memcpy", "memmove"}


def test_a_source_that_changed(libraries, monkeypatch):
    """What was compiled from it is not used any more."""
    from minembed.kernels.compiled import ahead_of_time

    names = [name for name in libraries.sources if name.startswith("kernels/")]
    assert {"kernels/encoder/gemm.py", "kernels/entries.py", "search/metrics.py"} <= set(libraries.sources)
    assert not any("/ahead/" in name or "/compiled/" in name for name in names)
    monkeypatch.setattr(ahead_of_time, "hashes_of", lambda _: libraries.sources | {"kernels/encoder/gemm.py": "0"})
    with pytest.raises(BackendError, match=r"older than kernels/encoder/gemm\.py"):
        open_native.__wrapped__()


def test_two_builds_have_the_same_bytes(libraries, tmp_path):
    variants = [name for name in VARIANTS if name in libraries.by_name]  # all, since they share code
    build(PLATFORMS[platform_here()], variants, tmp_path)
    again = read_libraries(tmp_path)
    assert set(again.by_name) == set(libraries.by_name)
    for name, library in again.by_name.items():
        assert library.file.read_bytes() == libraries.by_name[name].file.read_bytes(), name
    told, before = (json.loads((folder / MANIFEST).read_bytes()) for folder in (tmp_path, NATIVE))
    for name in again.by_name:
        assert told["libraries"][name] == before["libraries"][name]
    assert {key: told[key] for key in ("schema", "version", "platform", "sources", "toolchain")} == {
        key: before[key] for key in ("schema", "version", "platform", "sources", "toolchain")
    }
