"""The Embedder's options, one by one: each against its definition, and each wrong value against its error."""

import copy
import dataclasses
import pickle
import re
import shutil

import numpy as np
import pytest
import tiny
from safetensors.numpy import load_file, save_file

import minembed
from minembed import Embedder, quantize_embeddings
from minembed.encoder import prepare
from minembed.errors import (
    InputError,
    InputTypeError,
    MinembedError,
    MinembedWarning,
    NumericalError,
    TruncationWarning,
)
from minembed.params import tree_map
from minembed.pooling import pool
from minembed.similarity import SIMILARITY
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

TEXTS = ["a cat", "the dog in the oven", "", "test query", "unbelievable trains and rivers", "x"]
LONG = "the cat and the dog " * 20
ROUND = 3e-7  # a few roundings of float32 of numbers up to 1: products and sums in another order


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def unit(x):
    return x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)


# ---- what can be given ----


def test_one_text_and_many(tiny_model):
    vectors = tiny_model.encode(TEXTS)
    assert vectors.shape == (6, 32) and vectors.dtype == np.float32 and vectors.flags["C_CONTIGUOUS"]
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert same(tiny_model.encode(text), vector)
    for texts in (
        tuple(TEXTS),
        iter(TEXTS),
        (t for t in TEXTS),
        dict.fromkeys(TEXTS),
        np.array(TEXTS),
        map(np.str_, TEXTS),
    ):
        assert same(tiny_model.encode(texts), vectors)
    assert same(tiny_model.encode(np.str_("a cat")), vectors[0])


def test_no_texts(tiny_model):
    for texts in ([], (), iter([])):
        assert same(tiny_model.encode(texts), np.zeros((0, 32), np.float32))
    assert tiny_model.encode([], truncate_dim=8).shape == (0, 8)
    assert same(tiny_model.encode([], precision="uint8"), np.zeros((0, 32), np.uint8))
    assert same(tiny_model.encode([], precision="binary"), np.zeros((0, 4), np.int8))
    assert tiny_model.encode([], output_value="token_embeddings") == tiny_model.token_embeddings([]) == []
    assert list(tiny_model.stream([])) == []
    assert len(tiny_model.tokenize([])) == 0 and tiny_model.forward(tiny_model.tokenize([])).shape == (0, 32)


@pytest.mark.parametrize("blank", ["", " ", "  \t\n", "\u3000", "\x00", "\x00\x01", "\ufeff", "\ue000", "\u0301"])
def test_texts_without_text(tiny_model, blank):
    vector = tiny_model.encode(blank)
    assert same(vector, tiny_model.encode([""])[0])
    assert abs(np.linalg.norm(vector) - 1) < 1e-6  # 32 squares of float32, each rounded once
    assert same(tiny_model.encode(["a cat", blank, "x"])[1], vector)


@pytest.mark.parametrize("item", [None, 7, 1.5, float("nan"), b"a", bytearray(b"a"), ["a"], ("a",), {"a": 1}, object()])
@pytest.mark.parametrize(
    "call", ["encode", "encode_query", "encode_document", "tokenize", "token_embeddings", "stream"]
)
def test_items_that_are_no_text(tiny_model, call, item):
    with pytest.raises(InputTypeError, match=rf"texts\[3\] is {type(item).__name__}, not str") as caught:
        list(getattr(tiny_model, call)(["a", "b", "c", item, "d"]))
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)


def test_the_index_counts_from_the_first_text_of_all(tiny_model):
    texts = ["a"] * 5000
    texts[4999] = None
    with pytest.raises(InputTypeError, match=r"texts\[4999\]"):
        tiny_model.encode(iter(texts))
    with pytest.raises(InputTypeError, match=r"texts\[4999\]"):
        list(tiny_model.stream(texts, prompt="a "))


@pytest.mark.parametrize(
    "texts", [None, 7, 1.5, b"a", bytearray(b"a"), memoryview(b"a"), np.array("a"), object(), Embedder]
)
@pytest.mark.parametrize(
    "call", ["encode", "encode_query", "encode_document", "tokenize", "token_embeddings", "stream"]
)
def test_what_is_no_list_of_texts(tiny_model, call, texts):
    with pytest.raises(InputTypeError, match="texts"):
        list(getattr(tiny_model, call)(texts))


