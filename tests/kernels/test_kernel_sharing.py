"""A second core beside the caller's: it may come, be busy, be late or stay away, and no bit changes.

Also: pooling that needs one row computes one row, with the same bits.
"""

import os
import random
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from any_encoder import assert_pooled
from examples import heavy
from interrupts import interrupt, is_calm, needs_timer
from kernel_encoders import DTYPES
from kernel_inputs import config_of, packed

from minembed.kernels.encoder import tier
from minembed.kernels.encoder.job import DONE, JOB_WORDS
from minembed.kernels.encoder.selftest import random_params
from minembed.kernels.helpers import Helper

LENGTHS = [1, 2, 7, 13, 31, 64]
STAYS_AWAY = 30  # seconds: far more than the call takes, so that waiting for a helper would show


@pytest.fixture
def always(monkeypatch):
    """Every product is worth sharing."""
    monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)


def model_of(dtype, heads=4, size=24, F=200, layers=2):
    config = config_of(heads, size, F, layers)
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
def test_a_helper_that_never_comes_is_not_waited_for(always, monkeypatch, dtype):
    model, config = model_of(dtype)
    tokens = packed([31], config)
    alone, asked = model(tokens), []
    monkeypatch.setattr(tier.helper, "ask", lambda work, *waits: asked.append(work) or True)
    np.testing.assert_array_equal(model(tokens, together=True), alone)
    assert len(asked) == 1
    asked[0]()  # comes when all is over, and leaves at once


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_helper_that_is_late_leaves_when_the_work_is_done(always, monkeypatch, dtype):
    model, config = model_of(dtype)
    tokens, late = packed([31], config), []
    alone = model(tokens)

    def ask(work, *waits):
        late.append(threading.Timer(0.0001 * len(late), work))
        late[-1].start()
        return True

    monkeypatch.setattr(tier.helper, "ask", ask)
    for _ in range(30):
        np.testing.assert_array_equal(model(tokens, together=True), alone)
    for timer in late:
        timer.join(STAYS_AWAY)
        assert not timer.is_alive()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="threads cannot be kept to a core here")
@pytest.mark.parametrize("runs", [60, *heavy([4000])])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_helper_that_comes_at_any_moment(always, monkeypatch, dtype, runs, amount):
    """It waits for a while that no run has twice, on a core of its own or on the caller's, where one takes turns with
    the other in the middle of anything: the same bits, and panels that it did itself."""
    layers = 2 if runs < 1000 else 10  # a helper that comes on a busy machine comes late: there must be work left
    (model, config), own, dice = model_of(dtype, 8, 32, 1024, layers), Helper(), random.Random(amount.seed(1))
    before, jobs = os.sched_getaffinity(0), []
    cores = before
    monkeypatch.setattr("minembed.kernels.helpers._keep_off", lambda thread: cores)

    def late(work, *waits):
        wait = dice.choice([0, dice.uniform(0, 3e-4), dice.uniform(0, 3e-3)])
        jobs.append(next(cell.cell_contents for cell in work.__closure__ if np.size(cell.cell_contents) == JOB_WORDS))

        def begin_late():
            until = time.perf_counter() + wait
            while time.perf_counter() < until:
                pass
            work()

        return own.ask(begin_late)

    monkeypatch.setattr(tier, "helper", SimpleNamespace(ask=late))
    inputs = [packed([n], config, seed=n) for n in (1, 7, 31, 64)]
    alone = [model(tokens).tobytes() for tokens in inputs]
    try:
        for run in range(amount.rounds(runs)):
            if run % 50 == 0:
                cores = {min(before)} if run % 100 else before
                os.sched_setaffinity(0, cores)
            assert model(inputs[run % 4], together=True).tobytes() == alone[run % 4], run
            _comes(own)
    finally:
        os.sched_setaffinity(0, before)
    assert layers == 2 or sum(job[DONE] > 0 for job in jobs) > len(jobs) / 20


@pytest.mark.parametrize("dtype", DTYPES)
def test_32_callers_and_one_helper(always, dtype):
    model, config = model_of(dtype)
    tokens = [packed([n], config, seed=n) for n in range(1, 33)]
    expected = [model(t).tobytes() for t in tokens]

    def work(i):
        return all(model(tokens[i], together=True).tobytes() == expected[i] for _ in range(20))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def test_who_asks_first_has_the_helper():
    helper, go, done = Helper(), threading.Event(), threading.Event()
    assert helper.ask(lambda: go.wait(STAYS_AWAY) and done.set())
    begin = time.perf_counter()
    assert not helper.ask(lambda: None)
    assert time.perf_counter() - begin < STAYS_AWAY / 10
    go.set()
    assert done.wait(STAYS_AWAY)
    _comes(helper)


@needs_timer
def test_interrupted_queries_keep_their_helper(always, monkeypatch):
    """Every call is interrupted somewhere, and the helper comes to the next one, and idles afterwards."""
    own = Helper()
    monkeypatch.setattr(tier, "helper", own)
    model, config = model_of("float32")
    tokens = packed([31], config)
    alone = model(tokens).tobytes()
    interrupt(lambda: model(tokens, together=True), 300, seed=1)
    assert model(tokens, together=True).tobytes() == alone
    _comes(own)
    assert is_calm()  # a helper that nobody lets go of spins


def _comes(helper):
    for _ in range(1000):
        if helper.ask(lambda: None):
            return
        time.sleep(0.01)
    pytest.fail("the helper stays busy")


@needs_timer
@pytest.mark.parametrize("seed", range(3))
def test_interrupted_asking_leaves_the_helper_idle(seed):
    helper, comes = Helper(), threading.Event()

    def ask():  # for as long each time: how long an answer takes depends on what the helper does
        end = time.perf_counter() + 0.001
        while time.perf_counter() < end:
            helper.ask(lambda: None)

    interrupt(ask, 300, seed)
    _comes(helper)
    _comes(helper)
    for _ in range(1000):
        if helper.ask(comes.set):
            break
        time.sleep(0.01)
    assert comes.wait(STAYS_AWAY)


def test_a_helper_lets_go_of_what_it_did():
    class Work:
        def __call__(self):
            done.set()

    helper, done, work = Helper(), threading.Event(), Work()
    held = weakref.ref(work)
    assert helper.ask(work) and done.wait(STAYS_AWAY)
    del work
    for _ in range(1000):
        if held() is None:
            return
        time.sleep(0.01)
    pytest.fail("the helper holds its work, and with it a model that is gone")


@pytest.mark.parametrize("together", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("heads", "size", "F"), [(4, 24, 200), (2, 100, 300), (3, 21, 65), (1, 5, 7)])
def test_pooling_in_the_kernels_has_the_bits_of_the_whole(always, heads, size, F, dtype, together):
    model, config = model_of(dtype, heads, size, F)
    for lengths in ([1], [31], [1, 2, 7, 64, 1, 33], [*range(1, 40)]):
        tokens = packed(lengths, config)
        assert_pooled(model, tokens, model(tokens), together)
    assert all(model.pooled(packed([], config), [mode]).shape == (0, heads * size) for mode in ("cls", "mean"))
