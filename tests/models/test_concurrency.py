"""The same bits in any batch and on any thread, before and after errors; and BLAS left as it was found."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import threadpoolctl
from batchings import WORDS, rebatched, texts_of, with_threads
from examples import heavy, thinned
from tiers import TIERS, with_tier
from tiny import write_tiny_checkpoint

from minembed import Embedder
from minembed.errors import InputTypeError, NumericalError
from minembed.runtime import threads
from minembed.runtime.threads import available_cores, run, single_threaded_blas


@pytest.fixture
def tiny_model(tiny_checkpoint, tier):
    """The tiny checkpoint, loaded with each backend in turn."""
    return Embedder.load(tiny_checkpoint, backend=tier)


# ---- the same bits ----


@pytest.mark.parametrize("seed", [*range(3), *heavy(range(3, 20))])
def test_any_batch_gives_the_same_bits(tiny_model, seed):
    texts = texts_of(200, 40, seed=0)
    expected = with_threads(tiny_model, 1).encode(texts, truncation="silent")
    assert rebatched(tiny_model, texts, seed).tobytes() == expected.tobytes()


WIDTHS = [(8, 1, 8), (12, 3, 20), (30, 2, 50), (36, 4, 100), (63, 3, 65), (100, 5, 130), (128, 2, 512), (384, 12, 1536)]


@pytest.mark.parametrize("seeds", [range(2), *heavy([range(2, 6)])])
@pytest.mark.parametrize(("hidden_size", "heads", "intermediate_size"), thinned(WIDTHS, 2))
def test_any_width_gives_the_same_bits(tmp_path, tier, hidden_size, heads, intermediate_size, seeds):
    """BLAS has other paths for other widths: those of its tiles, odd ones, narrow ones, and those of the real model."""
    widths = {"hidden_size": hidden_size, "num_attention_heads": heads, "intermediate_size": intermediate_size}
    pooling = {"pooling_mode": ["cls", "mean", "max", "weightedmean", "mean_sqrt_len_tokens", "lasttoken"]}
    model = Embedder.load(write_tiny_checkpoint(tmp_path, num_hidden_layers=1, pooling=pooling, **widths), backend=tier)
    texts = texts_of(60, 30, seed=7)
    expected = with_threads(model, 1).encode(texts, truncation="silent")
    for seed in seeds:
        found = rebatched(model, texts, seed)
        assert found.tobytes() == expected.tobytes(), (seed, np.flatnonzero((found != expected).any(axis=1)))


def test_no_padding_is_computed(tmp_path, tier):
    """One long text and forty short ones in a batch have 3 % of the tokens of a rectangle, and need as little time."""
    shape = {"hidden_size": 128, "num_attention_heads": 4, "intermediate_size": 512, "num_hidden_layers": 4}
    folder = write_tiny_checkpoint(tmp_path, **shape, max_position_embeddings=260, max_seq_length=250)
    model = with_threads(Embedder.load(folder, backend=tier), 1)
    long = "cat " * 248
    mixed, rectangle = [long, *["cat"] * 40], [long] * 41
    tokens = model.tokenize(mixed)
    assert model.forward(tokens).shape == (tokens.lengths().sum(), 128) and len(tokens.ids) == 250 + 40 * 3
    model.encode(mixed)  # whatever is compiled or read once
    times = {len(texts[-1]): [] for texts in (mixed, rectangle)}
    for texts in (mixed, rectangle) * 3:
        start = time.process_time()
        model.encode(texts, batch_size=41)
        times[len(texts[-1])].append(time.process_time() - start)
    quick, slow = map(min, times.values())
    assert quick < slow / 4, times


@pytest.mark.weights
@pytest.mark.parametrize(("number", "seeds"), [(120, 1), *heavy([(200, 2), (300, 3), (700, 6), (2000, 20)])])
def test_any_batch_of_the_real_model_gives_the_same_bits(minilm, number, seeds):
    """Thousands of vectors: short texts, in random orders, batchings and numbers of threads."""
    texts = texts_of(number, 8, seed=1)
    expected = minilm.encode(texts)
    assert len(np.unique(expected, axis=0)) > number / 2
    for seed in range(seeds):
        found = rebatched(minilm, texts, seed, batch_sizes=(None, None, 16, 64))  # smaller ones are slow: see below
        assert found.tobytes() == expected.tobytes(), (seed, np.flatnonzero((found != expected).any(axis=1)))


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("backend", TIERS)
def test_2000_texts_in_20_batchings_give_the_same_bits(minilm_as, backend, dtype, amount):
    """The real model: short texts, and some that are cut; in NumPy fewer, and never one by one, which is slow."""
    plain = backend == "numpy"
    short, long, sizes = (480, 20, (None, 16, 64)) if plain else (1900, 100, (None, 1, 2, 7, 64))
    texts = texts_of(short, 20, seed=1) + texts_of(long, 300, seed=2)
    model = minilm_as(backend, dtype)
    expected = with_threads(model, 1).encode(texts, truncation="silent")
    assert len(np.unique(expected, axis=0)) > short / 2
    for round in range(amount.rounds(20, each=len(texts))):
        found = rebatched(model, texts, amount.seed(round), sizes)
        assert found.tobytes() == expected.tobytes(), (round, np.flatnonzero((found != expected).any(axis=1)))


@pytest.mark.weights
@pytest.mark.parametrize(("short", "long", "seeds"), [(20, 3, 1), *heavy([(40, 8, 3)])])
def test_one_by_one_and_long_texts_of_the_real_model_too(minilm, short, long, seeds):
    texts = texts_of(short, 30, seed=2) + texts_of(long, 400, seed=3)
    expected = minilm.encode(texts, truncation="silent")
    for i, text in enumerate(texts):
        assert minilm.encode(text, truncation="silent").tobytes() == expected[i].tobytes()
    for seed in range(seeds):
        assert rebatched(minilm, texts, seed).tobytes() == expected.tobytes()


def test_duplicates_have_the_same_bits(tiny_model):
    texts = texts_of(50, 40, seed=4)
    vectors = tiny_model.encode(texts * 9, truncation="silent").reshape(9, 50, -1)
    assert (vectors == vectors[0]).all()


# ---- threads ----


@pytest.mark.parametrize("rounds", [1, *heavy([4])])
def test_many_threads_share_one_model(tiny_model, rounds):
    texts = texts_of(50, 30, seed=5)
    expected = {i: tiny_model.encode(texts[i:], truncation="silent").tobytes() for i in range(32)}

    def work(i):
        return all(tiny_model.encode(texts[i:], truncation="silent").tobytes() == expected[i] for _ in range(rounds))

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(work, range(32)))


def test_errors_in_some_threads_leave_the_others_alone(tiny_model):
    texts = texts_of(60, 20, seed=6)
    expected = tiny_model.encode(texts).tobytes()

    def work(i):
        if i % 2:
            with pytest.raises(InputTypeError):
                tiny_model.encode([*texts, None])
            return True
        return tiny_model.encode(texts).tobytes() == expected

    with ThreadPoolExecutor(16) as pool:
        assert all(pool.map(work, range(64)))


def test_run_gives_every_result_once():
    for n in (0, 1, 2, 50):
        for workers in (1, 2, 5):
            assert sorted(run(lambda x: x * x, range(n), workers)) == [(i, i * i) for i in range(n)]


def test_run_stops_at_the_first_error():
    begun = []

    def work(x):
        begun.append(x)
        if x == 3:
            raise LookupError("three")
        time.sleep(0.001 if x > 3 else 0)  # all of them would take seconds: none is begun after the error is seen

    for workers in (1, 2):
        begun.clear()
        with pytest.raises(LookupError, match="three"):
            list(run(work, range(10_000), workers))
        assert 3 in begun and len(begun) < 10_000
    before = threading.active_count()
    for _ in run(lambda x: x, range(10_000), 2):
        break
    assert threading.active_count() <= before  # nobody is left behind


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu.max": "400000 100000\n", "cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "1"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "250000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 2.5),
        ({"cpu/cpu.cfs_quota_us": "250000\n"}, float("inf")),
        ({"cpu.max": ""}, float("inf")),
        ({"cpu.max": "many of them\n"}, float("inf")),
        ({"cpu.max": "100000 0\n"}, float("inf")),
        ({}, float("inf")),
    ],
    ids=str,
)
def test_the_quota_of_the_control_group(tmp_path, monkeypatch, files, quota):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert threads._cgroup_quota(tmp_path) == quota
    monkeypatch.setattr(threads, "_cgroup_quota", lambda root: quota)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    assert available_cores() == {0.5: 1, 1.5: 2, 2.5: 3}.get(quota, 4)


# ---- BLAS ----


def blas_threads():
    """Of the BLAS that NumPy calls: SciPy brings one of its own, maybe after the first vectors of this process."""
    with single_threaded_blas():
        known = threads._guard.controller
    return {library["num_threads"] for library in known.info()}


@pytest.fixture
def two_blas_threads():
    """BLAS with two threads, also on a machine with one core: else there is nothing to restore."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        assert before == {2}
        yield before


