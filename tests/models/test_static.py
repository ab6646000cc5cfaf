"""Static embeddings: the references' numbers, the same bits in every batch, and named refusals."""

import json
import random
import shutil

import faults
import numpy as np
import pytest
import static_cases as cases
from examples import thinned
from places import GOLDENS_FOLDER
from safetensors.numpy import load_file, save_file
from tiny import write_json, write_tiny_checkpoint

from minembed import Embedder
from minembed.errors import (
    ConfigError,
    InputError,
    MinembedError,
    TokenizationError,
    UnsupportedModelError,
    WeightsError,
)
from minembed.models.reranker import Reranker
from minembed.models.static import BLOCK, Bags, mean_rows
from minembed.transformer.encoder import encode
from minembed.transformer.tokens import Tokens
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params
from minembed.weights.sources.cache import shortcoming

GOLDENS = GOLDENS_FOLDER / "static"
KINDS = {
    "sentence_transformers": (cases.write_static, cases.STATIC),
    "model2vec": (cases.write_model2vec, cases.MODEL2VEC),
}
ALL = [(kind, name) for kind, (_, names) in KINDS.items() for name in names]
TOLERANCE = 5e-7, 1e-8  # of a text's largest number, and that much more a token: torch adds up one by one


def golden(kind):
    return np.load(GOLDENS / f"{kind}.npz")


def write(kind, name, folder):
    return KINDS[kind][0](folder / "model", name)


def load(folder, **options):
    return Embedder.load(folder, threads=1, **options)


def encode_all(model, texts=cases.TEXTS):
    return model.encode(texts, truncation="silent")


def assert_close(model, found, expected, prompt=""):
    assert found.dtype == np.float32 and found.shape == expected.shape
    lengths = model.tokenize([prompt + text for text in cases.TEXTS]).lengths()
    allowed = (TOLERANCE[0] + TOLERANCE[1] * lengths) * np.abs(expected).max(axis=1)
    assert (np.abs(found - expected).max(axis=1) <= allowed).all()


@pytest.fixture
def potion(tmp_path):
    """A folder as model2vec publishes it, for both libraries."""
    return cases.write_static(tmp_path / "potion", "of model2vec")


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_vectors_are_the_references(kind, name, tmp_path):
    model, expected = load(write(kind, name, tmp_path)), golden(kind)
    assert_close(model, encode_all(model), expected[f"{name}/vectors"])
    if f"{name}/queries" in expected:
        queries = model.encode_query(cases.TEXTS, truncation="silent")
        assert_close(model, queries, expected[f"{name}/queries"], "the river ")


def test_means_are_exact(tmp_path):
    model = load(write("sentence_transformers", "plain", tmp_path))
    vectors, states = encode_all(model), model.token_embeddings(cases.TEXTS)
    for vector, rows in zip(vectors, states, strict=True):
        exact = rows.astype(np.float64).mean(axis=0) if len(rows) else np.zeros(cases.WIDTH)
        np.testing.assert_allclose(vector, exact, rtol=0, atol=2e-6)


@pytest.mark.parametrize(("kind", "name"), thinned(ALL, 2))
def test_bits_do_not_depend_on_the_batch(kind, name, tmp_path):
    folder = write(kind, name, tmp_path)
    model = load(folder)
    whole = encode_all(model)
    np.testing.assert_array_equal(whole, [encode_all(model, text) for text in cases.TEXTS])
    np.testing.assert_array_equal(whole[::-1], encode_all(model, cases.TEXTS[::-1]))
    several = Embedder.load(folder, threads=3, backend="numba" if name == "plain" else "auto")
    blocks = several.stream(iter(cases.TEXTS * 9), truncation="silent", batch_size=7)
    np.testing.assert_array_equal(np.concatenate([whole] * 9), np.concatenate(list(blocks)))


