"""Fixtures: a tiny checkpoint made on the spot, and the real one for tests marked `weights`."""

import pytest
from tiny import write_tiny_checkpoint

from minembed import Embedder


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory):
    """A folder with a small random BERT; read it, but copy it before changing it."""
    return write_tiny_checkpoint(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def tiny_model(tiny_checkpoint):
    """The tiny checkpoint, loaded."""
    return Embedder.load(tiny_checkpoint)


@pytest.fixture(scope="session")
def minilm():
    """The real all-MiniLM-L6-v2; only for tests marked `weights`."""
    return Embedder.load("all-MiniLM-L6-v2")


def pytest_collection_modifyitems(config, items):
    """Leave the heavy tests out unless they are asked for: `pytest -m slow`."""
    if "slow" in config.option.markexpr:
        return
    heavy = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=heavy)
    items[:] = [item for item in items if item not in heavy]
