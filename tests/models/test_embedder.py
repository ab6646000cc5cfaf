"""The Embedder's options, one by one: each against its definition, and each wrong value against its error."""

import dataclasses
import shutil

import numpy as np
import pytest
import tiny
from embedder_texts import LONG, ROUND, TEXTS, same, unit

from minembed import Embedder, quantize_embeddings
from minembed.errors import (
    InputError,
    InputTypeError,
    MinembedWarning,
)
from minembed.search.similarity import SIMILARITY
from minembed.transformer.pooling import pool


@pytest.fixture
def tiny_model(tiny_model_as, tier):
    """The tiny checkpoint, loaded with each backend in turn."""
    return tiny_model_as(tier)


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


# ---- what can be given ----


def test_it_is_shown_in_one_line(tiny_model, tiny_checkpoint):
    assert repr(tiny_model) == f"Embedder('{tiny_checkpoint}', 32 wide, 32 tokens, float32, {tiny_model.backend})"
    assert repr(tiny_model.engine) == f"Engine('{tiny_checkpoint}', threads={tiny_model.engine.threads})"


def test_one_text_and_many(tiny_model):
    vectors = tiny_model.encode(TEXTS)
    assert vectors.shape == (6, 32) and vectors.dtype == np.float32 and vectors.flags["C_CONTIGUOUS"]
    for text, vector in zip(TEXTS, vectors, strict=True):
        assert same(tiny_model.encode(text), vector)
    for texts in (
        tuple(TEXTS),
        iter(TEXTS),
        (t for t in TEXTS),
        dict.fromkeys(TEXTS).keys(),
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


@pytest.mark.parametrize("item", [7, 1.5, b"a", bytearray(b"a"), ["a"], ("a",), {"a": 1}, object()])
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
    [{"device": "cuda"}, {"convert_to_numpy": False}, {"convert_to_tensor": True}, {"foo": 1}],
    ids=str,
)
def test_options_of_other_libraries(tiny_model, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        tiny_model.encode("a", **options)
    for device in ("cpu", None):
        assert same(tiny_model.encode("a", device=device, convert_to_numpy=True), tiny_model.encode("a"))


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
    [{"threads": n} for n in (0, -1, True, 1.0, "2")] + [{"dtype": "float16"}, {"dtype": 8}, {"backend": "x"}],
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


def test_the_truncation_of_the_checkpoint(folder, tiny_model, tier):
    tiny.write_json(folder / "config_sentence_transformers.json", {"truncate_dim": 8})
    model = Embedder.load(folder, backend=tier)
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
    with pytest.raises(InputError, match=f"^one vector gives {precision} no ranges: give ranges="):
        tiny_model.encode("a cat", precision=precision)
    with pytest.raises(InputError, match="at least two rows: one has no range"):
        tiny_model.encode(["a cat"], precision=precision)


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
def prompted(folder, tier):
    """The tiny model with prompts."""
    prompts = {"query": "the query ", "passage": "a test ", "corpus": "a book "}
    tiny.write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": "corpus"})
    return Embedder.load(folder, backend=tier)


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
    if mode == "weightedmean":  # a token weighs what it would weigh if the prompt were pooled
        weights = [np.arange(4, 4 + len(part)) for part in states]
        expected = unit(np.stack([w @ part / w.sum() for w, part in zip(weights, states, strict=True)]))
    np.testing.assert_allclose(model.encode(TEXTS, prompt="the query "), expected, rtol=0, atol=ROUND)
    assert same(model.encode(TEXTS, prompt=""), model.encode(TEXTS))


def test_a_prompt_that_leaves_no_room(folder):
    tiny.write_json(folder / "1_Pooling" / "config.json", {"embedding_dimension": 32, "include_prompt": False})
    model = Embedder.load(folder)
    with pytest.raises(InputError, match="prompt"):
        model.encode(TEXTS, prompt=LONG, truncation="silent")