def test_a_stream_of_one_str_is_not_a_stream_of_its_letters(tiny_model):
    with pytest.raises(InputTypeError, match="str"):
        list(tiny_model.stream("a cat"))


def test_errors_of_the_caller_come_out_as_they_are(tiny_model):
    def broken():
        yield "a cat"
        raise LookupError("from the caller")

    with pytest.raises(LookupError, match="from the caller"):
        tiny_model.encode(broken())


@pytest.mark.parametrize(
    "options",
    [{"device": "cuda"}, {"device": None}, {"convert_to_numpy": False}, {"convert_to_tensor": True}, {"foo": 1}],
    ids=str,
)
def test_options_of_other_libraries(tiny_model, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        tiny_model.encode("a", **options)
    assert same(tiny_model.encode("a", device="cpu", convert_to_numpy=True), tiny_model.encode("a"))


BAD = [{"truncate_dim": dim} for dim in (0, -1, 33, 10**9, True, "8", 8.0, [8])]
BAD += [{"batch_size": size} for size in (0, -1, True, "8", 8.0)]
BAD += [{"precision": p} for p in ("float64", "int4", None, 8, ["int8"])] + [
    {"truncation": "cut"},
    {"errors": "ignore"},
]
BAD += [{"output_value": "pooled"}, {"prompt_name": "nothing"}, {"prompt_name": 3}, {"prompt": 3}, {"prompt": b"a"}]
BAD += [
    {"precision": "int8", "ranges": r} for r in (np.zeros((2, 31)), np.zeros(32), [[0] * 32], np.zeros((2, 32), "U1"))
]
BAD += [
    {"precision": "int8", "calibration_embeddings": c} for c in (np.zeros((0, 32)), np.zeros((5, 31)), np.zeros(32))
]
BAD += [{"precision": "int8", "ranges": np.full((2, 32), np.nan)}]


@pytest.mark.parametrize("options", BAD, ids=lambda options: str(options)[:60])
@pytest.mark.parametrize("texts", ["a", ["a", "b"]], ids=["one", "many"])
def test_values_that_cannot_be(tiny_model, options, texts):
    before = tiny_model.encode(TEXTS)
    with pytest.raises(InputError):
        tiny_model.encode(texts, **options)
    assert same(tiny_model.encode(TEXTS), before)


@pytest.mark.parametrize(
    "options", [{"truncate_dim": 33}, {"truncate_dim": 0}, {"prompt_name": "x"}, {"batch_size": 0}], ids=str
)
def test_values_that_cannot_be_show_without_any_text(tiny_model, options):
    with pytest.raises(InputError):
        tiny_model.encode([], **options)


@pytest.mark.parametrize(
    "options",
    [{"threads": n} for n in (0, -1, True, 1.0, "2")] + [{"dtype": "float16"}, {"dtype": None}, {"backend": "x"}],
    ids=str,
)
def test_loading_with_values_that_cannot_be(tiny_checkpoint, options):
    with pytest.raises(InputError):
        Embedder.load(tiny_checkpoint, **options)


# ---- what comes out ----


@pytest.mark.parametrize("modules", [3, 2], ids=["normalises", "does not"])
@pytest.mark.parametrize("normalize", [None, True, False])
@pytest.mark.parametrize("dim", [None, 1, 8, 32])
def test_normalisation_and_truncation(folder, modules, normalize, dim):
    tiny.write_json(folder / "modules.json", tiny.MODULES[:modules])
    model = Embedder.load(folder)
    tokens = model.tokenize(TEXTS)
    expected = pool(model.forward(tokens), tokens.cu_seqlens, ["mean"])
    if modules == 3:
        expected = unit(expected)
    expected = expected[:, :dim]
    if normalize or (normalize is None and modules == 3 and dim is not None):
        expected = unit(expected)
    found = model.encode(TEXTS, normalize_embeddings=normalize, truncate_dim=dim)
    assert found.dtype == np.float32 and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUND * max(1, abs(expected).max()))


def test_the_truncation_of_the_checkpoint(folder, tiny_model):
    tiny.write_json(folder / "config_sentence_transformers.json", {"truncate_dim": 8})
    model = Embedder.load(folder)
    assert model.dimension == 8 and model.info()["dimension"] == 8
    assert same(model.encode(TEXTS), tiny_model.encode(TEXTS, truncate_dim=8))
    assert same(model.encode(TEXTS, truncate_dim=16), tiny_model.encode(TEXTS, truncate_dim=16))


