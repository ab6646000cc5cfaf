"""The whole encoder against transformers and sentence-transformers: hidden states by layer, and vectors."""

import hashlib
import json
from pathlib import Path

import corpus
import numpy as np
import oracle
import pytest
import tiny
from examples import heavy
from places import GOLDENS_FOLDER
from safetensors.numpy import load_file

from minembed import Embedder
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.encoder import encode
from minembed.transformer.params import tree_map
from minembed.transformer.tokens import Tokens
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

GOLDENS = GOLDENS_FOLDER
TINY_LAYER = {
    np.float32: 1e-5,  # times the layer's largest |h|: three layers of sums over up to 41 terms, 6e-8 each
    np.float64: 1e-13,  # the same in float64: 1e-16 each
}
VECTOR = 2e-6  # the contract; these are 3e-7 apart, and torch's own batchings 2e-7
COSINE = 0.999999  # the contract
LAYER = 1e-5  # the contract: times the layer's largest |h|; it is 6e-7, a handful of roundings of the largest numbers
AS_TORCH = 2.0  # the contract: no further from float64 than twice torch's own distance; it is 0.8 to 1.6 times
AS_TORCH_LARGEST = 4.0  # of single numbers, which are luck: 1.6 with BLAS's SkylakeX kernels, 2.9 with its Haswell ones
ORACLE = 1e-11  # times the layer's largest |h|: two float64 computations, six layers of sums over 1536 terms


@pytest.fixture
def tiny_model(tiny_checkpoint, tier):
    """The tiny checkpoint, loaded with each backend in turn."""
    return Embedder.load(tiny_checkpoint, backend=tier)


def read_golden(name):
    with np.load(GOLDENS / name) as file:
        return dict(file)


def text(golden, i):
    """The i-th text of packed ids."""
    return slice(*golden["cu_seqlens"][i : i + 2])


def observed(tokens, params, config):
    """The hidden states of every stage, (stages, T, D)."""
    stages = {}
    with single_threaded_blas():  # as the engine does
        last = encode(tokens, params, config, observe=lambda name, states: stages.update({name: states.copy()}))
    names = ["embeddings", *(f"layer.{i}" for i in range(config.num_hidden_layers))]
    stages = {name: states for name, states in stages.items() if name in names}
    assert list(stages) == names
    np.testing.assert_array_equal(last, stages[f"layer.{config.num_hidden_layers - 1}"])
    return np.stack(list(stages.values()))


def packed(ids):
    ids = np.asarray(ids)
    return Tokens(ids=ids, types=np.zeros_like(ids), cu_seqlens=np.array([0, len(ids)]))


@pytest.fixture(scope="module")
def tiny_bert(tmp_path_factory):
    """The small random BERT of the goldens: the golden file and, read back from a folder, its checkpoint."""
    golden = read_golden("tiny_bert.npz")
    tensors = {key.removeprefix("tensors/"): golden[key] for key in golden if key.startswith("tensors/")}
    name = "embeddings.word_embeddings.weight"  # with more rows than the golden uses, so that a tokenizer fits
    spare = np.zeros((len(tiny.VOCABULARY) - len(tensors[name]), 35), np.float32)
    folder = tiny.write_tiny_checkpoint(
        tmp_path_factory.mktemp("bert"),
        hidden_size=35,
        num_hidden_layers=3,
        num_attention_heads=5,
        intermediate_size=37,
        max_position_embeddings=41,
        max_seq_length=41,
        tensors={**tensors, name: np.concatenate([tensors[name], spare])},
    )
    return golden, tensors, read_checkpoint(folder)


