"""Models for the integrations: the default one as it is, and a small cross-encoder."""

import golden_heads
import pytest

from minembed import Embedder, Reranker

# in words that the small cross-encoder has in its vocabulary
PASSAGES = [
    "bread in the oven",
    "a test for the code",
    "rain on the river",
    "the cat and the dog",
    "the book is in the house",
]
QUERY = "is the bread in it?"


@pytest.fixture(scope="session")
def model():
    """The default model."""
    return Embedder.load("all-MiniLM-L6-v2")


@pytest.fixture(scope="session")
def passages():
    """Some texts."""
    return list(PASSAGES)


@pytest.fixture(scope="session")
def query():
    """A question that the first of the passages answers."""
    return QUERY


@pytest.fixture(scope="session")
def cross_encoder(tmp_path_factory):
    """The folder of a small cross-encoder."""
    return golden_heads.write_checkpoint("bert", "classifier", tmp_path_factory.mktemp("cross"))


@pytest.fixture(scope="session")
def reranker(cross_encoder):
    """The same, loaded."""
    return Reranker.load(cross_encoder)
