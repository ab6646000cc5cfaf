"""Finding and opening libraries: what is damaged, old, of another system or another build is refused by name."""

import ctypes
import hashlib
import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest
from examples import heavy
from fake_libraries import write_fake_libraries
from processes import python

from minembed.errors import BackendError
from minembed.kernels.ahead import building
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled import ahead_of_time
from minembed.kernels.compiled.ahead_of_time import Native, open_native, open_variant
from minembed.kernels.compiled.sources import hashes_of
from minembed.kernels.compiled.variants import variant_of
from minembed.kernels.entries import ENTRIES
from minembed.kernels.libraries import LARGEST, MANIFEST, open_library, platform_here, read_libraries
from minembed.kernels.vectors.detect import detect_target
from minembed.kernels.vectors.target import TARGET

ADVICE = "install minembed again, or run `make native`"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder of libraries, to copy, and the name of the variant."""
    folder = tmp_path_factory.mktemp("native")
    return folder, write_fake_libraries(folder)


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "native")


def change(folder, **fields):
    told = json.loads((folder / MANIFEST).read_bytes())
    (folder / MANIFEST).write_text(json.dumps(told | fields))


def change_library(folder, variant, **fields):
    libraries = json.loads((folder / MANIFEST).read_bytes())["libraries"]
    libraries[variant] |= fields
    change(folder, libraries=libraries)


def test_it_is_opened_once_and_called(made):
    folder, variant = made
    native = open_native(folder)
    assert native is open_native(folder) and native.variant == variant and native.backend == "native"
    x, room = np.zeros(3, np.float32), np.zeros(5, np.float32)
    assert native["gelu_rows"](x, 7, room) == x.ctypes.data + room.ctypes.data + 3 + 7 + 5
    assert native["gelu_rows"] is native["gelu_rows"]
    assert native.bind("gelu_rows", {0: x, 2: room})(7) == native["gelu_rows"](x, 7, room)
    native.compile(["run_int8", "transpose"])
    assert native.is_compiled(["run_int8", "transpose"]) and not native.is_compiled(["run_int8", "no such thing"])
    assert detect_target(folder).tile == TARGET.tile


def refused(folder, words, variant=None):
    """Why a folder cannot be used."""
    with pytest.raises(BackendError, match=words) as caught:
        open_native.__wrapped__(folder) if variant is None else open_variant(variant, folder)
    return str(caught.value)


def test_there_is_none(tmp_path):
    assert "there are no compiled kernels" in refused(tmp_path, ADVICE, variant_of(TARGET) or "avx2")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b"{" * 1000, b'{"schema": 2}' + b" " * LARGEST + b"x"],
    ids=range(8),
)
def test_a_manifest_that_is_none(folder, content):
    (folder / MANIFEST).write_bytes(content)
    assert str(folder / MANIFEST) in refused(folder, ADVICE)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("schema", 1, "has the schema 1, not 2"),
        ("schema", None, "has the schema None"),
        ("version", "0.0.1", "for the version '0.0.1', not "),
        ("platform", "plan9-vax", f"for the platform 'plan9-vax', not '{platform_here()}'"),
        ("libraries", [], "is damaged"),
        ("libraries", {}, "names no library"),
        ("libraries", {"cpu": None}, "is damaged"),
        ("sources", None, "is damaged"),
        ("sources", {"kernels/entries.py": 1}, "is damaged"),
    ],
)
def test_what_a_manifest_may_say(folder, field, value, words):
    change(folder, **{field: value})
    assert str(folder / MANIFEST) in refused(folder, words)


def test_other_sources(folder, monkeypatch):
    change(folder, sources={"kernels/entries.py": "0123456789abcdef", "search/gone.py": "0"})
    refused(folder, r"older than kernels/entries.py, search/gone.py: run `make native` again")
    monkeypatch.setattr(ahead_of_time, "in_checkout", lambda: False)  # what was installed does not change
    assert isinstance(open_native.__wrapped__(folder), Native)


def test_a_library_that_is_damaged(folder, made):
    file = next(folder.glob("kernels-*"))
    content = file.read_bytes()
    for damaged in (content[:-1], content[: len(content) // 2], b"", content[:9] + b"x" + content[10:], content * 2):
        file.write_bytes(damaged)
        assert str(file) in refused(folder, ADVICE)
    file.unlink()
    assert str(file) in refused(folder, "No such file")
    file.mkdir()
    assert str(file) in refused(folder, "Is a directory|Permission denied")


def test_a_library_that_the_system_does_not_open(folder, made):
    """The bytes are those that the manifest tells of, and yet no library."""
    file = next(folder.glob("kernels-*"))
    file.write_bytes(b"no library")
    change_library(folder, made[1], sha256=hashlib.sha256(b"no library").hexdigest())
    assert str(file) in refused(folder, "the system does not open")


@pytest.mark.parametrize("name", ["../kernels.so", "/etc/passwd", "", ".", "..", "a/b", 1, None])
def test_a_file_elsewhere(folder, made, name):
    change_library(folder, made[1], file=name)
    refused(folder, "is damaged")


def test_other_constants(folder, made):
    change_library(folder, made[1], constants={"panel": 8})
    refused(folder, "has the constants")


def test_entries_that_are_missing_or_others(folder, made, monkeypatch):
    told = json.loads((folder / MANIFEST).read_bytes())["libraries"][made[1]]["entries"]
    told["transpose"] = {"words": 1, "returns": "none"}
    told["no_such_thing"] = {"words": 2, "returns": "none"}
    del told["join"]
    change_library(folder, made[1], entries=told)
    native = open_native.__wrapped__(folder)
    monkeypatch.setitem(ENTRIES, "no_such_thing", replace(ENTRIES["transpose"], kinds=("int64", "bool")))
    with pytest.raises(BackendError, match=r"kernels-.* has another transpose, of 1 words"):
        native["transpose"]
    for name in ("join", "no_such_thing", "nobody_knows"):
        with pytest.raises(BackendError, match=f"kernels-.* has no compiled {name}"):
            native[name]


def share(folder, variant, **entries):
    """Let entries of a variant be in other libraries."""
    told = json.loads((folder / MANIFEST).read_bytes())["libraries"][variant]["entries"]
    for name, other in entries.items():
        told[name]["in"] = other
    change_library(folder, variant, entries=told)


def test_code_that_another_library_has(folder, made):
    """It is called there; what differs is called in the variant's own."""
    variant, libraries = made[1], json.loads((folder / MANIFEST).read_bytes())["libraries"]
    about = dict(libraries[variant], file=f"other-{libraries[variant]['file']}")
    shutil.copy(folder / libraries[variant]["file"], folder / about["file"])
    change(folder, libraries=libraries | {"other": about})
    share(folder, variant, gelu_rows="other")
    native = open_native.__wrapped__(folder)
    assert set(native.libraries) == {variant, "other"}
    x, room = np.zeros(3, np.float32), np.zeros(5, np.float32)
    assert native["gelu_rows"](x, 7, room) == x.ctypes.data + room.ctypes.data + 3 + 7 + 5
    places = {name: native._entry(name).function for name in ("gelu_rows", "transpose")}
    for name, holder in (("gelu_rows", "other"), ("transpose", variant)):
        own = native.libraries[holder][f"minembed_{name}"]
        assert ctypes.cast(places[name], ctypes.c_void_p).value == ctypes.cast(own, ctypes.c_void_p).value
    (folder / about["file"]).unlink()  # what is open must not be written to: the process would end by SIGBUS at its end
    (folder / about["file"]).write_bytes(b"")
    assert about["file"] in refused(folder, "is damaged")