@pytest.mark.parametrize("precision", ["int8", "uint8", "binary", "ubinary", "float32"])
@pytest.mark.parametrize("dim", [None, 16])
def test_precision(tiny_model, precision, dim):
    vectors = tiny_model.encode(TEXTS, truncate_dim=dim)
    base = tiny_model.encode(["sun", "rain", "the river", *TEXTS], truncate_dim=dim)
    ranges = np.stack([base.min(axis=0), base.max(axis=0)])
    expected = quantize_embeddings(vectors, precision, ranges)
    for options in ({"ranges": ranges}, {"calibration_embeddings": base}, {"ranges": ranges.tolist()}):
        found = tiny_model.encode(TEXTS, precision=precision, truncate_dim=dim, **options)
        assert same(found, expected), options
        assert same(tiny_model.encode(TEXTS[0], precision=precision, truncate_dim=dim, **options), expected[0])


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_ranges_of_the_texts_themselves(tiny_model, precision):
    with pytest.warns(MinembedWarning, match="these 6 texts") as caught:
        found = tiny_model.encode(TEXTS, precision=precision)
    assert caught[0].filename == __file__
    assert same(found, quantize_embeddings(tiny_model.encode(TEXTS), precision))
    with pytest.raises(InputError, match="ranges"):
        tiny_model.stream(TEXTS, precision=precision)


def test_token_embeddings(tiny_model):
    tokens = tiny_model.tokenize(TEXTS)
    states = np.split(tiny_model.forward(tokens), tokens.cu_seqlens[1:-1])
    found = tiny_model.token_embeddings(TEXTS)
    assert all(same(a, b) for a, b in zip(found, states, strict=True))
    found = tiny_model.encode(TEXTS, output_value="token_embeddings", batch_size=2)
    assert all(same(a, b) and a.base is None for a, b in zip(found, states, strict=True))  # no chunk is kept alive
    assert same(tiny_model.encode(TEXTS[1], output_value="token_embeddings"), states[1])
    assert [part.shape for part in tiny_model.token_embeddings("a cat")] == [(4, 32)]


@pytest.mark.parametrize("name", ["ids", "types", "lengths"])
def test_tokens_that_the_model_does_not_have(tiny_model, name):
    tokens = tiny_model.tokenize(["a cat", "a dog"])
    for wrong in (-1, 10**6, len(tiny.VOCABULARY)):
        if name == "lengths":
            changed = dataclasses.replace(
                tokens, ids=np.ones(65, int), types=np.zeros(65, int), cu_seqlens=np.array([0, 65])
            )
        else:
            changed = dataclasses.replace(tokens, **{name: np.where(np.arange(8) == 5, wrong, getattr(tokens, name))})
        with pytest.raises(InputError, match=f"tokens.{name}"):
            tiny_model.forward(changed)


@pytest.mark.parametrize("metric", SIMILARITY)
def test_similarity(folder, metric):
    tiny.write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": metric})
    model = Embedder.load(folder)
    a, b = model.encode(TEXTS), model.encode(TEXTS[::-1])
    assert same(model.similarity(a, b), SIMILARITY[metric](a, b))
    # one by one, or all in one matrix product: other sums, and where the distance is near 0, the root of their error
    np.testing.assert_allclose(model.similarity_pairwise(a, b), np.diag(model.similarity(a, b)), atol=1e-6)


# ---- prompts ----


@pytest.fixture
def prompted(folder):
    """The tiny model with prompts."""
    prompts = {"query": "the query ", "passage": "a test ", "corpus": "a book "}
    tiny.write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": "corpus"})
    return Embedder.load(folder)


