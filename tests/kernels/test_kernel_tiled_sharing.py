"""A second core beside the caller's on tiles: it may come, be late or stay away, and no bit changes."""

import threading
import time

import numpy as np
import pytest
from any_encoder import Architecture, any_architecture, architecture_of, assert_pooled, pack_on_tiles, tokens_of, whole
from emulated import slow_without_tiles
from examples import examples, heavy
from hypothesis import given
from hypothesis import strategies as st
from interrupts import interrupt, is_calm, needs_timer

from minembed.kernels.encoder.tiled import tiled_encoder
from minembed.kernels.encoder.tiled.workspace import SHARED_ROWS
from minembed.kernels.helpers import Helper
from minembed.kernels.tiles.amx import HARDWARE
from minembed.transformer.config import Config

pytestmark = slow_without_tiles
STAYS_AWAY = 30  # seconds: far more than a call takes
MINILM = Architecture(Config(29, 384, 1, 12, 1536, 512, 2, "gelu", 1e-12))
ODD = architecture_of(8, positions=512)


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Every product is worth sharing, and every test has a helper of its own."""
    monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)
    monkeypatch.setattr(tiled_encoder, "helper", Helper())


def pack(architecture, dtype="bfloat16"):
    return pack_on_tiles(architecture, dtype)


def assert_shared(model, tokens, times=3):
    alone = model(tokens)
    for _ in range(times):
        np.testing.assert_array_equal(model(tokens, together=True), alone)
    assert_pooled(model, tokens, alone, together=True)


@pytest.mark.parametrize("architecture", [ODD, *heavy([MINILM])], ids=["odd", "minilm"])
def test_any_number_of_rows(architecture):
    model = pack(architecture)
    for rows in range(1, SHARED_ROWS + 1):
        assert_shared(model, tokens_of([rows], architecture.config), times=1)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("lengths", [[7], [33], [64, 1, 17], [SHARED_ROWS]])
def test_the_shape_of_a_real_model(lengths, dtype):
    assert_shared(pack(MINILM, dtype), tokens_of(lengths, MINILM.config), times=10)


@pytest.mark.parametrize("dtype", ["bfloat16", "int8", "float32"])
@examples(300, usual=25)
@given(choices=st.data(), lengths=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_any_encoder(dtype, choices, lengths):
    architecture = any_architecture(lambda options: choices.draw(st.sampled_from(list(options))))
    architecture = whole(architecture) if dtype == "float32" else architecture
    assert_shared(pack(architecture, dtype), tokens_of(lengths, architecture.config))


def test_who_is_asked(monkeypatch):
    """A helper that never comes is not waited for; for more rows nobody is asked; who comes too late leaves at once."""
    model, asked = pack(ODD), []
    monkeypatch.setattr(tiled_encoder.helper, "ask", lambda work, *waits: asked.append(work) or True)
    for rows in (1, 31, SHARED_ROWS):
        tokens = tokens_of([rows], ODD.config)
        np.testing.assert_array_equal(model(tokens, together=True), model(tokens))
    assert len(asked) == 3
    for work in asked:
        work()
    model(tokens_of([SHARED_ROWS, 1], ODD.config), together=True)
    assert len(asked) == 3


def test_a_helper_that_comes_at_any_moment(monkeypatch):
    model, tokens, late = pack(MINILM), tokens_of([61], MINILM.config), []
    alone = model(tokens)

    def ask(work, *waits):
        late.append(threading.Timer(0.00005 * (len(late) % 40), work))
        late[-1].start()
        return True

    monkeypatch.setattr(tiled_encoder.helper, "ask", ask)
    for _ in range(120 if HARDWARE else 20):
        np.testing.assert_array_equal(model(tokens, together=True), alone)
    for timer in late:
        timer.join(STAYS_AWAY)
        assert not timer.is_alive()


@needs_timer
def test_interrupted_queries_keep_their_helper():
    """Every call is interrupted somewhere, and the helper comes to the next one, and idles afterwards."""
    rows = SHARED_ROWS if HARDWARE else 8  # so that a call is not over before a timer strikes
    model, tokens = pack(MINILM), tokens_of([rows], MINILM.config)
    alone = model(tokens).tobytes()
    interrupt(lambda: model(tokens, together=True), 300, seed=1)
    assert model(tokens, together=True).tobytes() == alone
    for _ in range(1000):
        if tiled_encoder.helper.ask(lambda: None):
            break
        time.sleep(0.01)
    else:
        pytest.fail("the helper stays busy")
    assert is_calm()  # a helper that nobody lets go of spins
