"""The native tier in use: 300 processes, 32 threads, copies; and in an environment of the wheel alone, on every Python.

`make test-native` runs these, with the libraries that it finds or builds.
"""

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from places import ROOT
from processes import python

from minembed import Embedder
from minembed.kernels.libraries import MANIFEST, NATIVE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (NATIVE / MANIFEST).is_file(), reason="there are no libraries: make native"),
]
DTYPES = ("float32", "bfloat16", "int8")
TEXTS = [" ".join(["the cat", "rain", "a book"][i % 3 :] * (i % 9)) for i in range(60)]
OLDEST = (3, 10)

FORKS = """
    import os, sys, threading
    from minembed import Embedder
    texts = [" ".join(["the cat", "rain", "a book"][i % 3 :] * (i % 9)) for i in range(60)]
    model = Embedder.load(sys.argv[1], backend="native", dtype=sys.argv[2], threads=2)
    assert model.backend == "native"
    expected, done = model.encode(texts).tobytes(), threading.Event()

    def others():
        while not done.is_set():
            assert model.encode(texts).tobytes() == expected

    threads = [threading.Thread(target=others) for _ in range(2)]
    for thread in threads:
        thread.start()
    wrong = 0
    for _ in range(int(sys.argv[3])):
        child = os.fork()
        if not child:
            os._exit(model.encode(texts).tobytes() != expected or model.encode("rain").shape != (32,))
        wrong += os.waitpid(child, 0)[1] != 0
    done.set()
    for thread in threads:
        thread.join()
    print(wrong)
"""
SPAWNED = """
    import multiprocessing, sys
    from minembed import Embedder
    from spawned import digest
    model = Embedder.load(sys.argv[1], backend="native", dtype=sys.argv[2], threads=2)
    with multiprocessing.get_context("spawn").Pool(2, maxtasksperchild=1) as pool:
        print(len({digest(model), *pool.imap_unordered(digest, [model] * int(sys.argv[3]))}))
"""
FRESH = """
import json, sys
from minembed import Embedder, top_k
import minembed.errors, hashlib
import numpy as np
assert not {"numba", "llvmlite"} & set(sys.modules)
found = {}
for dtype in ("float32", "bfloat16", "int8"):
    model = Embedder.load(sys.argv[1], backend="native", dtype=dtype, local_files_only=True)
    assert model.backend == "native"
    found[dtype] = hashlib.sha256(model.encode(json.loads(sys.argv[2])).tobytes()).hexdigest()
rows = (np.arange(48000, dtype=np.float32).reshape(3000, 16) * 7 % 31) - 15
scores, indices = top_k(rows[:3], rows, 5, backend="native")
found["search"] = [indices.tolist(), scores.tolist()]
print(json.dumps(found))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
@pytest.mark.parametrize("dtype", DTYPES)
def test_90_forks_while_others_encode(tiny_checkpoint, dtype):
    assert python(FORKS, tiny_checkpoint, dtype, 90) == ["0"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_10_processes_that_are_spawned(tiny_checkpoint, tmp_path, dtype):
    """A model is sent to each, and each opens the library itself."""
    (tmp_path / "spawned.py").write_text(
        "import hashlib\n\ndef digest(model):\n"
        f"    return hashlib.sha256(model.encode({TEXTS!r}).tobytes()).hexdigest(), model.backend\n"
    )
    assert python(SPAWNED, tiny_checkpoint, dtype, 10, PYTHONPATH=str(tmp_path)) == ["1"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_32_threads_and_copies(tiny_checkpoint, dtype):
    model = Embedder.load(tiny_checkpoint, backend="native", dtype=dtype)
    copy = pickle.loads(pickle.dumps(model))
    expected = {i: model.encode(TEXTS[i:]).tobytes() for i in range(32)}

    def work(i):
        who = copy if i % 2 else model
        return all(who.encode(TEXTS[i:]).tobytes() == expected[i] for _ in range(20))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def pythons():
    """Every Python of this machine that minembed is for, by its version: on PATH, and those of pyenv."""
    folders = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    folders += Path.home().glob(".pyenv/versions/*/bin")
    found = {}
    for path in (path for folder in folders for path in folder.glob("python3.*")):
        version = re.fullmatch(r"python3\.(\d+)", path.name)
        if version and (3, int(version[1])) >= OLDEST:
            asked = subprocess.run([path, "-c", "import sys, venv, ensurepip; print(sys.version_info[:2])"],
                                   capture_output=True, text=True)  # fmt: skip
            if asked.returncode == 0:
                found.setdefault(asked.stdout.strip(), path)
    return found


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of this checkout, with its libraries inside."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file() and not name.startswith(("tests/", "bench/", "docs/")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    shutil.copytree(NATIVE, folder / "kernels" / "native")
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist", folder]
    subprocess.run(command, check=True)
    (made,) = (folder / "dist").glob("*.whl")
    return made


def test_every_python_computes_the_same(wheel, tiny_checkpoint, tmp_path):
    """On the day that a Python comes out: the wheel is of none in particular, and NumPy is all that it needs."""
    found = {}
    for version, path in pythons().items():
        own = tmp_path / path.name
        subprocess.run([path, "-m", "venv", own], check=True)
        subprocess.run([own / "bin" / "pip", "install", "-q", "--only-binary=:all:", wheel], check=True)
        command = [own / "bin" / "python", "-W", "error", "-c", FRESH, tiny_checkpoint, json.dumps(TEXTS)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
        assert done.returncode == 0, f"{version}: {done.stderr}"
        found[version] = done.stdout
        print(f"Python {version}: passed")
    assert found and len(set(found.values())) == 1, found