def test_prompts(prompted, tiny_model):
    for options, prompt in (
        ({}, "a book "),
        ({"prompt_name": "query"}, "the query "),
        ({"prompt": "rain "}, "rain "),
        ({"prompt": ""}, ""),
        ({"prompt": "rain ", "prompt_name": "query"}, "rain "),
    ):
        expected = tiny_model.encode([prompt + text for text in TEXTS])
        assert same(prompted.encode(TEXTS, **options), expected), options
        assert same(prompted.encode(iter(TEXTS), **options), expected), options
        assert same(np.concatenate(list(prompted.stream(TEXTS, **options))), expected), options
    assert same(prompted.encode_query(TEXTS), prompted.encode(TEXTS, prompt_name="query"))
    assert same(prompted.encode_document(TEXTS), prompted.encode(TEXTS, prompt_name="passage"))
    assert same(prompted.encode_query(TEXTS, prompt="rain "), prompted.encode(TEXTS, prompt="rain "))
    assert same(prompted.encode_document(TEXTS, prompt_name="query"), prompted.encode_query(TEXTS))
    assert same(tiny_model.encode_query(TEXTS), tiny_model.encode(TEXTS))
    assert same(tiny_model.encode_document(TEXTS), tiny_model.encode(TEXTS))


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "lasttoken", "weightedmean"])
def test_prompts_that_are_not_pooled(folder, mode):
    width = {"embedding_dimension": 32, "include_prompt": False, "pooling_mode": mode}
    tiny.write_json(folder / "1_Pooling" / "config.json", width)
    model = Embedder.load(folder)
    texts = [f"the query {text}" for text in TEXTS]
    tokens = model.tokenize(texts)
    states = [part[3:] for part in np.split(model.forward(tokens), tokens.cu_seqlens[1:-1])]  # [CLS] the query
    bounds = np.cumsum([0, *map(len, states)])
    expected = unit(pool(np.concatenate(states), bounds, [mode]))
    np.testing.assert_allclose(model.encode(TEXTS, prompt="the query "), expected, rtol=0, atol=ROUND)
    assert same(model.encode(TEXTS, prompt=""), model.encode(TEXTS))


def test_a_prompt_that_leaves_no_room(folder):
    tiny.write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": 32, "include_prompt": False})
    model = Embedder.load(folder)
    with pytest.raises(InputError, match="prompt"):
        model.encode(TEXTS, prompt=LONG, truncation="silent")


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
    [{}, {"truncate_dim": 8}, {"precision": "ubinary"}, {"prompt": "a "}, {"normalize_embeddings": False}],
    ids=str,
)
def test_a_stream_has_the_bits_of_encode(tiny_model, options):
    texts = [TEXTS[i % 6] * (i % 5) + str(i) for i in range(9000)]  # more than two windows
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


@pytest.mark.parametrize("factor", [1e20, -1e20, 1e30, 1e-30])
def test_weights_out_of_all_proportion(folder, factor):
    """Each tensor in turn: the vectors are those of float64, or an error names where they leave the numbers."""
    tensors, outcomes = load_file(folder / "model.safetensors"), set()
    for name, array in tensors.items():
        save_file(tensors | {name: array * np.float32(factor)}, folder / "model.safetensors")
        checkpoint = read_checkpoint(folder)
        exact = prepare(tree_map(lambda a: a.astype(np.float64), read_params(checkpoint)), checkpoint.config, "float32")
        model = Embedder.load(folder)
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
    compute = prepare(params, checkpoint.config, "float32")
    return dataclasses.replace(model, engine=dataclasses.replace(model.engine, compute=compute))


def test_a_neighbour_s_nan_stays_with_the_neighbour(tiny_model):
    poisoned, texts = with_poison(tiny_model, "rain"), [*TEXTS[:3], "the rain", *TEXTS[3:]]
    tokens = tiny_model.tokenize(texts)
    bounds = tokens.cu_seqlens
    clean = prepare(read_params(tiny_model.checkpoint), tiny_model.config, "float32")(tokens)
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


def test_nothing_can_be_set(tiny_model):
    for name in ("engine", "threads", "max_seq_length", "dtype"):
        with pytest.raises((AttributeError, TypeError)):
            setattr(tiny_model, name, 1)


def test_what_it_says_of_itself(tiny_model, tiny_checkpoint):
    info = tiny_model.info()
    assert info["folder"] == str(tiny_checkpoint) and info["source"] == "folder" and info["revision"] is None
    assert info["dimension"] == tiny_model.dimension == 32 and info["max_seq_length"] == tiny_model.max_seq_length == 32
    assert (info["backend"], info["dtype"], info["config"]["hidden_size"]) == ("numpy", "float32", 32)


def test_errors_are_also_the_built_in_ones():
    for error in (minembed.errors.ConfigError, InputError, minembed.errors.WeightsError):
        assert issubclass(error, MinembedError) and issubclass(error, ValueError)
    assert issubclass(InputTypeError, TypeError) and issubclass(minembed.errors.SourceError, OSError)
    assert issubclass(NumericalError, ArithmeticError) and issubclass(minembed.errors.MissingExtraError, ImportError)