def test_the_oracle_agrees_with_transformers(tiny_bert):
    golden, tensors, _ = tiny_bert
    for i in range(len(golden["cu_seqlens"]) - 1):
        rows = text(golden, i)
        got = np.stack(oracle.bert(tensors, golden["ids"][rows], golden["types"][rows], heads=5))
        np.testing.assert_allclose(got, golden["hidden_float64"][:, rows], rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hidden_states_of_the_tiny_bert(tiny_bert, dtype):
    golden, _, checkpoint = tiny_bert
    params = tree_map(lambda a: a.astype(dtype), read_params(checkpoint))
    tokens = Tokens(
        ids=golden["ids"].astype(np.int32), types=golden["types"].astype(np.int32), cu_seqlens=golden["cu_seqlens"]
    )
    got, exact = observed(tokens, params, checkpoint.config), golden["hidden_float64"]
    assert got.dtype == dtype
    largest = np.abs(exact).max(axis=(1, 2))
    assert (np.abs(got - exact).max(axis=(1, 2)) <= TINY_LAYER[dtype] * largest).all()
    torch_distance = np.abs(golden[f"hidden_{np.dtype(dtype).name}"] - exact).max()
    assert dtype == np.float64 or np.abs(got - exact).max() <= AS_TORCH * torch_distance


def test_nan_in_a_text_leaves_the_others_alone(tiny_bert):
    golden, _, checkpoint = tiny_bert
    params = read_params(checkpoint)
    ids = golden["ids"].astype(np.int32) % 90  # keeps clear of the poisoned row of the table
    tokens = Tokens(ids=ids, types=np.zeros_like(ids), cu_seqlens=golden["cu_seqlens"])
    clean = encode(tokens, params, checkpoint.config)
    params.embeddings.word[95] = np.nan
    for i in range(len(tokens)):
        rows = text(golden, i)
        poisoned = ids.copy()
        poisoned[rows] = 95
        got = encode(
            Tokens(ids=poisoned, types=np.zeros_like(ids), cu_seqlens=tokens.cu_seqlens), params, checkpoint.config
        )
        assert np.isnan(got[rows]).all()
        others = np.delete(np.arange(len(ids)), rows)
        np.testing.assert_array_equal(got[others], clean[others])


def test_vectors_of_the_tiny_checkpoint(tiny_model):
    golden = read_golden("tiny_checkpoint.npz")
    texts = corpus.texts()[: len(golden["vectors"])]
    assert corpus.digest(texts) == str(golden["texts_sha256"]), "the corpus changed: make the goldens again"
    tokens = tiny_model.tokenize(texts)
    np.testing.assert_array_equal(tokens.cu_seqlens, golden["cu_seqlens"])
    np.testing.assert_array_equal(tokens.ids, golden["ids"])
    vectors = tiny_model.encode(texts, truncation="silent")
    np.testing.assert_allclose(vectors, golden["vectors"], rtol=0, atol=VECTOR)


@pytest.mark.parametrize(
    ("pooling", "modes"),
    [
        ({"embedding_dimension": 32, "pooling_mode": ["lasttoken", "cls", "weightedmean"]}, None),
        (
            {"word_embedding_dimension": 32, "pooling_mode_max_tokens": True, "pooling_mode_cls_token": True},
            ["cls", "max"],
        ),
    ],
)
def test_the_whole_way_with_other_pooling(tmp_path, pooling, modes):
    folder = tiny.write_tiny_checkpoint(tmp_path, pooling=pooling, modules=tiny.MODULES[:2])
    model, texts = Embedder.load(folder), ["the cat", "", "un believ able rain, and more of it"]
    tokens = model.tokenize(texts)
    tensors = load_file(folder / "model.safetensors")
    expected = []
    for i in range(len(texts)):
        rows = slice(*tokens.cu_seqlens[i : i + 2])
        hidden = oracle.bert(tensors, tokens.ids[rows], tokens.types[rows], heads=4)[-1]
        bounds = [0, len(hidden)]
        expected.append(np.concatenate([oracle.pool(hidden, bounds, m)[0] for m in modes or pooling["pooling_mode"]]))
    np.testing.assert_allclose(model.encode(texts), np.stack(expected), rtol=0, atol=1e-5 * np.abs(expected).max())


@pytest.mark.weights
@pytest.mark.parametrize("step", [23, *heavy([1])])
def test_vectors_of_the_corpus(minilm_as, tier, step):
    texts = corpus.texts()
    parts = [read_golden(f"minilm_embeddings_{i}.npz") for i in range(2)]
    expected = np.concatenate([part["vectors"] for part in parts])
    assert len(texts) == len(expected) >= 1000
    assert corpus.digest(texts) == str(parts[0]["texts_sha256"]), "the corpus changed: make the goldens again"
    vectors, expected = minilm_as(tier).encode(texts[::step], truncation="silent"), expected[::step]
    assert vectors.dtype == np.float32
    assert np.abs(vectors - expected).max() <= VECTOR
    assert (vectors.astype(np.float64) * expected).sum(axis=1).min() >= COSINE
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=0, atol=1e-6)  # 384 squares, one root


