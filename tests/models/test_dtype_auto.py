"""dtype="auto": the fastest compute type that is nearly as exact as float32, whatever the CPU; never int8 by itself."""

import logging
import pickle
from dataclasses import replace
from importlib.util import find_spec

import golden_heads
import numpy as np
import pytest
import static_cases
from command import run
from tiny import write_int8

from minembed import Embedder, Reranker
from minembed.errors import BackendError, BackendWarning
from minembed.models import loading
from minembed.runtime import backend

TEXTS = ["a cat", "the dog in the oven", "", "unbelievable trains and rivers"]
needs_numba = pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")


@pytest.fixture
def gains(monkeypatch):
    """A CPU on which the kernels are faster in bfloat16, or are not."""

    def gain(reason):
        monkeypatch.setattr("minembed.kernels.encoder.fastest.bfloat16_gain", lambda: reason)

    return gain


def same(a, b):
    return a.encode(TEXTS).tobytes() == b.encode(TEXTS).tobytes()


@needs_numba
def test_bfloat16_where_it_pays(tiny_checkpoint, gains, caplog):
    gains("which this CPU does twice at once")
    with caplog.at_level(logging.INFO, "minembed"):
        model = Embedder.load(tiny_checkpoint, dtype="auto")
    assert model.dtype == model.engine.compute.dtype == model.info()["dtype"] == "bfloat16"
    assert model.info()["dtype_reason"] == "which this CPU does twice at once"
    (told,) = [record for record in caplog.records if record.levelno == logging.INFO]
    assert told.getMessage() == (
        f"dtype auto: {tiny_checkpoint} is computed in bfloat16, which this CPU does twice at once"
    )
    assert same(model, Embedder.load(tiny_checkpoint, dtype="bfloat16"))
    assert pickle.loads(pickle.dumps(model)).info() == model.info()


@needs_numba
def test_float32_where_nothing_pays(tiny_checkpoint, gains):
    gains("")
    model = Embedder.load(tiny_checkpoint, dtype="auto")
    assert (model.dtype, model.backend, model.info()["dtype_reason"]) == ("float32", "numba", loading.NO_GAIN)
    assert same(model, Embedder.load(tiny_checkpoint))


def test_the_default_is_not_auto(tiny_checkpoint, gains, caplog):
    if find_spec("numba"):
        gains("which this CPU does twice at once")
    with caplog.at_level(logging.INFO, "minembed"):
        model = Embedder.load(tiny_checkpoint)
    assert model.dtype == "float32" and model.info()["dtype_reason"] is None and not caplog.records


def test_numpy_is_fastest_in_float32(tiny_checkpoint, gains, monkeypatch):
    if find_spec("numba"):
        gains("which this CPU does twice at once")
        model = Embedder.load(tiny_checkpoint, dtype="auto", backend="numpy")
        assert (model.dtype, model.backend) == ("float32", "numpy")
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    monkeypatch.setattr(backend, "_places_of", lambda package: [])
    model = Embedder.load(tiny_checkpoint, dtype="auto")
    assert (model.dtype, model.backend, model.dtype_reason) == ("float32", "numpy", loading.NO_GAIN)


@needs_numba
@pytest.mark.parametrize("fault", ["compile_kernels", "selftest.check"])
def test_kernels_that_fail_leave_numpy_in_float32(tiny_checkpoint, gains, monkeypatch, fault):
    def fail(*arguments):
        raise BackendError("broken")

    gains("which this CPU does twice at once")
    monkeypatch.setattr(f"minembed.kernels.encoder.tier.{fault}", fail)
    with pytest.warns(BackendWarning, match="broken") as caught:
        model = Embedder.load(tiny_checkpoint, dtype="auto")
    assert len(caught) == 1 and caught[0].filename == __file__
    assert (model.dtype, model.backend, model.dtype_reason) == ("float32", "numpy", loading.NO_GAIN)
    assert same(model, Embedder.load(tiny_checkpoint, backend="numpy"))


@needs_numba
def test_an_old_numba_is_told_once(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr("numba.__version__", "0.61.2")
    with pytest.warns(BackendWarning, match="too old") as caught:
        assert Embedder.load(tiny_checkpoint, dtype="auto", backend="numba").dtype == "float32"
    assert len(caught) == 1


def test_a_folder_that_has_no_choice(tiny_checkpoint, tmp_path, gains):
    if find_spec("numba"):
        gains("which this CPU does twice at once")
    stored = Embedder.load(write_int8(tiny_checkpoint, tmp_path / "int8"), dtype="auto")
    assert stored.dtype == "int8" and stored.dtype_reason == "its folder holds nothing else"
    static = Embedder.load(
        static_cases.write_static(tmp_path / "static", next(iter(static_cases.STATIC))), dtype="auto"
    )
    assert static.dtype == "float32" and "only add" in static.dtype_reason


@needs_numba
def test_cross_encoders(tmp_path, gains):
    gains("which this CPU does twice at once")
    folder = golden_heads.write_checkpoint("bert", "classifier", tmp_path / "bert")
    model, plain = Reranker.load(folder, dtype="auto"), Reranker.load(folder)
    assert model.dtype == model.info()["dtype"] == "bfloat16" and plain.dtype == "float32"
    assert model.info()["dtype_reason"] == "which this CPU does twice at once" and not plain.info()["dtype_reason"]


@needs_numba
@pytest.mark.parametrize(
    ("usable", "cpu", "word"), [(True, "", "AMX"), (False, "znver5", "vdpbf16ps"), (False, "", "")]
)
def test_which_cpu_gains(monkeypatch, usable, cpu, word):
    from minembed.kernels.encoder import fastest

    target = replace(fastest.TARGET, features=frozenset({"avx512f", "avx512bf16"}), cpu=cpu)
    monkeypatch.setattr(fastest, "TARGET", target)
    monkeypatch.setattr(fastest, "tiles_usable", lambda: usable)
    assert word in fastest.bfloat16_gain() and bool(fastest.bfloat16_gain()) == bool(word)


def test_the_command_line_takes_it(tiny_checkpoint, tmp_path):
    run("embed", "a cat", "-m", tiny_checkpoint, "--dtype", "auto", "-o", tmp_path / "x.npy")
    expected = Embedder.load(tiny_checkpoint, dtype="auto").encode(["a cat"])
    np.testing.assert_array_equal(np.load(tmp_path / "x.npy"), expected)
    assert "auto" in run("embed", "--help")[0]
