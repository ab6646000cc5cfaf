"""Compiling ahead of time, on a small function: its words arrive, its errors are told, and nothing else is called."""

import ctypes
import json
import math
import shutil

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba import njit
from numba.core.caching import NullCache

from minembed.errors import BackendError
from minembed.kernels.ahead import building, emission
from minembed.kernels.ahead.building import build, variants_of
from minembed.kernels.ahead.platforms import PLATFORMS, link, undefined
from minembed.kernels.ahead.wrapper import Wrapper
from minembed.kernels.compiled.calling import Compiled, caller, words_in
from minembed.kernels.compiled.numba_types import numba_type
from minembed.kernels.libraries import MANIFEST, platform_here

KINDS = ("float64[,]", "int64", "float32", ("int8[]", "float32[] const"), "bool", "float64", ("int64", "int64"))
needs_linker = pytest.mark.skipif(
    platform_here() not in PLATFORMS or not any(map(shutil.which, PLATFORMS[platform_here()].compilers)),
    reason="no libraries are made on this system, or there is no compiler",
)


@njit(nogil=True, boundscheck=False)
def everything(table, n, x, arrays, flag, y, numbers):
    """Something of each argument; an error where n is 0."""
    bytes_, floats = arrays
    for i in range(table.shape[0]):
        for j in range(table.shape[1]):
            table[i, j] = 100 * i + j + math.sqrt(y) + x
    for i in range(len(bytes_)):
        bytes_[i] += 1 if flag else -1
    return 1000 // n + len(floats) + numbers[0] - numbers[1]


@njit(nogil=True)
def logarithm(x):
    x[0] = math.log(x[0])


def compiled(function, kinds):
    """What Numba makes of it, its name in LLVM, and its wrapper."""
    function._cache = NullCache()
    types = tuple(numba_type(kind) for kind in kinds)
    function.compile(types)
    made = function.overloads[types]
    wrapper = Wrapper("everything", made.fndesc.llvm_func_name, types, made.signature.return_type)
    return llvm.parse_assembly(made.library.get_llvm_str()), made.fndesc.llvm_func_name, wrapper


def machine():
    return llvm.Target.from_default_triple().create_target_machine(opt=2, reloc="pic", codemodel="default")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    module, name, wrapper = compiled(everything, KINDS)
    emission._check("everything", module.get_function(name), wrapper)
    module = emission._alone(module, "minembed_everything", wrapper.text, machine())
    (folder / "everything.o").write_bytes(machine().emit_object(module))
    link(PLATFORMS[platform_here()], [folder / "everything.o"], folder / "everything.so")
    function = ctypes.CDLL(str(folder / "everything.so")).minembed_everything
    function.argtypes, function.restype = [ctypes.c_char_p], ctypes.c_int64
    assert wrapper.words == words_in(KINDS) == 13
    return caller(Compiled("everything", KINDS, function, wrapper.returns == "int64"))


@needs_linker
@pytest.mark.parametrize("flag", [True, False])
def test_every_argument_arrives(library, flag):
    rng = np.random.default_rng(0)
    table, levels, floats = np.zeros((3, 4)), rng.integers(-9, 9, 5).astype(np.int8), np.zeros(7, np.float32)
    floats.flags.writeable = False
    for n in (1, -7, 9):
        arguments = n, np.float32(0.1), (levels.copy(), floats), flag, 2.5, (1 << 40, -3)
        assert library(table, *arguments) == 1000 // n + 7 + (1 << 40) + 3
        rows, columns = np.indices(table.shape)
        assert (table == 100 * rows + columns + math.sqrt(2.5) + float(np.float32(0.1))).all()
        assert (arguments[2][0] == levels + (1 if flag else -1)).all()


@needs_linker
def test_an_error_inside_is_told(library):
    with pytest.raises(BackendError, match="the compiled everything failed"):
        library(np.zeros((1, 1)), 0, 0.0, (np.zeros(1, np.int8), np.zeros(1, np.float32)), True, 0.0, (0, 0))


@pytest.mark.parametrize(("kind", "other"), [("int64", "float64"), ("float32[]", "float32[,]"), ("bool", "int64")])
def test_a_wrapper_that_gives_something_else_is_refused(kind, other):
    """LLVM would link the two, and memory be overwritten."""

    @njit
    def nothing(x):
        return 0

    module, name, _ = compiled(nothing, (kind,))
    with pytest.raises(TypeError, match=r"takes .* the wrapper gives"):
        emission._check("nothing", module.get_function(name), compiled(nothing, (other,))[2])