@pytest.mark.parametrize(("kind", "name"), ALL)
def test_saved_and_loaded_again(kind, name, tmp_path):
    model = load(write(kind, name, tmp_path))
    model.save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    np.testing.assert_array_equal(encode_all(again), encode_all(model))
    assert again.checkpoint.max_seq_length == model.checkpoint.max_seq_length
    assert again.checkpoint.prompts == model.checkpoint.prompts
    assert again.checkpoint.family == model.checkpoint.family
    assert shortcoming(tmp_path / "saved") is None


def test_the_limit_is_saved(tmp_path):
    for i, (kind, name) in enumerate((("sentence_transformers", "plain"), ("model2vec", "plain"))):
        model = load(write(kind, name, tmp_path / str(i)), max_seq_length=5)
        assert model.max_seq_length == 5
        model.save(tmp_path / f"saved{i}")
        np.testing.assert_array_equal(encode_all(load(tmp_path / f"saved{i}")), encode_all(model))
    layout = json.loads((tmp_path / "saved0" / "0_StaticEmbedding" / "tokenizer.json").read_text("utf-8"))
    assert layout["truncation"] == {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
    assert json.loads((tmp_path / "saved1" / "config.json").read_text("utf-8"))["max_length"] == 5


def test_it_is_an_encoder_without_layers(potion):
    model = load(potion)
    texts = [text for text in cases.TEXTS if len(model.tokenize(text).ids)]
    tokens = model.tokenize(texts)
    params = read_params(model.checkpoint)
    assert not params.layers and model.checkpoint.is_static
    plain = Tokens(tokens.ids, tokens.types, tokens.cu_seqlens)
    np.testing.assert_array_equal(encode(plain, params, model.config), model.forward(tokens))


def test_a_text_without_tokens_is_zero(potion):
    model = load(potion)
    assert not model.encode("").any() and not model.encode(["", " "]).any()
    assert model.encode([]).shape == (0, cases.WIDTH)
    tokens = model.tokenize(["", "a cat", ""])
    assert isinstance(tokens, Bags) and tokens.lengths().tolist() == [0, 2, 0]
    assert [rows.shape for rows in model.token_embeddings(["", "a cat", ""])] == [(0, 24), (2, 24), (0, 24)]
    assert model.forward(tokens).shape == (2, cases.WIDTH)
    with pytest.raises(InputError, match="no empty text"):
        Tokens(tokens.ids, tokens.types, tokens.cu_seqlens)


def test_rows_are_the_tokens(potion):
    model, table = load(potion), load_file(potion / "model.safetensors")["embeddings"]
    tokens = model.tokenize("the dog")
    np.testing.assert_array_equal(model.token_embeddings(["the dog"])[0], table[tokens.ids])


def test_the_two_references_differ(tmp_path):
    """model2vec leaves unknown words out and reads 512 tokens."""
    ours, theirs = (load(write(kind, "words", tmp_path / kind)) for kind in KINDS)
    assert ours.encode("本").any() and not theirs.encode("本").any()
    assert ours.max_seq_length == ours.config.max_tokens and theirs.max_seq_length == 512
    assert len(ours.tokenize("a " * 600).ids) == 600 and len(theirs.tokenize("a " * 600).ids) == 512


def test_what_was_cut_is_reported(tmp_path):
    model = load(write("model2vec", "short", tmp_path))
    with pytest.warns(UserWarning, match=r"1 text\(s\) longer than 20 tokens were cut: texts\[1\]"):
        model.encode(["a", "a cat " * 30])
    with pytest.raises(InputError, match=r"texts\[0\] has more than 20 tokens"):
        model.encode("a cat " * 30, truncation="error")
    tokens = model.tokenize(["a cat", "x" * 500])
    assert tokens.truncated.tolist() == tokens.lower_bound.tolist() == [False, True]


def test_long_texts_are_summed_in_blocks():
    rng = np.random.default_rng(0)
    rows, lengths = cases.rows(50), [0, 3, BLOCK, BLOCK + 1, 5 * BLOCK + 7, 0, 1, 0]
    cu_seqlens = np.concatenate([[0], np.cumsum(lengths)])
    ids = rng.integers(0, 50, cu_seqlens[-1])
    found = mean_rows(rows, ids, cu_seqlens)
    for i, n in enumerate(lengths):
        own = ids[cu_seqlens[i] : cu_seqlens[i + 1]]
        exact = rows[own].astype(np.float64).mean(axis=0) if n else np.zeros(cases.WIDTH)
        np.testing.assert_allclose(found[i], exact, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(mean_rows(rows, own, np.array([0, n]))[0], found[i])


def test_modules_are_named_in_every_spelling(tmp_path):
    kinds = ("sentence_transformers.models", "sentence_transformers.models.StaticEmbedding")
    kinds += ("sentence_transformers.sentence_transformer.modules.static_embedding",)
    for i, kind in enumerate(kinds):
        model = load(cases.write_static(tmp_path / str(i), "plain", kind))
        assert model.info()["family"] == "static" and model.backend == "numpy"


def test_settings_of_other_libraries_change_no_token(potion, tmp_path):
    before = encode_all(load(potion))
    write_json(potion / "tokenizer_config.json", {"tokenizer_class": "BertTokenizer", "do_lower_case": False})
    write_json(potion / "config.json", {"model_type": "bert", "normalize": False})
    np.testing.assert_array_equal(encode_all(load(potion)), before)


@pytest.mark.parametrize("name", list(cases.MODEL2VEC))
def test_a_folder_of_model2vec_is_known_by_its_tensors(name, tmp_path):
    before = encode_all(load(write("model2vec", name, tmp_path)))
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    write_json(path, {key: value for key, value in config.items() if key not in ("model_type", "architectures")})
    np.testing.assert_array_equal(encode_all(load(tmp_path / "model")), before)
    load(tmp_path / "model").save(tmp_path / "again")
    np.testing.assert_array_equal(encode_all(load(tmp_path / "again")), before)


def test_refusals(potion, tmp_path):
    for dtype in ("bfloat16", "int8"):
        with pytest.raises(InputError, match="only adds the rows of a table: use 'float32'"):
            load(potion, dtype=dtype)
    with pytest.raises(UnsupportedModelError, match="static"):
        load(potion).fill_mask("a [MASK]")
    with pytest.raises(MinembedError):
        Reranker.load(potion)
    modules = json.loads((potion / "modules.json").read_text("utf-8"))
    pooling = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    write_json(potion / "modules.json", [modules[0], pooling])
    with pytest.raises(UnsupportedModelError, match="StaticEmbedding -> Pooling are not supported"):
        read_checkpoint(potion)
    encoder = write_tiny_checkpoint(tmp_path / "encoder", config={"num_hidden_layers": 0})
    with pytest.raises(ConfigError, match="num_hidden_layers must be a whole number from 1"):
        read_checkpoint(encoder)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({}, "embeddings is missing"),
        (
            {"embedding.weight": cases.rows(), "weights": cases.scales()},
            "embeddings is missing; embedding.weight is un",
        ),
        ({"embeddings": cases.rows(), "other": cases.rows()}, "other is unknown"),
        ({"embeddings": cases.scales()}, "expected a table"),
        ({"embeddings": cases.rows(), "weights": cases.scales(5)}, r"weights has shape \(5,\)"),
        ({"embeddings": cases.rows(30), "mapping": cases.mapping(), "weights": cases.scales(30)}, "weights has shape"),
        ({"embeddings": cases.rows(30), "mapping": cases.mapping() - 1}, "mapping goes from -1 to 28, but .* 30 rows"),
        ({"embeddings": cases.rows(29), "mapping": cases.mapping()}, "mapping goes from 0 to 29, but .* 29 rows"),
        ({"embeddings": cases.rows(30), "mapping": cases.scales()}, "mapping is F32, expected I64"),
        ({"embeddings": cases.rows().astype(np.int32)}, "embeddings is I32, expected F32"),
        ({"embeddings": cases.rows() * np.float32(np.nan)}, "NaN"),
        ({"embeddings": cases.rows(dtype=np.float64) * 1e40}, "overflow float32"),
        ({"embeddings": cases.rows() * np.float32(1e37), "weights": cases.scales() * np.float32(1e9)}, "overflow"),
        ({"embeddings": cases.rows(0)}, "the table is 0 x 24: vocab_size"),
        ({"embeddings": cases.rows(width=0)}, "hidden_size"),
    ],
)
def test_tables_that_are_none(potion, tensors, message):
    save_file(tensors, potion / "model.safetensors")
    with pytest.raises(WeightsError, match=message):
        load(potion)


