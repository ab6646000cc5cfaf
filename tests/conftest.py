"""Fixtures: a tiny checkpoint made on the spot, and the real one for tests marked `weights`."""

import os
from functools import cache
from importlib.util import find_spec

import examples
import native_alone
import pytest
from amounts import Amount
from cores import cores_at_hand
from hypothesis import settings
from places import TESTS
from threadpoolctl import threadpool_limits
from tiers import TIERS
from tiny import write_tiny_checkpoint

from minembed import Embedder
from minembed.runtime.folders import cache_folder

# without numba, native kernels are tested, if there are any; what happens without both is in test_kernel_tier.py
collect_ignore = []
if not find_spec("numba"):
    kernels, able = (TESTS / "kernels").glob("test_*.py"), native_alone.RUN if native_alone.ALONE else ()
    collect_ignore += [str(p) for p in kernels if p.name not in ("test_kernel_tier.py", *able)]
if native_alone.ALONE:
    native_alone.use_native()


@pytest.fixture(scope="session", autouse=True)
def compiled_once():
    """If several workers run tests (pytest -n), each compiles a part of the kernels."""
    if "PYTEST_XDIST_WORKER" in os.environ and find_spec("numba"):
        from compiling import warm_up

        worker, workers = os.environ["PYTEST_XDIST_WORKER"], os.environ["PYTEST_XDIST_WORKER_COUNT"]
        warm_up(int(worker.removeprefix("gw")), int(workers))


@pytest.fixture(scope="session", autouse=True)
def one_thread_of_blas_each():
    """If several workers run tests, BLAS uses one thread in each: more would wait for each other on the same cores.
    Tests of BLAS's threads set two themselves."""
    with threadpool_limits(1 if "PYTEST_XDIST_WORKER" in os.environ else None, user_api="blas"):
        yield


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A folder with a small random BERT; read it, but copy it before changing it."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(params=TIERS)
def tier(request):
    """The name of each backend in turn."""
    return request.param


@pytest.fixture(scope="session")
def tiny_model_as(tiny_checkpoint):
    """The tiny checkpoint by backend, each loaded once: models are immutable."""
    return cache(lambda backend: Embedder.load(tiny_checkpoint, backend=backend))


@pytest.fixture(scope="session")
def tiny_model(tiny_model_as):
    """The tiny checkpoint, loaded."""
    return tiny_model_as("auto")


@pytest.fixture
def amount(request, record_property):
    """How much a heavy test tries, and its seed, which `make proof` sets."""
    found = Amount.asked(sum("amount" in getattr(item, "fixturenames", ()) for item in request.session.items))
    yield found
    record_property("count", found.done)


@pytest.fixture(scope="session")
def minilm():
    """The real all-MiniLM-L6-v2 in plain NumPy; only for tests marked `weights`."""
    return Embedder.load("all-MiniLM-L6-v2", backend="numpy")


@pytest.fixture(scope="session")
def minilm_as():
    """The real all-MiniLM-L6-v2 by (backend, dtype); only for tests marked `weights`."""
    load = cache(lambda backend, dtype: Embedder.load("all-MiniLM-L6-v2", backend=backend, dtype=dtype))
    return lambda backend, dtype="float32": load(backend, dtype)


@pytest.fixture
def quiet_machine(request, monkeypatch, tmp_path_factory):
    """A terminal without colours and, unless the test needs the real weights, caches without a model, and no network.
    The cache of compiled kernels stays, also for processes that a test starts."""
    for name in ("COLORTERM", "NO_COLOR", "WT_SESSION"):
        monkeypatch.delenv(name, raising=False)
    if request.node.get_closest_marker("weights") is None:
        kernels = os.environ.get("NUMBA_CACHE_DIR", str(cache_folder() / "kernels"))
        monkeypatch.setenv("NUMBA_CACHE_DIR", kernels)
        if find_spec("numba"):
            monkeypatch.setattr("numba.core.config.CACHE_DIR", kernels)
        empty = tmp_path_factory.mktemp("caches")
        monkeypatch.setenv("MINEMBED_CACHE", str(empty / "own"))
        monkeypatch.setenv("HF_HUB_CACHE", str(empty / "hub"))
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        monkeypatch.delenv("SENTENCE_TRANSFORMERS_HOME", raising=False)


def pytest_configure(config):
    """Examples are the same in every run, except in the heavy tests, which search for new ones; there is no limit on
    the time of an example, since other tests run at the same time."""
    settings.register_profile("steady", derandomize=True, database=None, deadline=None)
    examples.FULL = "slow" in config.option.markexpr.replace("not slow", "")
    if not examples.FULL:
        settings.load_profile("steady")


def pytest_collection_modifyitems(config, items):
    """Leave the heavy tests out unless they are requested: `pytest -m slow`."""
    if "slow" in config.option.markexpr:
        return
    heavy = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=heavy)
    items[:] = [item for item in items if item not in heavy]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """The number of workers for `-n auto`."""
    return cores_at_hand()