def test_code_in_a_library_that_nobody_knows(folder, made):
    share(folder, made[1], gelu_rows="elsewhere")
    refused(folder, r"is damaged \(ValueError: entries are in elsewhere, which it does not name\)")
    share(folder, made[1], gelu_rows=3)
    refused(folder, "is damaged")


def test_weights_are_packed_as_the_library_wants_them(made, monkeypatch):
    other = replace(TARGET, features=frozenset() if TARGET.tile[0] != 2 else frozenset({"avx512f"}))
    monkeypatch.setattr(ahead_of_time, "TARGET", other)
    refused(made[0], "packs by tiles", variant=made[1])
    monkeypatch.setattr(ahead_of_time, "TARGET", replace(TARGET, machine="riscv64"))
    refused(made[0], "no kernels are compiled ahead of time for ")


def test_nothing_else_is_loaded(made):
    """Neither Numba nor LLVM, on the way to a compiled function."""
    told = python(
        """
        import sys
        from pathlib import Path
        sys.modules["numba"] = sys.modules["llvmlite"] = None
        import minembed.kernels.libraries as libraries
        libraries.NATIVE = Path(sys.argv[1])
        import minembed.kernels.vectors.detect as detect
        detect.detect_target.__defaults__ = libraries.NATIVE,
        from minembed.kernels.compiled.ahead_of_time import open_native
        native = open_native(libraries.NATIVE)
        native.compile(native.about.entries)
        print(native.variant)
        """,
        made[0],
    )
    assert told == [made[1]]


