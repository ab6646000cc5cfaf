"""The Embedder at its limits: texts too long, endless streams, numbers out of range; and as an object."""

import copy
import dataclasses
import pickle
import re
import shutil

import numpy as np
import pytest
import tiny
from embedder_texts import LONG, TEXTS, same, unit
from examples import heavy
from safetensors.numpy import load_file, save_file

import minembed
from minembed import Embedder
from minembed.errors import (
    InputError,
    InputTypeError,
    MinembedError,
    NumericalError,
    TruncationWarning,
)
from minembed.runtime.backend import prepare
from minembed.transformer.params import tree_map
from minembed.transformer.pooling import pool
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params


@pytest.fixture
def tiny_model(tiny_model_as, tier):
    """The tiny checkpoint, loaded with each backend in turn."""
    return tiny_model_as(tier)


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


# ---- too long ----


def test_truncation(tiny_model):
    texts = ["a", LONG, "b", LONG + "x"]
    with pytest.warns(TruncationWarning, match=r"2 text\(s\) longer than 32 tokens were cut: texts\[1, 3\]") as caught:
        warned = tiny_model.encode(texts)
    assert len(caught) == 1
    silent = tiny_model.encode(texts, truncation="silent")
    assert same(silent, warned) and same(silent[1], silent[3])
    for run in (tiny_model.encode, tiny_model.encode_query, lambda t, **o: list(tiny_model.stream(t, **o))):
        with pytest.raises(InputError, match=r"texts\[1\] has more than 32 tokens"):
            run(texts, truncation="error")
    assert same(tiny_model.encode(texts[:1], truncation="error"), silent[:1])
    short = minembed.Embedder.load(tiny_model.info()["folder"], max_seq_length=4)
    assert same(short.encode("the cat and", truncation="silent"), short.encode("the cat"))


@pytest.mark.parametrize("call", ["encode", "encode_query", "encode_document", "token_embeddings", "stream"])
def test_warnings_point_at_the_line_of_the_caller(tiny_model, call):
    with pytest.warns(TruncationWarning) as caught:
        list(getattr(tiny_model, call)([LONG]))
    assert [warning.filename for warning in caught] == [__file__]


# ---- stream ----


@pytest.mark.parametrize(
    "options",
    [{}, *heavy([{"precision": "ubinary"}, {"truncate_dim": 8}, {"prompt": "a "}, {"normalize_embeddings": False}])],
    ids=str,
)
def test_a_stream_has_the_bits_of_encode(tiny_model, options):
    texts = [TEXTS[i % 6] * (i % 5 if i % 35 < 5 else 0) + str(i) for i in range(9000)]  # more than two windows
    expected = tiny_model.encode(texts, truncation="silent", **options)
    blocks = list(tiny_model.stream(iter(texts), truncation="silent", **options))
    assert len(blocks) > 1 and same(np.concatenate(blocks), expected)


def test_a_stream_quantises_by_ranges(tiny_model):
    base = tiny_model.encode(TEXTS)
    found = np.concatenate(list(tiny_model.stream(TEXTS, precision="int8", calibration_embeddings=base)))
    assert same(found, tiny_model.encode(TEXTS, precision="int8", calibration_embeddings=base))


def test_a_stream_reads_no_further_than_it_must(tiny_model):
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield "a cat"

    stream = tiny_model.stream(endless())
    assert taken == 0
    n = len(next(stream))
    assert n <= taken <= 2 * n
    stream.close()


# ---- progress ----


def test_progress(tiny_model, capfd):
    expected = tiny_model.encode(TEXTS * 20)
    assert same(tiny_model.encode(TEXTS * 20, show_progress_bar=False), expected)
    assert capfd.readouterr() == ("", "")  # no terminal here: nothing is shown unless asked for
    assert same(tiny_model.encode(TEXTS * 20, show_progress_bar=True), expected)
    out, err = capfd.readouterr()
    assert out == "" and "120/120" in err
    tiny_model.encode("a cat and a dog", show_progress_bar=True)
    assert "1/1 " in capfd.readouterr().err
    list(tiny_model.stream(iter(TEXTS), show_progress_bar=True))
    assert "6text" in capfd.readouterr().err
    with pytest.raises(InputTypeError):
        tiny_model.encode(["a", None], show_progress_bar=True)
    assert same(tiny_model.encode(TEXTS * 20), expected)


# ---- numbers that cannot be ----


