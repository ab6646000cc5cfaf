"""Which backend computes: the fastest that is here and sound, and what is said where one is not."""

import logging
import os
import sys
from importlib.util import find_spec

import numpy as np
import pytest

from minembed import Embedder, top_k
from minembed.errors import BackendError, BackendWarning
from minembed.kernels.compiled.variants import variant_of
from minembed.kernels.vectors.target import TARGET
from minembed.runtime import backend
from minembed.runtime.backend import NUMBA_SETTINGS, choose, has_native, serving

TEXTS = ["a cat", "the dog in the oven", "", "unbelievable trains and rivers"]
SECOND = "numba" if find_spec("numba") else "numpy"  # what stands in for native


@pytest.fixture
def damaged(monkeypatch):
    """Libraries that are here, and cannot be opened."""

    def fail(*arguments):
        raise BackendError("kernels.so is damaged: run `make native`")

    monkeypatch.setattr("minembed.kernels.compiled.ahead_of_time.open_native", fail)
    monkeypatch.setattr(backend, "has_native", lambda: True)
    monkeypatch.setattr(backend, "_is_loaded", lambda name: name != "native")


@pytest.mark.parametrize("asked", ["auto", "native"])
def test_another_computes_where_libraries_are_damaged(tiny_checkpoint, damaged, asked):
    with pytest.warns(BackendWarning, match="native tier cannot be used, .* computes instead: kernels.so is damaged"):
        model = Embedder.load(tiny_checkpoint, backend=asked)
    assert model.backend == SECOND
    expected = Embedder.load(tiny_checkpoint, backend=SECOND).encode(TEXTS)
    assert model.encode(TEXTS).tobytes() == expected.tobytes()


def test_searches_are_served_where_libraries_are_damaged(damaged):
    rows = np.random.default_rng(0).standard_normal((2000, 64))
    with pytest.warns(BackendWarning, match="native tier cannot be used"):
        found = top_k(rows[:2], rows, 3, backend="native")
    for one, other in zip(found, top_k(rows[:2], rows, 3, backend="numpy"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_without_numba_there_is_numpy(tiny_checkpoint, damaged, monkeypatch):
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    with pytest.warns(BackendWarning, match="NumPy computes instead: kernels.so is damaged") as caught:
        model = Embedder.load(tiny_checkpoint, backend="native")
    assert model.backend == "numpy" and len(caught) == 1  # of Numba, which is not installed, nobody need hear


@pytest.mark.skipif(has_native(), reason="libraries are here")
@pytest.mark.skipif(not variant_of(TARGET), reason="no library suits what Numba is told to compile for")
def test_a_checkout_has_no_libraries_and_says_how_to_have_them(tiny_checkpoint):
    with pytest.warns(BackendWarning, match="no compiled kernels here, in .*native.*`make native`"):
        assert Embedder.load(tiny_checkpoint, backend="native").backend == SECOND


@pytest.mark.parametrize("setting", NUMBA_SETTINGS)
def test_settings_of_numba_ask_for_numba(monkeypatch, tmp_path, setting):
    """Libraries are for the CPU at hand; who names another wants kernels for that."""
    folder = tmp_path / "native"
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    monkeypatch.setattr(backend, "_places_of", lambda package: [str(tmp_path)])
    for name in NUMBA_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    assert has_native() and choose("auto") == "native"
    monkeypatch.setenv(setting, "haswell")
    assert not has_native() and choose("auto") == SECOND
    assert backend.numba_settings() == [setting] and os.environ[setting] == "haswell"


def test_little_work_stays_with_numpy():
    assert serving("auto", 10) == "numpy"
    assert serving("numpy", 10**12) == "numpy"


@pytest.mark.parametrize(("asked", "loaded"), [("auto", "native"), ("native", "native"), ("numba", "numba")])
def test_searches_look_for_nothing_where_kernels_are_loaded(monkeypatch, tmp_path, asked, loaded):
    """Whether a package is installed takes 0.1 ms to find out: 5 % of a search in 100,000 rows of bytes."""

    def look(name):
        raise AssertionError(f"looked for {name}")

    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "manifest.json").write_text("{}")
    monkeypatch.setattr(sys.modules["minembed.kernels"], "__path__", [str(tmp_path)])
    for name in NUMBA_SETTINGS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(backend, "find_spec", look)
    monkeypatch.setattr(backend, "_is_loaded", lambda name: name == loaded)
    assert serving(asked, 10**12) == loaded


def test_numpy_says_how_to_be_faster(tiny_checkpoint, monkeypatch, caplog):
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    monkeypatch.setattr(backend, "has_native", lambda: False)
    caplog.set_level(logging.INFO, "minembed")
    assert Embedder.load(tiny_checkpoint).backend == "numpy"
    assert "`make native`" in caplog.text and "minembed[numba]" in caplog.text
    caplog.clear()
    Embedder.load(tiny_checkpoint, backend="numpy")  # as was asked for
    assert not caplog.text