@pytest.mark.parametrize("count", [200, *heavy([2000])])
def test_whatever_is_damaged_is_refused(folder, made, count, amount):
    """Never a crash: what is opened has the bytes, and what is used the shape, with which it was built."""
    rng, opened, rounds = random.Random(amount.seed(count)), 0, amount.rounds(count)
    built = open_native.__wrapped__(folder).about
    files = [folder / MANIFEST, *folder.glob("kernels-*"), *folder.glob("cpu.*")]
    (kept := folder / "kept").mkdir()
    for file in files:  # what is open must not be written to: a damaged file takes its place, and gives it back
        (kept / file.name).hardlink_to(file)
    intact = {file: file.read_bytes() for file in files}
    for _ in range(rounds):
        file = files[rng.choice((0, 0, 1, 2))]
        content = bytearray(intact[file])
        for _ in range(rng.choice((1, 1, 3))):
            place = rng.randrange(len(content))
            if rng.random() < 0.7:
                content[place] ^= 1 << rng.randrange(8)
            elif rng.random() < 0.5:
                del content[place : place + rng.choice((1, 2, 8, 1 << 20))]
                content = content or bytearray(b"x")
            else:
                content[place:place] = content[rng.randrange(len(content)) :][: rng.choice((1, 40))]
        file.unlink()
        file.write_bytes(content)
        try:
            detect_target(folder)
            native = open_native.__wrapped__(folder)
            used = [name for name in native.about.entries if name in ENTRIES]
            native.compile(used)
        except BackendError as error:
            assert str(folder) in str(error)
        else:
            opened += 1
            assert file.name == MANIFEST or content == intact[file]
            assert replace(native.about, entries=built.entries) == built
            assert all(native.about.entries[name] == built.entries[name] for name in used)
        finally:
            file.unlink()
            file.hardlink_to(kept / file.name)
    assert 0 < opened < rounds / 2  # of the toolchain, or a name that no kernel has
    open_library(read_libraries(folder), made[1])


def test_a_comment_makes_no_library_old(tmp_path, monkeypatch):
    """Libraries that are kept are used again, and name the sources of today; other code makes them old."""
    platform, name = PLATFORMS["linux-x86_64"], "kernels/entries.py"
    monkeypatch.setattr(building, "variants_of", lambda platform: [])
    folder = building.build(platform, [], tmp_path / "kept").parent
    change(folder, sources={name: "of yesterday"}, code=building.code_of([name]))
    assert building.renewed(platform, folder)
    assert json.loads((folder / MANIFEST).read_bytes())["sources"] == hashes_of([name])
    change(folder, code={name: "other"})
    assert not building.renewed(platform, folder)


@pytest.mark.parametrize(
    ("change_to", "same"),
    [
        ('"""Else."""\n# and\nx = 1\n\n\ndef f():\n    return  x\n', True),
        ('"""A."""\nx = 2\ndef f():\n    return x\n', False),
    ],
)
def test_what_counts_as_code(tmp_path, monkeypatch, change_to, same):
    file = tmp_path / "a.py"
    monkeypatch.setattr(building, "sources", lambda: {"a.py": file})
    file.write_text('"""A."""\nx = 1\ndef f():\n    """F."""\n    return x\n')
    before = building.code_of(["a.py", "gone.py"])
    file.write_text(change_to)
    assert (building.code_of(["a.py", "gone.py"]) == before) == same and before["gone.py"] == ""
