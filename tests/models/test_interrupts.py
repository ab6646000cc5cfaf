"""Thousands of interrupts at random moments: nothing is lost, nothing stays held, and no bit changes."""

import _thread
import time

import numpy as np
import pytest
import threadpoolctl
from batchings import texts_of, with_threads
from examples import heavy
from interrupts import interrupt, is_calm, needs_timer

from minembed import Embedder, Index, top_k
from minembed.runtime import threads
from minembed.runtime.threads import run, single_threaded_blas

TIMES = [(60, 1), pytest.param(5000, 2, marks=pytest.mark.slow)]
pytestmark = needs_timer


@pytest.fixture
def two_blas_threads():
    """BLAS with two threads, also on a machine with one core: else there is nothing to restore."""
    with single_threaded_blas():  # which looks for the libraries
        pass
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        assert blas_threads() == {2}
        yield {2}


def blas_threads():
    """Of the BLAS that NumPy calls: SciPy brings one of its own, maybe after the first vectors of this process."""
    return {library["num_threads"] for library in threads._guard.controller.info()}


# ---- BLAS and threads ----


@needs_timer
@pytest.mark.parametrize("seed", range(3))
def test_an_interrupted_limit_is_lifted(two_blas_threads, seed):
    """Each moment of entering, being in and leaving: BLAS has its own threads again, at once."""
    base = set(blas_threads())

    def work():
        for _ in range(10):
            with single_threaded_blas(), single_threaded_blas():
                pass

    def check():
        assert set(blas_threads()) == base

    interrupt(work, 300, seed, check)
    with single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == two_blas_threads


def test_a_forgotten_limit_is_lifted(two_blas_threads):
    single_threaded_blas().__enter__()
    assert blas_threads() == two_blas_threads


def test_a_limit_that_an_interrupt_left_is_not_taken_for_the_first_one(two_blas_threads, monkeypatch):
    def interrupted(libraries, limits):
        raise KeyboardInterrupt

    first = single_threaded_blas()
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt), first:
        patch.setattr(threads, "_limit", interrupted)  # leaving does nothing, twice
    with single_threaded_blas():
        assert blas_threads() == {1}
    assert blas_threads() == two_blas_threads


@needs_timer
@pytest.mark.parametrize("times", [60, *heavy([150])])
@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_calls_leave_the_model_as_it_was(tiny_checkpoint, tier, two_blas_threads, workers, times):
    model, texts = with_threads(Embedder.load(tiny_checkpoint, backend=tier), workers), texts_of(40, 20, seed=9)
    expected, running = model.encode(texts).tobytes(), _thread._count()

    def check():
        assert blas_threads() == two_blas_threads

    interrupt(lambda: model.encode(texts), times, seed=workers, check=check)
    assert model.encode(texts).tobytes() == expected
    for _ in range(1000):
        if _thread._count() <= running:
            return
        time.sleep(0.01)
    pytest.fail("threads are left behind")


def test_what_is_not_begun_when_the_loop_ends_is_never_begun():
    begun = []
    results = run(lambda x: begun.append(x) or time.sleep(0.01), range(1000), 2)
    next(results)
    results.close()
    count = len(begun)
    time.sleep(0.1)
    assert len(begun) == count < 10


# ---- thousands ----


def core_seconds(work, calls=15):
    """The least that a call took of all cores."""
    found = []
    for _ in range(calls):
        begin = time.process_time()
        work()
        found.append(time.process_time() - begin)
    return min(found)


def check_calm(work, times, seed):
    """Interrupt a function, and see that nothing of it stays: BLAS is limited, threads run, bits differ, it is slow."""
    work()
    before = core_seconds(work)
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        expected, running = work(), _thread._count()

        def check():
            assert threads._guard.controller is None or blas_threads() == {2}

        outcome = interrupt(work, times, seed, check)
        assert work() == expected
        for _ in range(1000):
            if _thread._count() <= running + 1:  # a helper that had not been asked before may sleep now
                break
            time.sleep(0.01)
        assert _thread._count() <= running + 1
        assert is_calm(), outcome
        assert times < 1000 or core_seconds(work) < 1.5 * before + 1e-3, outcome


@pytest.mark.parametrize(("times", "seed"), TIMES)
def test_single_queries(tiny_checkpoint, tier, times, seed, monkeypatch, amount):
    if tier != "numpy":
        monkeypatch.setattr("minembed.kernels.encoder.prepared.SHARED_WORK", 0)  # every product is worth sharing
    model = Embedder.load(tiny_checkpoint, backend=tier, threads=2)
    check_calm(lambda: model.encode("the cat sat on the dog").tobytes(), amount.rounds(times), amount.seed(seed))


@pytest.mark.parametrize(("times", "seed"), TIMES)
@pytest.mark.parametrize("workers", [1, 2])
def test_batches(tiny_checkpoint, tier, workers, times, seed, amount):
    model, texts = Embedder.load(tiny_checkpoint, backend=tier, threads=workers), texts_of(40, 20, seed=1)
    check_calm(lambda: model.encode(texts, truncation="silent").tobytes(), amount.rounds(times), amount.seed(seed))


@pytest.mark.parametrize(("times", "seed"), TIMES)
@pytest.mark.parametrize("precision", ["float32", "int8", "binary"])
def test_searches(precision, times, seed, amount):
    rng = np.random.default_rng(3)
    index = Index.build(rng.standard_normal((3000, 32)), precision=precision)
    queries = rng.standard_normal((5, 32))
    times, seed = amount.rounds(times), amount.seed(seed)
    check_calm(lambda: [x.tobytes() for x in index.search(queries, k=7, as_arrays=True)], times, seed)


@pytest.mark.parametrize(("times", "seed"), TIMES)
def test_top_k(tier, times, seed, amount):
    corpus, queries = (np.random.default_rng(4).standard_normal((n, 64)).astype(np.float32) for n in (5000, 20))
    times, seed = amount.rounds(times), amount.seed(seed)
    check_calm(lambda: [x.tobytes() for x in top_k(queries, corpus, 10, backend=tier, threads=2)], times, seed)
