"""A second core beside the caller's: it may come, be busy, be late or stay away, and no bit changes.

Also: pooling that needs one row computes one row, with the same bits.
"""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from kernel_drivers import DTYPES
from test_kernel_encoder import config_of, packed

from minembed.kernels.encoder import tier
from minembed.kernels.encoder.selftest import random_params
from minembed.kernels.helpers import Partner

LENGTHS = [1, 2, 7, 13, 31, 64]
STAYS_AWAY = 30  # seconds: far more than the call takes, so that waiting for a partner would show


@pytest.fixture
def always(monkeypatch):
    """Every product is worth sharing."""
    monkeypatch.setattr(tier, "TEAM_WORK", 0)


def model_of(dtype, heads=4, size=24, F=200):
    config = config_of(heads, size, F, 2)
    return tier.prepare(random_params(config), config, dtype), config


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size", "F"), [(4, 24, 200), (2, 100, 300), (12, 32, 1536), (5, 7, 37)])
def test_two_cores_give_the_same_bits(always, heads, size, F, dtype):
    model, config = model_of(dtype, heads, size, F)
    for lengths in [*([n] for n in LENGTHS), [3, 1, 17]]:
        tokens = packed(lengths, config)
        alone = model(tokens)
        for _ in range(20):
            np.testing.assert_array_equal(model(tokens, together=True), alone)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_partner_that_never_comes_is_not_waited_for(always, monkeypatch, dtype):
    model, config = model_of(dtype)
    tokens = packed([31], config)
    alone, asked = model(tokens), []
    monkeypatch.setattr(tier.partner, "ask", lambda work: asked.append(work) or True)
    np.testing.assert_array_equal(model(tokens, together=True), alone)
    assert len(asked) == 1
    asked[0]()  # comes when all is over, and leaves at once


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_partner_that_is_late_leaves_when_the_work_is_done(always, monkeypatch, dtype):
    model, config = model_of(dtype)
    tokens, late = packed([31], config), []
    alone = model(tokens)

    def ask(work):
        late.append(threading.Timer(0.0001 * len(late), work))
        late[-1].start()
        return True

    monkeypatch.setattr(tier.partner, "ask", ask)
    for _ in range(30):
        np.testing.assert_array_equal(model(tokens, together=True), alone)
    for timer in late:
        timer.join(STAYS_AWAY)
        assert not timer.is_alive()


@pytest.mark.parametrize("dtype", DTYPES)
def test_32_callers_and_one_partner(always, dtype):
    model, config = model_of(dtype)
    tokens = [packed([n], config, seed=n) for n in range(1, 33)]
    expected = [model(t).tobytes() for t in tokens]

    def work(i):
        return all(model(tokens[i], together=True).tobytes() == expected[i] for _ in range(20))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def test_who_asks_first_has_the_partner():
    partner, go, done = Partner(), threading.Event(), threading.Event()
    assert partner.ask(lambda: go.wait(STAYS_AWAY) and done.set())
    begin = time.perf_counter()
    assert not partner.ask(lambda: None)
    assert time.perf_counter() - begin < STAYS_AWAY / 10
    go.set()
    assert done.wait(STAYS_AWAY)
    for _ in range(1000):
        if partner.ask(lambda: None):
            return
        time.sleep(0.01)
    pytest.fail("the partner stays busy")


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size", "F"), [(4, 24, 200), (2, 100, 300), (3, 21, 65), (1, 5, 7)])
def test_pooling_of_one_row_has_the_bits_of_the_whole(always, heads, size, F, dtype, together):
    model, config = model_of(dtype, heads, size, F)
    for lengths in ([1], [31], [1, 2, 7, 64, 1, 33], [*range(1, 40)]):
        tokens = packed(lengths, config)
        whole = model(tokens)
        first, last = tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:] - 1
        np.testing.assert_array_equal(model.one_row(tokens, "cls", together=together), whole[first])
        np.testing.assert_array_equal(model.one_row(tokens, "lasttoken", together=together), whole[last])
    assert model.one_row(packed([], config), "cls").shape == (0, heads * size)