@pytest.mark.weights
@pytest.mark.parametrize("i", [0, 1, *heavy([2])])
def test_hidden_states_of_the_real_model(minilm, i):
    golden = read_golden("minilm_hidden.npz")
    ids, rows, hidden = (golden[f"{name}_{i}"] for name in ("ids", "rows", "hidden"))
    tokens = minilm.tokenize([str(golden["texts"][i])])
    np.testing.assert_array_equal(tokens.ids, ids)
    checkpoint = read_checkpoint(Path(minilm.info()["folder"]))
    exact = np.stack(oracle.bert(load_file(checkpoint.folder / "model.safetensors"), ids, 0 * ids, heads=12))
    largest = golden[f"largest_{i}"]
    assert (np.abs(exact[:, rows] - hidden).max(axis=(1, 2)) <= ORACLE * largest).all()  # so the oracle is the truth
    got = observed(tokens, read_params(checkpoint), checkpoint.config)
    distance = np.abs(got - exact).max(axis=(1, 2))
    assert (distance <= LAYER * largest).all(), distance / largest
    np.testing.assert_array_equal(minilm.forward(tokens), got[-1])


@pytest.mark.weights
def test_the_real_model_is_as_near_to_float64_as_torch(minilm):
    golden = read_golden("minilm_hidden.npz")
    checkpoint = read_checkpoint(Path(minilm.info()["folder"]))
    params = read_params(checkpoint)
    double = tree_map(lambda a: a.astype(np.float64), params)
    texts = [packed(ids.astype(np.int32)) for ids in golden["documents"]]
    difference = np.stack(
        [observed(t, params, checkpoint.config) - observed(t, double, checkpoint.config) for t in texts]
    )  # (documents, stages, 256, D)
    rms = np.sqrt((difference**2).mean(axis=(2, 3)))
    assert (rms <= AS_TORCH * golden["torch_rms"]).all(), rms / golden["torch_rms"]
    # the largest of 100,000 differences is one number's bad luck; the largest in five texts says more
    largest, theirs = np.abs(difference).max(axis=(0, 2, 3)), golden["torch_largest"].max(axis=0)
    assert (largest <= AS_TORCH_LARGEST * theirs).all(), largest / theirs


@pytest.mark.weights
def test_ordinary_texts_raise_no_floating_point_flag(minilm):
    checkpoint = read_checkpoint(Path(minilm.info()["folder"]))
    tokens = minilm.tokenize(corpus.texts()[::37])
    with np.errstate(all="raise", under="ignore"), single_threaded_blas():  # small softmax weights become zero: right
        encode(tokens, read_params(checkpoint), checkpoint.config)


@pytest.mark.weights
def test_the_weights_are_those_of_the_goldens(minilm):
    digest = hashlib.sha256((Path(minilm.info()["folder"]) / "model.safetensors").read_bytes()).hexdigest()
    for path in sorted(GOLDENS.glob("minilm_*.npz")):
        assert json.loads(str(read_golden(path.name)["about"]))["model_sha256"] == digest, path.name
