"""KeyBERT without torch: run by `make test-integrations`."""

import pickle
from importlib.util import find_spec

import numpy as np
import pytest
from keybert import KeyBERT

from minembed.errors import InputError
from minembed.integrations.keybert import MinembedBackend

DOCUMENT = "Bread is baked in a hot oven. The dough of flour, water and yeast must rise before it is baked into bread."


def test_there_is_no_torch():
    assert not find_spec("torch") and not find_spec("sentence_transformers")


def test_vectors_are_those_of_encode(model, passages):
    own = MinembedBackend(truncate_dim=64).embed(passages)
    assert np.array_equal(own, model.encode(passages, truncate_dim=64)) and own.dtype == np.float32


def test_keywords(model):
    """The words nearest to their document, by cosines of the vectors of encode."""
    keywords = KeyBERT(MinembedBackend(model)).extract_keywords(DOCUMENT, top_n=3)
    words = [word for word, _ in keywords]
    similarity = model.similarity(model.encode(DOCUMENT), model.encode(words))[0]
    assert [score for _, score in keywords] == pytest.approx(similarity, abs=1e-4)  # KeyBERT rounds to four digits
    assert words[0] == "bread" and similarity.tolist() == sorted(similarity, reverse=True)


def test_what_is_pickled(model):
    assert len(pickle.dumps(MinembedBackend())) < 1000
    assert np.array_equal(pickle.loads(pickle.dumps(MinembedBackend(model))).embed(["a"]), model.encode(["a"]))


def test_errors_are_ours(model):
    with pytest.raises(InputError, match=r"documents\[1\] is missing"):
        MinembedBackend(model).embed(["one", None])
    with pytest.raises(InputError, match="model is int"):
        MinembedBackend(3)
