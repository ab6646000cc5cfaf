"""Compiled kernels on disk: kept, found again, made anew when their sources change.

Whatever is wrong with the folder or its files only means compiling again.
"""

import ast
import errno
import os
import shutil
import subprocess
import sys
from dataclasses import replace

import numba
import numpy as np
import pytest
from examples import heavy
from kernel_store import SIGNATURE, loaded, twice
from places import SUPPORT
from processes import python

from minembed.errors import BackendWarning
from minembed.kernels.compiled import cache as cached
from minembed.kernels.compiled import once, sources
from minembed.kernels.vectors.target import TARGET


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_it_is_compiled_once(cache):
    assert loaded() == "compiled"
    assert {path.suffix for path in files(cache)} == {".nbi", ".nbc"}
    assert all(path.is_relative_to(cached.folder()) for path in files(cache))
    assert loaded() == "from disk" and loaded() == "from disk"
    assert all(str(os.getpid()) not in path.name for path in files(cache))  # no temporary file is left


DAMAGE = {
    "empty": b"",
    "garbage": b"\x93 this is no pickle " * 50,
    "text": b"numba",
    "a pickle of something else": b"\x80\x04N.",
    "a pickle that names what is not there": b"\x80\x04\x95\x14\x00\x00\x00\x00\x00\x00\x00\x8c\x05nobodyX",
}


@pytest.mark.parametrize("damage", [*DAMAGE, "cut", "cut late"])
@pytest.mark.parametrize("suffixes", [(".nbi",), (".nbc",), (".nbi", ".nbc")], ids="+".join)
def test_damaged_files_are_replaced(cache, suffixes, damage):
    assert loaded() == "compiled"
    for path in files(cache):
        if path.suffix in suffixes:
            whole = path.read_bytes()
            path.write_bytes(DAMAGE.get(damage, whole[: 40 if damage == "cut" else len(whole) - 7]))
    kernel = twice()
    kernel.compile(SIGNATURE)
    assert kernel(21) == 42
    assert loaded() == "from disk"  # repaired


def test_files_that_are_gone_or_folders(cache):
    assert loaded() == "compiled"
    for suffix in (".nbi", ".nbc"):
        for path in files(cache):
            if path.suffix == suffix:
                path.unlink()
        assert twice()(21) == 42
        assert loaded() == "from disk"
    for suffix in (".nbi", ".nbc"):
        shutil.rmtree(cached.folder())
        assert loaded() == "compiled"
        path = next(path for path in files(cache) if path.suffix == suffix)
        path.unlink()
        path.mkdir()
        kernel = twice()
        kernel.compile(SIGNATURE)
        assert kernel(21) == 42
        path.rmdir()


def test_a_folder_that_cannot_be(tmp_path, monkeypatch):
    """Below a file nobody can make a folder, root neither; what is compiled lives as long as the process."""
    (tmp_path / "file").write_text("here first")
    monkeypatch.setenv("MINEMBED_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", "")
    with pytest.warns(BackendWarning, match=f"cannot be kept in {cached.folder()} .*NUMBA_CACHE_DIR") as told:
        for _ in range(2):
            kernel = twice()
            assert not cached.is_stored(kernel, SIGNATURE)
            kernel.compile(SIGNATURE)
            assert kernel(21) == 42 and cached.is_stored(kernel, SIGNATURE)  # in this process
    assert len(told) == 1 and [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder(cache):
    cache.mkdir()
    cache.chmod(0o500)
    with pytest.warns(BackendWarning, match="cannot be kept"):
        assert twice()(21) == 42 and not files(cache)
    cache.chmod(0o700)


def test_no_home_folder(monkeypatch):
    for name in ("MINEMBED_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", "")
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as where nobody is
    once.warn_of_no_folder.cache_clear()
    with pytest.warns(BackendWarning, match=r"cannot be kept anywhere \(this user has no home folder") as told:
        for _ in range(2):
            kernel = twice()
            assert not cached.is_stored(kernel, SIGNATURE)
            kernel.compile(SIGNATURE)
            assert kernel(21) == 42
    assert len(told) == 1
    once.warn_of_no_folder.cache_clear()


def test_the_users_folder_for_numba(cache, tmp_path, monkeypatch):
    monkeypatch.setattr(numba.core.config, "CACHE_DIR", str(tmp_path / "theirs"))
    assert loaded() == "compiled" and loaded() == "from disk"
    assert files(tmp_path / "theirs") and not cache.exists()


# ---- several processes ----

BEGIN = """
import logging, sys
from kernel_store import SIGNATURE, twice
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
kernel = twice()
compiler, begun = kernel._compiler.compile, Path(sys.argv[1])
def compile(*args):
    print("compiling", flush=True)
    while not begun.exists():
        time.sleep(0.01)
    return compiler(*args)
kernel._compiler.compile = compile
kernel.compile(SIGNATURE)
assert kernel(21) == 42
"""


def begin(tmp_path):
    command = [sys.executable, "-W", "error", "-c", "import time; from pathlib import Path" + BEGIN, tmp_path / "go"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(SUPPORT)})