def test_a_result_without_a_word_is_refused():
    with pytest.raises(TypeError, match="returns float64"):
        Wrapper("x", "f", (), numba_type("float64"))
    with pytest.raises(TypeError, match="complex128 has no words"):
        from numba.core import types

        Wrapper("x", "f", (types.complex128,), types.none)


def test_what_needs_the_library_of_mathematics_is_refused():
    module, _, wrapper = compiled(logarithm, ("float64[]",))
    with pytest.raises(ValueError, match=r"minembed_everything calls what no library of ours has: llvm\.log\.f64"):
        emission._alone(module, "minembed_everything", wrapper.text, machine())


def test_what_allocates_is_refused():
    text = "declare ptr @NRT_MemInfo_alloc_aligned(i64, i32)\ndefine i64 @minembed_x(ptr %words) {\n"
    text += "  %p = call ptr @NRT_MemInfo_alloc_aligned(i64 8, i32 32)\n  store i64 1, ptr %p\n  ret i64 0\n}\n"
    empty = llvm.parse_assembly(f'target triple = "{llvm.get_default_triple()}"')
    with pytest.raises(ValueError, match="no library of ours has: NRT_MemInfo_alloc_aligned"):
        emission._alone(empty, "minembed_x", text, machine())


@needs_linker
def test_a_linked_library_with_a_symbol_from_elsewhere(tmp_path):
    """What LLVM itself makes calls of does not stand in its language."""
    platform = PLATFORMS[platform_here()]
    text = "declare double @exp(double)\ndefine double @f(double %x) {\n"
    text += "  %y = call double @exp(double %x)\n  ret double %y\n}\n"
    head = f'target triple = "{llvm.get_default_triple()}"\n'
    (tmp_path / "f.o").write_bytes(machine().emit_object(llvm.parse_assembly(head + text)))
    assert undefined((tmp_path / "f.o").read_bytes()) == {"exp"}
    with pytest.raises(BackendError, match=r"f\.so .*exp"):
        link(platform, [tmp_path / "f.o"], tmp_path / "f.so")
    (tmp_path / "f.o").write_bytes(b"nothing")
    with pytest.raises(BackendError, match=r"f\.so could not be linked"):
        link(platform, [tmp_path / "f.o"], tmp_path / "f.so")


@needs_linker
def test_a_build_replaces_what_is_there_and_nothing_else(tmp_path):
    platform = PLATFORMS[platform_here()]
    for name in ("kernels-old.so", "others.so", "notes.txt"):
        (tmp_path / name).write_text("x")
    first = build(platform, [], tmp_path).read_bytes()
    names = {path.name for path in tmp_path.iterdir()}
    detector = {f"cpu{platform.suffix}"} if platform.machine == "x86_64" else set()
    assert names == {"others.so", "notes.txt", MANIFEST} | detector
    contents = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert build(platform, [], tmp_path).read_bytes() == first  # to the last byte
    assert contents == {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    told = json.loads(first)
    assert told["platform"] == platform.name and told["toolchain"]["llvmlite"] and told["libraries"].keys() <= {"cpu"}


def test_what_cannot_be_built(tmp_path, monkeypatch):
    platform = PLATFORMS["linux-aarch64"]
    with pytest.raises(BackendError, match="linux-aarch64 has no variant 'avx2', only dotprod, neon"):
        build(platform, ["avx2"], tmp_path)
    monkeypatch.setattr(building.subprocess, "run", lambda *_, **__: type("Done", (), {"returncode": 3}))
    with pytest.raises(BackendError, match="neon could not be compiled"):
        build(platform, ["neon"], tmp_path)
    assert not list(tmp_path.iterdir())  # nothing is left of it
    assert variants_of(platform) == ["dotprod", "neon"]


def test_a_system_without_a_linker(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("minembed.kernels.ahead.platforms.find_spec", lambda name: None)
    with pytest.raises(BackendError, match=r"linux-aarch64: install a C compiler, .*aarch64-linux-gnu-gcc, or Zig's"):
        PLATFORMS["linux-aarch64"].linker()
    monkeypatch.setattr("minembed.kernels.ahead.platforms.find_spec", lambda name: object())
    assert PLATFORMS["linux-aarch64"].linker()[1:] == ["-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.17"]
