"""Servers of a small generated model, without sockets."""

from contextlib import contextmanager

import golden_heads
import pytest
from serving import running
from tiny import write_tiny_checkpoint

from minembed import Embedder, Index
from minembed.models import remote_http
from minembed.serve.loading import load_models
from minembed.serve.server import assemble
from minembed.serve.settings import Settings


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory):
    return write_tiny_checkpoint(tmp_path_factory.mktemp("served") / "tiny")


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory):
    """The folder of a cross-encoder of one label."""
    return golden_heads.write_checkpoint("electra", "classifier", tmp_path_factory.mktemp("served") / "reranker")


@pytest.fixture(scope="session")
def serving(tiny_folder):
    """A function to a context of a running server's parts: `with serving(strict=True) as parts`."""

    @contextmanager
    def start(models=None, **settings):
        given = {"models": models or (f"tiny={tiny_folder}",), "threads": 2, "backend": "numpy", "access_log": "none"}
        own = Settings(**(given | settings))
        parts = assemble(own, load_models(own))
        workers = parts.start()
        try:
            yield parts
        finally:
            workers.stop(timeout=10)

    return start


@pytest.fixture
def server_of(tiny_folder, tiny_reranker, tmp_path):
    """A function to a context of a server in a process of its own, with a model, a cross-encoder and an index."""
    index = tmp_path / "notes"
    Index.build(Embedder.load(tiny_folder, backend="numpy"), ["the cat", "a dog in the rain", "bread"]).save(index)
    models = (f"tiny={tiny_folder}", "--rerank", f"cross={tiny_reranker}", "--index", index)
    return lambda *options: running(tmp_path, *models, "--backend", "numpy", "--threads", "2", *options)


@pytest.fixture(scope="module")
def served(serving):
    with serving(accept_token_ids=True) as parts:
        yield parts


@pytest.fixture(autouse=True)
def connections_end_with_the_test(monkeypatch):
    """The traceback of an error keeps its model in a circle, and of a circle the collector may take sockets first."""
    made, begin = [], remote_http.Connections.__init__

    def remembered(self, *arguments, **options):
        begin(self, *arguments, **options)
        made.append(self)

    monkeypatch.setattr(remote_http.Connections, "__init__", remembered)
    yield
    for connections in made:
        connections.close()
