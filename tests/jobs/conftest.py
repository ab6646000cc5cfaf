"""The model of the tests of jobs."""

import pytest

from minembed import Embedder


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    """The tiny checkpoint, on one thread."""
    return Embedder.load(tiny_checkpoint, backend="numpy", threads=1)
