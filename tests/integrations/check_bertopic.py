"""BERTopic without torch, on docstrings of the standard library: run by `make test-integrations`."""

from importlib.util import find_spec

import numpy as np
import pytest
from bertopic import BERTopic
from docstrings import docstrings
from sklearn.feature_extraction.text import CountVectorizer
from umap import UMAP

from minembed.errors import InputError
from minembed.integrations.bertopic import MinembedBackend

DOCUMENTS = 2000


@pytest.fixture(scope="module")
def documents():
    found = docstrings(DOCUMENTS)
    assert len(found) == DOCUMENTS
    return found


def test_there_is_no_torch():
    assert not find_spec("torch") and not find_spec("sentence_transformers")


def test_vectors_are_those_of_encode(model, passages):
    backend = MinembedBackend(truncate_dim=64)
    for embed in (backend.embed, backend.embed_documents, backend.embed_words):
        assert np.array_equal(embed(passages), model.encode(passages, truncate_dim=64))


class Watched(UMAP):
    """Keeps what BERTopic gives it."""

    def fit(self, X, *others, **options):
        self.seen = X
        return super().fit(X, *others, **options)


@pytest.mark.filterwarnings("ignore:n_jobs value 1 overridden")  # UMAP, of its own seed
def test_topics_of_docstrings(model, documents, tmp_path):
    backend, projection = MinembedBackend(model), Watched(n_components=5, random_state=1)
    how = {"umap_model": projection, "vectorizer_model": CountVectorizer(stop_words="english")}
    topics = BERTopic(embedding_model=backend, min_topic_size=20, **how)
    found, _ = topics.fit_transform(documents)
    assert np.array_equal(projection.seen, model.encode(documents))
    assert len(set(found)) > 10
    nearest, _ = topics.find_topics("parse an email message", top_n=1)
    words = {word for word, _ in topics.get_topic(nearest[0])}
    assert words & {"message", "header", "email", "headers", "messages", "mail"}, words
    topics.save(tmp_path / "topics", serialization="safetensors", save_ctfidf=True)
    again = BERTopic.load(tmp_path / "topics", embedding_model=backend)
    assert again.find_topics("parse an email message", top_n=1)[0] == nearest


def test_errors_are_ours(model):
    with pytest.raises(InputError, match=r"documents\[1\] is missing"):
        MinembedBackend(model).embed(["one", None])
    with pytest.raises(InputError, match="did you mean 'model'"):
        MinembedBackend(modell=3)