@pytest.mark.parametrize("skipped", ["layer.0.", *heavy([None])])
@pytest.mark.parametrize("factor", [-1e30, 1e-30, *heavy([1e20])])
def test_weights_out_of_all_proportion(folder, tier, factor, skipped):
    """Each tensor in turn: the vectors are those of float64, or an error names where they leave the numbers."""
    tensors, outcomes = load_file(folder / "model.safetensors"), set()
    for name, array in tensors.items():
        if skipped and skipped in name:
            continue
        save_file(tensors | {name: array * np.float32(factor)}, folder / "model.safetensors")
        checkpoint = read_checkpoint(folder)
        double = tree_map(lambda a: a.astype(np.float64), read_params(checkpoint))
        _, exact = prepare("numpy", double, checkpoint.config, "float32")
        model = Embedder.load(folder, backend=tier)
        tokens = model.tokenize(TEXTS)
        expected = unit(pool(exact(tokens), tokens.cu_seqlens, ["mean"]))
        try:
            vectors = model.encode(TEXTS)
        except NumericalError as error:
            where = re.fullmatch(
                r"texts\[\d\] gives NaN or infinity, first in (embeddings|layer\.[01]|pooling): .*", str(error)
            )
            assert where and abs(factor) > 1, error
            outcomes.add("refused")
            continue
        outcomes.add("computed")
        # huge scores make attention pick one token: float32 may pick another of two equals; a wrong vector is far off
        cosines = (vectors * expected).sum(axis=1)
        assert cosines.min() > 0.99, (name, cosines)
    assert outcomes == ({"refused", "computed"} if abs(factor) > 1 else {"computed"})


def with_poison(model, word):
    """The model with NaN in the row of one word, as no file could bring it."""
    checkpoint = read_checkpoint(model.checkpoint.folder)
    params = read_params(checkpoint)
    params.embeddings.word[tiny.VOCABULARY.index(word)] = np.nan
    _, compute = prepare(model.backend, params, checkpoint.config, "float32", keep_params=True)
    return dataclasses.replace(model, engine=dataclasses.replace(model.engine, compute=compute))


def test_a_neighbour_s_nan_stays_with_the_neighbour(tiny_model):
    poisoned, texts = with_poison(tiny_model, "rain"), [*TEXTS[:3], "the rain", *TEXTS[3:]]
    tokens = tiny_model.tokenize(texts)
    bounds = tokens.cu_seqlens
    clean = tiny_model.engine.compute(tokens)
    states = poisoned.engine.compute(tokens)
    assert np.isnan(states[bounds[3] : bounds[4]]).all()
    for i in (0, 1, 2, 4, 5, 6):
        assert same(states[bounds[i] : bounds[i + 1]], clean[bounds[i] : bounds[i + 1]])


@pytest.mark.parametrize(
    "options", [{}, {"output_value": "token_embeddings"}, {"precision": "ubinary"}, {"batch_size": 1}], ids=str
)
def test_nan_is_never_returned(tiny_model, options):
    poisoned, texts = with_poison(tiny_model, "rain"), [*TEXTS[:3], "the rain", *TEXTS[3:]]
    with pytest.raises(NumericalError, match=r"texts\[3\] .* embeddings"):
        poisoned.encode(texts, **options)
    with pytest.raises(NumericalError, match=r"texts\[4099\]"):
        list(poisoned.stream(["a"] * 4096 + texts))
    assert same(poisoned.encode(TEXTS), tiny_model.encode(TEXTS))  # and the model goes on


def test_nan_is_never_returned_by_forward(tiny_model):
    poisoned = with_poison(tiny_model, "rain")
    with pytest.raises(NumericalError):
        poisoned.forward(poisoned.tokenize(["a", "the rain"]))


def test_ordinary_texts_raise_no_floating_point_flag(tiny_model):
    with np.errstate(all="raise"):
        compute, tokens = tiny_model.engine.compute, tiny_model.tokenize(TEXTS * 50)
        assert np.isfinite(compute(tokens)).all()


# ---- the object ----


def test_copies(tiny_model):
    expected = tiny_model.encode(TEXTS)
    for other in (pickle.loads(pickle.dumps(tiny_model)), copy.deepcopy(tiny_model), copy.copy(tiny_model)):
        assert same(other.encode(TEXTS), expected)
        assert other.info() == tiny_model.info() and other.config == tiny_model.config


def test_what_it_says_of_itself(tiny_model, tiny_checkpoint, tier):
    info = tiny_model.info()
    assert info["folder"] == str(tiny_checkpoint) and info["source"] == "folder" and info["revision"] is None
    assert info["dimension"] == tiny_model.dimension == 32 and info["max_seq_length"] == tiny_model.max_seq_length == 32
    assert (info["backend"], info["dtype"], info["config"]["hidden_size"]) == (tier, "float32", 32)


def test_errors_are_also_the_built_in_ones():
    for error in (minembed.errors.ConfigError, InputError, minembed.errors.WeightsError):
        assert issubclass(error, MinembedError) and issubclass(error, ValueError)
    assert issubclass(InputTypeError, TypeError) and issubclass(minembed.errors.SourceError, OSError)
    assert issubclass(NumericalError, ArithmeticError) and issubclass(minembed.errors.MissingExtraError, ImportError)
