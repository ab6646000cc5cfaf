"""Options are written once: what takes `encode`'s shows them, with their defaults, and refuses what they are not."""

import inspect
from typing import get_args

import numpy as np
import pytest

from minembed import Embedder
from minembed.errors import InputError, InputTypeError
from minembed.models.options import EncodeOptions, Options
from minembed.models.reranker import PredictOptions, Reranker
from minembed.search.index import Index
from minembed.search.index_arguments import SearchOptions
from minembed.search.metrics import METRICS
from minembed.search.similarity import SIMILARITY
from minembed.types import Metric

OF_ENCODE_ALONE = {"output_value", "device", "convert_to_numpy"}
TAKERS = [Embedder.encode_query, Embedder.encode_document, Embedder.stream, Embedder.aencode]
TYPED = [(EncodeOptions, Embedder.encode), (PredictOptions, Reranker.predict), (SearchOptions, Index.search)]


def options_of(function):
    parameters = inspect.signature(function).parameters.values()
    return {p.name: (p.annotation, p.default) for p in parameters if p.kind is p.KEYWORD_ONLY}


@pytest.mark.parametrize(("options", "function"), TYPED, ids=["encode", "predict", "search"])
def test_what_is_typed_is_what_the_function_takes(options, function):
    written = {name: annotation for name, (annotation, _) in options_of(function).items()}
    missing = written.keys() - options.__annotations__.keys()
    assert missing == (OF_ENCODE_ALONE if function is Embedder.encode else missing & {"as_arrays"})
    assert options.__annotations__ == {name: written[name] for name in options.__annotations__}


@pytest.mark.parametrize("taker", TAKERS, ids=lambda f: f.__name__)
def test_the_signature_shows_every_option(taker):
    expected = {name: shown for name, shown in options_of(Embedder.encode).items() if name not in OF_ENCODE_ALONE}
    assert options_of(taker) == expected and list(options_of(taker)) == list(expected)
    assert [p.name for p in inspect.signature(taker).parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD] == [
        "self",
        "texts",
    ]


def test_rank_shows_the_options_of_predict():
    own = {
        name: shown for name, shown in options_of(Reranker.rank).items() if name not in ("top_k", "return_documents")
    }
    assert own == options_of(Reranker.predict)


def test_the_checked_options_have_the_defaults_of_encode():
    assert options_of(Options) == options_of(Embedder.encode)


def test_literals_are_the_tables():
    assert set(get_args(Metric)) == set(METRICS) == set(SIMILARITY)


@pytest.mark.parametrize("taker", TAKERS[:-1], ids=lambda f: f.__name__)  # a coroutine says so when it is awaited
def test_an_unknown_option_is_refused_at_once(tiny_model, taker):
    with pytest.raises(InputTypeError, match=rf"{taker.__name__}\(\) got an unexpected .*'precison'.*'precision'\?"):
        taker(tiny_model, iter(["a"]), precison="int8")
    with pytest.raises(TypeError, match="unexpected keyword argument 'foo'; known: texts, normalize_embeddings"):
        taker(tiny_model, ["a"], foo=1)
    for name in OF_ENCODE_ALONE:
        with pytest.raises(TypeError, match=name):
            taker(tiny_model, ["a"], **{name: options_of(Embedder.encode)[name][1]})
    with pytest.raises(TypeError, match="positional"):
        taker(tiny_model, ["a"], True)
    with pytest.raises(TypeError, match="texts"):
        taker(tiny_model)


def test_settings_of_load_are_those_of_the_model(tiny_model, tiny_checkpoint, tmp_path):
    prompts = {"query": "find: ", "other": "x "}
    changed = Embedder.load(tiny_checkpoint, prompts=prompts, truncate_dim=np.int64(8), max_seq_length=16)
    changed.save(tmp_path / "saved")
    for model in (changed, Embedder.load(tmp_path / "saved")):
        assert model.checkpoint.prompts == {**tiny_model.checkpoint.prompts, **prompts}
        assert (model.dimension, model.max_seq_length) == (8, 16)
        assert (model.encode_query("a") == tiny_model.encode("find: a", truncate_dim=8)).all()
        assert (model.encode("a", prompt_name="other") == tiny_model.encode("x a", truncate_dim=8)).all()
        assert model.encode("a", truncate_dim=16).shape == (16,)
    for wrong in ({"query": 1}, {1: "query"}, ["query"], "query"):
        with pytest.raises(InputTypeError, match="prompts must map names to texts"):
            Embedder.load(tiny_checkpoint, prompts=wrong)
    for wrong in (0, 33, 2.5, True):
        with pytest.raises(InputError, match="truncate_dim must be a whole number from 1 to 32"):
            Embedder.load(tiny_checkpoint, truncate_dim=wrong)


def test_texts_may_be_named(tiny_model):
    assert tiny_model.encode_query(texts="a").shape == (tiny_model.dimension,)


@pytest.mark.parametrize("option", [{"precision": "int8"}, {"truncate_dim": 4}, {"normalize_embeddings": True}])
def test_hidden_states_refuse_what_they_would_not_heed(tiny_model, option):
    with pytest.raises(InputError, match=f"{next(iter(option))}= is of the vectors of texts"):
        tiny_model.encode(["a"], output_value="token_embeddings", **option)


def test_a_prompt_with_half_a_letter_is_saved(tiny_checkpoint, tmp_path):
    Embedder.load(tiny_checkpoint, prompts={"odd": "\ud800é"}).save(tmp_path / "model")
    assert Embedder.load(tmp_path / "model").checkpoint.prompts["odd"] == "\ud800é"