def test_one_compiles_and_others_wait(cache, tmp_path):
    with begin(tmp_path) as first:
        assert first.stdout.readline() == "compiling\n"
        with begin(tmp_path) as second:
            assert second.stdout.readline() == "another process compiles kernel: waiting for it\n"
            (tmp_path / "go").touch()
            assert second.stdout.read() == ""
    assert (first.wait(), second.wait()) == (0, 0)
    assert {path.suffix for path in files(cache)} == {".nbi", ".nbc"}


@pytest.mark.slow
def test_who_dies_is_followed(cache, tmp_path):
    with begin(tmp_path) as first:
        assert first.stdout.readline() == "compiling\n"
        first.kill()
    (tmp_path / "go").touch()
    with begin(tmp_path) as second:
        assert second.stdout.read() == "compiling\n"
    assert second.wait() == 0 and loaded() == "from disk"


def test_nobody_waits_for_what_cannot_be_compiled(cache, monkeypatch):
    kernel = twice()
    monkeypatch.setattr(kernel._compiler, "compile", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        kernel.compile(SIGNATURE)
    assert not files(cache) and loaded() == "compiled"


@pytest.mark.parametrize("fault", [NotImplementedError("no locks here"), OSError(errno.ENOLCK, "no locks left")])
def test_a_file_system_without_locks(cache, monkeypatch, fault):
    def acquire(*_, **__):
        raise fault

    monkeypatch.setattr("filelock.FileLock.acquire", acquire)
    assert loaded() == "compiled" and loaded() == "from disk"


# ---- when to compile anew ----


def test_the_stamp_tells_sources_and_versions(tmp_path, monkeypatch):
    kernels, package = tmp_path / "kernels", tmp_path / "minembed"
    fresh = cached.stamp.__wrapped__
    before = fresh()
    assert before == cached.stamp() == fresh()
    for own, copy in ((sources.KERNELS, kernels), (sources.PACKAGE, package)):
        shutil.copytree(own, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "KERNELS", kernels)
    monkeypatch.setattr(sources, "PACKAGE", package)
    assert fresh() == before  # where the files lie, and when they were written, says nothing
    seen = {before}
    paths = [*sorted(kernels.rglob("*.py")), *(package / name for name in sources.FROZEN)]
    assert len(paths) > 30 and {kernels / "tiles" / "registers.py", package / "search" / "metrics.py"} <= set(paths)
    for path in paths:
        source = path.read_bytes()
        path.write_bytes(source + b"\n")
        assert fresh() not in seen, path
        seen.add(fresh())
        path.write_bytes(source)
    assert fresh() == before
    (kernels / "tiles" / "another.py").write_bytes(b"")
    assert fresh() not in seen
    (kernels / "tiles" / "another.py").unlink()
    (package / "types.py").write_bytes(b"")
    assert fresh() == before  # nothing of it is compiled
    for name in (
        "minembed.version.__version__",
        "numba.__version__",
        "llvmlite.__version__",
        "numpy.__version__",
    ):
        with monkeypatch.context() as patch:
            patch.setattr(name, "0.0.1")
            assert fresh() not in seen, name
            seen.add(fresh())


def test_the_stamp_tells_what_is_disabled(monkeypatch):
    """Two settings never share code, not even where the CPU lacks what they name."""
    seen = set()
    for disabled in ((), ("amx-int8",), ("amx-tile", "amx-bf16", "amx-int8"), ("avx512bf16",), ("no such thing",)):
        monkeypatch.setattr(cached, "TARGET", replace(TARGET, disabled=frozenset(disabled)))
        seen.add(cached.stamp.__wrapped__())
    assert len(seen) == 5


def test_a_variant_has_code_of_its_own(cache):
    """Where tiles are in a kernel, a process without permission must not load what one with it has left on disk."""
    assert loaded() == "compiled"
    for variant in ("amx", "emulated"):
        assert loaded(variant) == "compiled" and loaded(variant) == "from disk"
    assert loaded() == "from disk"
    places = {cached.folder(), cached.folder("amx"), cached.folder("emulated")}
    assert {place for place in places for path in files(cache) if path.is_relative_to(place)} == places
    assert len(places) == 3


COMPILES = {"njit", "intrinsic", "overload", "register_jitable", "infer_global", "lower_builtin", "register_model"}


APART = {
    "on_disk",  # says where compiled code is kept, not what it is
    "disabled_features",  # is in the stamp by what it returns
    "read_target",  # asks what the CPU is, by which Numba files what it has compiled
}


def parts_of(path):
    """Of a module: the names that the statement of each top-level name loads ("" where it has none), where imported
    names come from, and which are compiled."""
    made, origins, compiled = {"": set()}, {}, {""}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ImportFrom):
            origins |= {alias.asname or alias.name: (node.module, alias.name) for alias in node.names}
            continue
        every = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
        defined = [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
        for name in defined or {n.id for n in every if isinstance(n.ctx, ast.Store)} or {""}:
            made.setdefault(name, set()).update(n.id for n in every if isinstance(n.ctx, ast.Load))
        if isinstance(node, ast.FunctionDef) and node.decorator_list:
            compiled.add(node.name)
    return made, origins, compiled if COMPILES & set(origins) else set()


def file_of(module):
    """The file of a module of minembed; None of any other, and of a name that is no module."""
    first, *rest = module.split(".")
    folder = sources.PACKAGE
    if rest[:1] == ["kernels"]:
        folder, rest = sources.KERNELS, rest[1:]
    path = folder.joinpath(*rest).with_suffix(".py")
    return path if first == "minembed" and rest and path.is_file() else None


def compiled_from():
    """Every file that a name in compiled code leads to, through imports and through what constants are made of."""
    modules, reached = {path: parts_of(path) for path in sources.KERNELS.rglob("*.py")}, set()

    def follow(path, name):
        if (path, name) in reached or name in APART:
            return
        reached.add((path, name))
        if path not in modules:
            modules[path] = parts_of(path)
        made, origins, _ = modules[path]
        for used in made.get(name, ()):
            follow(path, used)
        if name in origins:
            module, original = origins[name]
            whole, one = file_of(f"{module}.{original}"), file_of(module)
            if whole:  # a module as a whole: any of its names may be meant
                for every in parts_of(whole)[0]:
                    follow(whole, every)
            elif one:
                follow(one, original)

    for path, (_, _, compiled) in list(modules.items()):
        for name in compiled:
            follow(path, name)
    return {path for path, name in reached if name in modules[path][0]}


def test_the_stamp_covers_all_that_compiled_code_comes_from():
    """A constant of a module that the stamp leaves out would stay as it was when the code was compiled."""
    covered, wanted = set(sources.sources().values()), compiled_from()
    assert sources.KERNELS / "tiles" / "registers.py" in wanted
    assert not wanted - covered, "name these in minembed.kernels.compiled.sources.FROZEN"
    outside = {path for path in wanted if not path.is_relative_to(sources.KERNELS)}
    assert outside == {sources.PACKAGE / name for name in sources.FROZEN}, "FROZEN names what nothing is compiled from"


def test_another_stamp_is_another_folder(cache, monkeypatch):
    assert loaded() == "compiled"
    monkeypatch.setattr(cached, "stamp", lambda: "0123456789abcdef")
    assert loaded() == "compiled" and loaded() == "from disk"
    assert len({path.parent for path in files(cache)}) == 2


# ---- the real kernels ----

ENCODE = """
import sys
import numpy as np
from minembed import Embedder
from minembed.kernels.encoder.run import run
model = Embedder.load(sys.argv[1], backend="numba")
assert model.backend == "numba"
vectors = model.encode([" ".join(["the cat"] * n) for n in range(31)], truncation="silent")
np.save(sys.argv[2], vectors)
print(sum(run.stats.cache_hits.values()), sum(run.stats.cache_misses.values()))
"""


SOFTMAX = """
import sys
import numpy as np
from minembed.kernels.training.rows import softmax_rows
x = np.random.default_rng(0).standard_normal(31 * 48, np.float32)
out = np.zeros_like(x)
softmax_rows(x, 31, 48, out)
np.save(sys.argv[2], out)
print(sum(softmax_rows.stats.cache_hits.values()), sum(softmax_rows.stats.cache_misses.values()))
"""


@pytest.mark.parametrize("script", [SOFTMAX, *heavy([ENCODE])], ids=["softmax", "encoder"])
def test_kernels_with_a_damaged_cache(tiny_checkpoint, tmp_path, script):
    """All files damaged at once: the same bytes, and the next process finds them whole."""
    expected, made = tmp_path / "expected.npy", tmp_path / "made.npy"
    assert len(python(script, tiny_checkpoint, expected)) == 1  # compiled by now
    again = python(script, tiny_checkpoint, expected)
    source = cached.folder()
    if not source.is_dir():
        pytest.skip("this machine keeps no compiled kernels")
    assert again == ["1 0"]
    own = tmp_path / "cache" / "kernels" / source.name
    shutil.copytree(source, own)
    environment = {"MINEMBED_CACHE": str(tmp_path / "cache")}
    assert python(script, tiny_checkpoint, made, **environment) == ["1 0"]  # a copy is as good
    for path in files(own):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2] + b"\0" * 100)
    assert python(script, tiny_checkpoint, made, **environment) == ["0 1"]
    np.testing.assert_array_equal(np.load(made), np.load(expected))
    assert python(script, tiny_checkpoint, made, **environment) == ["1 0"]
    np.testing.assert_array_equal(np.load(made), np.load(expected))