def test_tables_that_are_too_small(potion):
    save_file({"embeddings": cases.rows(cases.ROWS - 1)}, potion / "model.safetensors")
    with pytest.raises(ConfigError, match=rf"token id {cases.ROWS - 1} is beyond the {cases.ROWS - 1} rows"):
        load(potion)
    save_file({"embeddings": cases.rows()}, potion / "model.safetensors")
    tokenizer = cases.word_piece()
    tokenizer.add_tokens(["added"])
    tokenizer.save(str(potion / "tokenizer.json"))
    model = load(potion)
    assert len(model.encode(["a", ""])) == 2
    with pytest.raises(TokenizationError, match=rf"texts\[2\] holds a token of the id {cases.ROWS}"):
        model.encode(["a", "", "an added one", "a"])


def test_files_that_are_damaged(tmp_path):
    folder = write("model2vec", "plain", tmp_path)
    config = json.loads((folder / "config.json").read_text("utf-8"))
    for settings, message in (
        ({"max_length": 0}, "max_length must be a whole number from 1, not 0"),
        ({"max_length": "x"}, "max_length must be of type int"),
        ({"normalize": 1}, "normalize must be of type bool"),
    ):
        write_json(folder / "config.json", config | settings)
        with pytest.raises(ConfigError, match=message):
            load(folder)
    folder = write("sentence_transformers", "cut", tmp_path / "other")
    inside = folder / "0_StaticEmbedding"
    layout = json.loads((inside / "tokenizer.json").read_text("utf-8"))
    layout["truncation"]["max_length"] = 0
    write_json(inside / "tokenizer.json", layout)
    with pytest.raises(ConfigError, match=r"truncation\.max_length must be a whole number from 1, not 0"):
        load(folder)
    for name in ("tokenizer.json", "model.safetensors"):
        (inside / name).unlink()
        assert shortcoming(folder) == f"{name} is missing"
        with pytest.raises(MinembedError, match=name):
            load(folder)
        shutil.rmtree(folder)
        folder = write("sentence_transformers", "cut", tmp_path / "other")


