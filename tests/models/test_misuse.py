"""What people try on a loaded model that it does not do: each attempt is told what to write."""

import copy
import inspect
import pickle
from dataclasses import replace

import pytest

from minembed import Embedder, Reranker
from minembed.errors import InputAttributeError, InputTypeError


@pytest.mark.parametrize("model", [Embedder, Reranker])
def test_a_class_is_not_called_with_a_name(model):
    name = model.__name__
    with pytest.raises(InputTypeError, match=rf"write {name}\.load\('org/model'\)"):
        model("org/model", device="cpu")
    for call in (model, lambda: model(device="cpu"), lambda: model(name="x")):
        with pytest.raises(InputTypeError, match=rf"write {name}\.load\(name\)"):
            call()
    assert "engine" in inspect.signature(Embedder).parameters and "model" in inspect.signature(Reranker).parameters


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("max_seq_length", r"write Embedder\.load\(\.\.\., max_seq_length=\.\.\.\)"),
        ("prompts", r"write Embedder\.load\(\.\.\., prompts=\.\.\.\)"),
        ("prompt_name", r"write encode\(\.\.\., prompt_name=\.\.\.\)"),
        ("default_prompt_name", r"minembed\.sentence_transformers\.SentenceTransformer"),
        ("anything", r"minembed\.sentence_transformers\.SentenceTransformer"),
    ],
)
def test_an_assignment_says_where_that_is_said_instead(tiny_model, name, remedy):
    before = tiny_model.encode("a")
    with pytest.raises(InputAttributeError, match=remedy):
        setattr(tiny_model, name, 1)
    with pytest.raises(AttributeError, match=name):
        delattr(tiny_model, name)
    assert (tiny_model.encode("a") == before).all()


def test_a_name_that_is_not_there(tiny_model):
    with pytest.raises(
        InputAttributeError, match=r"Embedder has no 'encod' \(did you mean 'encode'\?\); minembed\.sent"
    ):
        tiny_model.encod  # noqa: B018
    with pytest.raises(AttributeError, match="SentenceTransformer has the names"):
        tiny_model.get_sentence_embedding_dimension()
    assert not hasattr(tiny_model, "__array__") and not hasattr(tiny_model, "_repr_html_")
    assert getattr(tiny_model, "tokenizer", None) is None


def test_copies_are_made_as_before(tiny_model):
    for other in (
        copy.copy(tiny_model),
        pickle.loads(pickle.dumps(tiny_model)),
        replace(tiny_model, source="elsewhere"),
    ):
        assert (other.encode("a") == tiny_model.encode("a")).all()


def test_a_model_is_a_key(tiny_model):
    other = pickle.loads(pickle.dumps(tiny_model))
    assert {tiny_model: 1, other: 2}[tiny_model] == 1 and tiny_model != other


class OfOwn(Embedder):
    @property
    def of_nothing(self):
        return self.engine.nothing


def test_a_property_of_ones_own_says_what_it_missed(tiny_checkpoint):
    own = OfOwn.load(tiny_checkpoint)
    with pytest.raises(AttributeError, match="'Engine' object has no attribute 'nothing'"):
        own.of_nothing  # noqa: B018
    with pytest.raises(InputAttributeError, match="has no 'nothing'"):
        own.nothing  # noqa: B018


def test_misspelt_options(tiny_model, tiny_checkpoint):
    with pytest.raises(InputTypeError, match="'precison'; did you mean 'precision'"):
        tiny_model.encode("a", precison="int8")
    with pytest.raises(
        InputTypeError, match=r"load\(\) got an unexpected keyword argument 'dtyp'; did you mean 'dtype'"
    ):
        Embedder.load(tiny_checkpoint, dtyp="int8")
    with pytest.raises(InputTypeError, match=r"takes texts as positional; name the options: normalize_embeddings=, "):
        tiny_model.encode(["a"], 32)
    with pytest.raises(InputTypeError, match=r"Reranker\.load\(\).*'thread'; did you mean 'threads'"):
        Reranker.load(tiny_checkpoint, thread=1)