def test_blas_has_one_thread_meanwhile_and_its_own_again_after(tiny_model, two_blas_threads):
    seen = []

    def compute(tokens):
        seen.append(blas_threads())
        return tiny_model.engine.compute(tokens)

    watched = with_tier(tiny_model, compute)
    watched.encode(WORDS)
    assert seen and all(limit == {1} for limit in seen) and blas_threads() == two_blas_threads
    stream = watched.stream(["a cat"] * 9000)
    next(stream)
    assert blas_threads() == two_blas_threads  # not held while the caller looks at a block
    stream.close()

    def failing(tokens):
        raise LookupError("on purpose")

    broken = with_tier(tiny_model, failing)
    with pytest.raises(LookupError):
        broken.encode(WORDS)
    assert blas_threads() == two_blas_threads


def test_limits_that_overlap_are_lifted_by_the_last(two_blas_threads):
    first, second = single_threaded_blas(), single_threaded_blas()
    first.__enter__()
    second.__enter__()
    assert blas_threads() == {1}
    first.__exit__(None, None, None)
    assert blas_threads() == {1}
    second.__exit__(None, None, None)
    assert blas_threads() == two_blas_threads


def test_limits_of_many_threads_are_lifted_in_the_end(two_blas_threads):
    def work(_):
        with single_threaded_blas():
            return blas_threads()

    with ThreadPoolExecutor(8) as pool:
        assert all(limit == {1} for limit in pool.map(work, range(200)))
    assert blas_threads() == two_blas_threads


def test_refused_work_leaves_the_model_as_it_was(tiny_model):
    expected = tiny_model.encode(WORDS).tobytes()

    def broken(tokens):
        hidden = tiny_model.engine.compute(tokens)
        hidden[0] = np.inf
        return hidden

    for _ in range(5):
        with pytest.raises(NumericalError):
            with_tier(tiny_model, broken).encode(WORDS)
        with pytest.raises(InputTypeError):
            tiny_model.encode([*WORDS, 3])
        assert tiny_model.encode(WORDS).tobytes() == expected