def mutated(name, content, seed):
    dice = random.Random(f"{name} {seed}")
    if not name.endswith(".json"):
        data = bytearray(content)
        for _ in range(dice.choice([1, 4])):
            data[dice.randrange(600)] = dice.randrange(256)  # the header
        return bytes(data)
    try:
        return faults.mutate_json(dice, content.decode())
    except ValueError:  # a value was put into itself
        return b"{}"


@pytest.mark.parametrize(
    ("kind", "name"), [("model2vec", "quantized"), ("sentence_transformers", "mapped and weighted")]
)
@pytest.mark.filterwarnings("ignore::minembed.errors.ModelWarning")
def test_damaged_folders_load_or_are_refused_by_name(kind, name, tmp_path):
    folder, refused = write(kind, name, tmp_path), 0
    names = sorted(path.name for path in folder.iterdir() if path.is_file())
    for seed in range(300):
        path = folder / names[seed % len(names)]
        content = path.read_bytes()
        path.write_bytes(mutated(path.name, content, seed))
        try:
            vectors = load(folder).encode(["a cat", "", "unbelievable 本"], truncation="silent")
            assert vectors.dtype == np.float32 and np.isfinite(vectors).all()
        except MinembedError as error:
            refused += bool(str(error))
        finally:
            path.write_bytes(content)
    assert 50 < refused < 300
