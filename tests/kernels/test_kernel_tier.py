"""The numba tier is optional and never a liability: missing, old, broken or wrong, it is replaced by NumPy.

It stands threads and copies, and leaves a user's own settings of Numba alone.
"""

import copy
import io
import pickle
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import numpy as np
import pytest
from batchings import texts_of
from processes import python

from minembed import Embedder
from minembed.errors import BackendError, BackendWarning, InputError
from minembed.runtime import backend

DTYPES = ["float32", "bfloat16", "int8"]
SELF_TEST = 0.15  # seconds of CPU time; the contract is 0.05 on an idle machine
needs_numba = pytest.mark.skipif(not find_spec("numba"), reason="numba is not installed")
TEXTS = ["a cat", "the dog in the oven", "", "test query", "unbelievable trains and rivers", "x"]


@pytest.fixture
def by_numpy(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy").encode(TEXTS).tobytes()


def load_with_warning(folder, reason):
    """Load with the numba tier asked for; the warning gives the reason and points at this file."""
    with pytest.warns(BackendWarning, match=reason) as caught:
        model = Embedder.load(folder, backend="numba")
    assert len(caught) == 1 and caught[0].filename == __file__
    assert model.backend == model.info()["backend"] == "numpy"
    return model


# ---- what replaces it ----


def test_without_numba_auto_is_numpy_in_silence(tiny_checkpoint, monkeypatch, by_numpy):
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    monkeypatch.setattr(backend, "has_native", lambda: False)
    model = Embedder.load(tiny_checkpoint)  # a warning would be an error here
    assert model.backend == "numpy" and model.encode(TEXTS).tobytes() == by_numpy


def test_without_numba_it_can_be_asked_for(tiny_checkpoint, monkeypatch, by_numpy):
    monkeypatch.setattr(backend, "find_spec", lambda name: None)
    model = load_with_warning(tiny_checkpoint, r"not installed: pip install 'minembed\[numba\]'")
    assert model.encode(TEXTS).tobytes() == by_numpy


@needs_numba
@pytest.mark.parametrize("version", ["0.61.2", "0.9.0", "0.61.0rc1"])
def test_an_old_numba(tiny_checkpoint, monkeypatch, by_numpy, version):
    monkeypatch.setattr("numba.__version__", version)
    assert load_with_warning(tiny_checkpoint, f"{version} is too old: 0.62").encode(TEXTS).tobytes() == by_numpy


@needs_numba
@pytest.mark.parametrize("version", ["0.62.0", "0.68.1", "0.100.0", "1.0.0", "0.63.0rc2", "0.70.0dev0+12.gabc"])
def test_a_numba_that_is_new_enough(monkeypatch, version):
    monkeypatch.setattr("numba.__version__", version)
    backend.check_numba()


@needs_numba
@pytest.mark.parametrize(
    "error", [ImportError("libLLVM.so: cannot open"), OSError("disk"), SystemError("bad call"), KeyError("x")], ids=repr
)
def test_a_broken_numba(tiny_checkpoint, monkeypatch, by_numpy, error):
    def fail(*arguments):
        raise error

    monkeypatch.setattr("minembed.kernels.encoder.tier.compile_kernels", fail)
    model = load_with_warning(tiny_checkpoint, type(error).__name__)
    assert model.encode(TEXTS).tobytes() == by_numpy


@needs_numba
def test_kernels_that_fail_their_test(tiny_checkpoint, monkeypatch, by_numpy):
    from minembed.kernels.encoder import selftest

    monkeypatch.setattr(selftest, "TOLERANCE", dict.fromkeys(DTYPES, 0.0))
    model = load_with_warning(tiny_checkpoint, "float32 kernels for .* differ from NumPy by .* on 1 tokens")
    assert model.encode(TEXTS).tobytes() == by_numpy


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_wrong_arguments_are_errors_of_the_caller(tiny_checkpoint, dtype):
    assert Embedder.load(tiny_checkpoint, backend="numba", dtype=dtype).backend == "numba"
    for tier in ("numba", "auto", "numpy"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            with pytest.raises(InputError, match="float16"):
                Embedder.load(tiny_checkpoint, backend=tier, dtype="float16")


# ---- the self-test ----


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tokens", [1, 2, 3, 35])
@pytest.mark.parametrize("fault", ["nan", "off", "swapped"])
def test_the_self_test_finds_one_wrong_tile(fault, tokens, dtype):
    from kernel_encoders import encoder_of

    from minembed.kernels.encoder import selftest

    def prepare(params, config):
        right = encoder_of(params, config, dtype)

        def wrong(texts):
            out = right(texts)
            if len(out) == tokens:
                row = out[tokens // 2]
                row[:] = row + 0.2 if fault == "off" else row[::-1].copy() if fault == "swapped" else np.nan
            return out

        return wrong

    with pytest.raises(BackendError, match=f"{dtype} kernels for .* on {tokens} tokens"):
        selftest.check(prepare, dtype)


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_the_self_test_is_quick_and_reaches_every_tile(dtype):
    from kernel_encoders import encoder_of

    from minembed.kernels.encoder import selftest
    from minembed.kernels.tiles.shapes import TILE_ROWS
    from minembed.transformer.quantization import group_size

    seen = set()

    def prepare(params, config):
        encoder = encoder_of(params, config, dtype)

        def counted(tokens):
            seen.add(len(tokens.ids))
            return encoder(tokens)

        return counted

    seconds = []
    for _ in range(3):
        begin = time.process_time()
        selftest.check(prepare, dtype)
        seconds.append(time.process_time() - begin)
    assert seen >= set(range(1, TILE_ROWS + 1))
    assert min(seconds) < SELF_TEST, seconds
    widths = selftest.SMALL.hidden_size, selftest.SMALL.intermediate_size
    assert any(group_size(width) < width and group_size(width) % 16 for width in widths), "one group alone is tested"


# ---- while it compiles ----


class Terminal(io.StringIO):
    def isatty(self):
        return True


@needs_numba
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("compiled", [True, False])
def test_a_terminal_is_told_why_it_waits(monkeypatch, terminal, compiled):
    from minembed.kernels.encoder import tier

    stream = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("minembed.kernels.compiled.just_in_time.JustInTime.is_compiled", lambda *_: compiled)
    monkeypatch.setattr(sys, "stderr", stream)
    assert tier.compile_kernels("float32") >= 0
    assert ("compiling float32 kernels" in stream.getvalue()) == (terminal and not compiled)
    monkeypatch.setattr(sys, "stderr", None)  # as under pythonw
    tier.compile_kernels("float32")


# ---- threads and copies ----


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_32_threads_share_one_model(tiny_checkpoint, dtype):
    model, texts = Embedder.load(tiny_checkpoint, backend="numba", dtype=dtype), texts_of(50, 30, seed=5)
    expected = {i: model.encode(texts[i:], truncation="silent").tobytes() for i in range(32)}

    def work(i):
        return all(model.encode(texts[i:], truncation="silent").tobytes() == expected[i] for _ in range(4))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


@needs_numba
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies(tiny_checkpoint, dtype):
    from minembed.kernels.encoder.run import run

    model = Embedder.load(tiny_checkpoint, backend="numba", dtype=dtype)
    compiled = len(run.overloads)
    sent, expected = pickle.dumps(model), model.encode(TEXTS).tobytes()
    assert len(pickle.dumps(model)) == len(sent)  # what idles between calls does not travel
    for other in (pickle.loads(sent), copy.deepcopy(model), copy.copy(model)):
        assert other.encode(TEXTS).tobytes() == expected and other.backend == "numba"
        assert other.info() == model.info()
    assert len(run.overloads) == compiled, "compiled again: a copy's arrays are of another type"


@needs_numba
def test_weights_that_were_packed_for_another_cpu(tiny_checkpoint):
    """A model that comes from a machine with other tiles would be computed wrongly, or beyond its arrays."""
    model = Embedder.load(tiny_checkpoint, backend="numba")
    object.__setattr__(model.engine.compute.packed, "panel", 48)
    with pytest.raises(BackendError, match=r"packed by panels of 48 columns, .* load the model here, from its folder"):
        pickle.loads(pickle.dumps(model))


@needs_numba
def test_settings_of_numba_stay_the_users(tiny_checkpoint):
    body = """
    import os, sys
    import numba
    from numba.core import config

    def state():
        settings = {name: repr(getattr(config, name)) for name in dir(config) if name.isupper()}
        return settings, {k: v for k, v in os.environ.items() if k.startswith("NUMBA")}, numba.get_num_threads()

    before = state()
    from minembed import Embedder
    model = Embedder.load(sys.argv[1], backend="numba")
    model.encode(["a cat"] * 50)
    assert state() == before, {k: (v, before[0].get(k)) for k, v in state()[0].items() if v != before[0].get(k)}

    @numba.njit
    def twice(x):
        return 2 * x

    assert twice(3) == 6 and len(before[0]) > 30
    print("same")
    """
    assert python(body, tiny_checkpoint) == ["same"]
