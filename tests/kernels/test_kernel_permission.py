"""Tiles: may this process use them?  Asked in children, since what Linux has given it does not take back."""

import json
import sys

import numpy as np
import pytest
from processes import python
from withheld import needs_amx, python_withheld

from minembed import Embedder
from minembed.kernels.tiles import permission
from minembed.kernels.vectors.disabled import WORDS

GRANTED = """
    import os, sys, threading
    from minembed.kernels.tiles.permission import describe, permitted, tiles_usable

    def told():
        import ctypes
        given = ctypes.c_uint64()
        assert ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(given)) == 0
        return bool(given.value >> 18 & 1)

    found, asked = [], threading.Event()
    early = threading.Thread(target=lambda: (asked.wait(), found.append(told())))
    early.start()
    print(told())
    print(permitted(), permitted(), tiles_usable(), told())
    asked.set()
    late = threading.Thread(target=lambda: found.append(told()))
    late.start()
    for thread in (early, late):
        thread.join()
    print(found)
    child = os.fork()
    if not child:
        os._exit(0 if told() and tiles_usable() else 1)
    print(os.waitpid(child, 0)[1])
    print(describe(), flush=True)
    given = "import ctypes; g = ctypes.c_uint64(); ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(g))"
    os.execv(sys.executable, [sys.executable, "-c", given + "; print(bool(g.value >> 18 & 1))"])
"""


@needs_amx
def test_permission_is_given_to_threads_and_forked_children():
    before, asked, threads, forked, words, another_program = python(GRANTED)
    if asked.startswith("False"):
        pytest.skip("this process may not use tiles either")
    assert before == "False" and asked == "True True True True"
    assert threads == "[True, True]" and forked == "0" and words == "AMX, compiled for and permitted"
    assert another_program == "False"  # which has to ask again


@needs_amx
def test_permission_is_withheld():
    lines = python_withheld("""
        from minembed.kernels.tiles.permission import describe, permitted, tiles_usable
        print(permitted(), permitted(), tiles_usable())
        print(describe())
    """)
    assert lines[0] == "False False False" and "NOT permitted" in lines[1]


@needs_amx
def test_vectors_without_permission(tiny_checkpoint, tmp_path):
    """bfloat16 is computed in another way, not in other numbers; "auto" finds nothing faster than float32."""
    texts = [" ".join(["the cat", "un believ able", "rain and sun"][i % 3 :] * i) for i in range(40)]
    lines = python_withheld(
        """
        import json, sys
        import numpy as np
        from minembed import Embedder
        folder, file, texts = sys.argv[1:]
        model = Embedder.load(folder, backend="numba", dtype="bfloat16")
        np.save(file, model.encode(json.loads(texts), truncation="silent"))
        print(model.backend, model.dtype, Embedder.load(folder, dtype="auto").dtype)
        """,
        *(tiny_checkpoint, tmp_path / "x.npy", json.dumps(texts)),
    )
    assert lines == ["numba bfloat16 float32"]
    here = Embedder.load(tiny_checkpoint, backend="numba", dtype="bfloat16").encode(texts, truncation="silent")
    there = np.load(tmp_path / "x.npy")
    assert np.isfinite(there).all() and (here.astype(np.float64) * there).sum(axis=1).min() >= 0.9999


@needs_amx
def test_nobody_asks_on_import():
    """But for the modules that work on tiles, which are imported when somebody is about to."""
    told = python("""
        import ctypes, pkgutil
        from importlib import import_module
        import minembed.kernels
        for module in pkgutil.walk_packages(minembed.kernels.__path__, "minembed.kernels."):
            if not any(part in module.name for part in ("encoder.tiled", "tiles.amx")):
                import_module(module.name)
        given = ctypes.c_uint64()
        assert ctypes.CDLL(None).syscall(158, 0x1022, ctypes.byref(given)) == 0
        print(given.value >> 18 & 1)
    """)
    assert told == ["0"]


def test_where_nobody_can_be_asked(monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        assert not permission.permitted()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "ctypes", None)  # a Python built without it
        assert not permission.permitted()


@pytest.mark.parametrize("setting", ["amx", " AMX,", "amx-tile", "avx512bf16,amx-int8"])
def test_tiles_are_left_out(setting):
    lines = python(
        """
        from minembed.kernels.tiles import permission
        permission.permitted = None  # not even asked
        from minembed.kernels.vectors.target import TARGET
        print(permission.tiles_usable(), TARGET.amx)
        print(permission.describe())
        """,
        MINEMBED_DISABLE=setting,
    )
    assert lines == ["False False", "none, MINEMBED_DISABLE leaves AMX out"]


def test_an_unknown_word_is_an_error_where_kernels_are_used(tiny_checkpoint):
    lines = python(
        """
        import sys
        from minembed import Embedder
        from minembed.errors import InputError
        for backend in ("numba", "auto", "numpy"):
            try:
                print(Embedder.load(sys.argv[1], backend=backend).backend)
            except InputError as error:
                print(error)
        """,
        tiny_checkpoint,
        MINEMBED_DISABLE="amx,axm",
    )
    assert lines[0] == lines[1] and lines[2] == "numpy"
    assert "MINEMBED_DISABLE names 'axm'" in lines[0] and all(word in lines[0] for word in WORDS)
