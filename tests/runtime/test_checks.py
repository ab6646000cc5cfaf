"""Arguments: whole numbers and matrices of numbers, of Python and NumPy, are taken everywhere; nothing else is."""

import json
from dataclasses import asdict

import numpy as np
import pytest

from minembed import Embedder, Index, chunk_text, semantic_search, top_k
from minembed.errors import InputError, InputTypeError
from minembed.evaluation.pairs import evaluate_pairs
from minembed.evaluation.retrieval import ranking_metrics
from minembed.maps import Map
from minembed.maps.projection import check_settings, project
from minembed.maps.trust import measure
from minembed.runtime.checks import as_matrices, as_matrix, check_finite, whole_number
from minembed.runtime.threads import check_threads
from minembed.search import similarity
from minembed.search.communities import community_detection, near_duplicates
from minembed.search.mining import paraphrase_mining_embeddings
from minembed.search.quantized import quantize_corpus
from minembed.train.dropout import Dropout
from minembed.train.losses import cosine_similarity, matryoshka
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.transformer.vectors import quantize_embeddings, truncate_embeddings

ROWS = np.random.default_rng(7).standard_normal((11, 5)).astype(np.float32)
INDEX = Index.build(ROWS, precision="binary")
SETTINGS = ("epochs", "max_steps", "batch_size", "accumulation", "seed", "max_bad_steps", "evaluate_every", "patience")

CALLS = {  # each a function of one whole number
    "top_k: k": lambda n, model: top_k(ROWS, ROWS, n, backend="numpy"),
    "threads": lambda n, model: check_threads(n),
    "Index.search: k": lambda n, model: INDEX.search(ROWS[0], k=n, backend="numpy"),
    "Index.search: rescore_multiplier": lambda n, model: INDEX.search(ROWS[0], rescore_multiplier=n, backend="numpy"),
    "semantic_search: top_k": lambda n, model: semantic_search(ROWS, ROWS, top_k=n, backend="numpy"),
    "mining: top_k": lambda n, model: paraphrase_mining_embeddings(ROWS, top_k=n, backend="numpy"),
    "mining: max_pairs": lambda n, model: paraphrase_mining_embeddings(ROWS, max_pairs=n, backend="numpy"),
    "community_detection: min_community_size": lambda n, model: community_detection(ROWS, min_community_size=n),
    "ranking_metrics: at": lambda n, model: ranking_metrics({0: [1, 0]}, {0: {0: 1}}, at={"ndcg": [n]}),
    "truncate_embeddings: dim": lambda n, model: truncate_embeddings(ROWS, n),
    "trust: k": lambda n, model: measure(ROWS, ROWS[:, :2], k=n),
    "map: seed": lambda n, model: check_settings(11, "pca", 2, n, None, None),
    "Dropout: seed": lambda n, model: Dropout(0.1, seed=n)(ROWS, "place").tobytes(),
    "Dropout: step": lambda n, model: Dropout(0.1, step=n)(ROWS, "place").tobytes(),
    "matryoshka: dims": lambda n, model: matryoshka(cosine_similarity, [n])([ROWS, ROWS], np.ones(11))[0],
    "chunk_text: max_tokens": lambda n, model: chunk_text("the cat sat", model, max_tokens=n),
    "chunk_text: overlap": lambda n, model: chunk_text("the cat sat", model, overlap=n),
    "map: clusters": lambda n, model: Map.of(ROWS, ["a"] * 11, method="pca", clusters=n).groups.names,
    "encode: batch_size": lambda n, model: model.encode(["the cat", "a"], batch_size=n),
    "encode: truncate_dim": lambda n, model: model.encode("the cat", truncate_dim=n),
    "load: max_seq_length": lambda n, model: (
        Embedder.load(model.checkpoint.folder, max_seq_length=n, backend="numpy").max_seq_length
    ),
    "load: threads": lambda n, model: Embedder.load(model.checkpoint.folder, threads=n, backend="numpy").engine.threads,
    "Trainee.load: max_seq_length": lambda n, model: (
        Trainee.load(model.checkpoint.folder, max_seq_length=n).checkpoint.max_seq_length
    ),
    **{f"Settings: {name}": lambda n, model, name=name: json.dumps(asdict(Settings(**{name: n}))) for name in SETTINGS},
    "Settings: matryoshka_dims": lambda n, model: json.dumps(asdict(Settings(matryoshka_dims=(n,)))),
}


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy")


def same(a, b):
    if isinstance(a, tuple):
        return all(map(same, a, b))
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("name", CALLS)
def test_numpys_whole_numbers_are_as_good_as_pythons(name, model):
    for kind in (np.int64, np.uint8):
        assert same(CALLS[name](kind(3), model), CALLS[name](3, model))


@pytest.mark.parametrize("bad", [True, np.True_, 3.0, np.float64(3), "3", b"3", -1], ids=repr)
@pytest.mark.parametrize("name", CALLS)
def test_other_values_are_refused(name, bad, model):
    with pytest.raises(InputError):
        CALLS[name](bad, model)


def test_whole_number():
    assert [whole_number(x) for x in (0, -7, np.uint64(1 << 63), 1 << 70)] == [0, -7, 1 << 63, 1 << 70]
    assert type(whole_number(np.int8(3))) is int
    for value in (None, False, np.False_, 2.0, np.float32(2), "2", [2], np.array([2, 3])):
        assert whole_number(value) is None


MATRICES = {  # each a function of one matrix
    "top_k: queries": lambda x: top_k(x, ROWS, 3, backend="numpy"),
    "top_k: corpus": lambda x: top_k(ROWS, x, 3, backend="numpy"),
    "cosine_similarity": lambda x: similarity.cosine_similarity(x, ROWS),
    "near_duplicates": near_duplicates,
    "quantize_corpus": quantize_corpus,
    "Index.build": lambda x: Index.build(x),
    "Index.search": lambda x: INDEX.search(x, backend="numpy"),
    "evaluate_pairs": lambda x: evaluate_pairs(x, x, np.arange(11) % 2),
    "map": lambda x: project(x, "pca").points,
    "calibration": lambda x: quantize_embeddings(ROWS, "int8", calibration_embeddings=x),
}


@pytest.mark.parametrize(
    "bad", [3.0, ROWS[None], [[1.0, 2.0], [3.0]], [["a", "b"], ["c", "d"]]], ids=["0-d", "3-d", "ragged", "str"]
)
@pytest.mark.parametrize("name", MATRICES)
def test_what_is_no_matrix_is_refused(name, bad):
    MATRICES[name](ROWS)
    with pytest.raises(InputError):
        MATRICES[name](bad)


def test_as_matrix_copies_nothing(tmp_path):
    assert as_matrix("x", ROWS) is ROWS and as_matrix("x", ROWS, one=True) is ROWS
    assert np.shares_memory(as_matrix("x", ROWS[0], one=True), ROWS)
    assert all(map(np.shares_memory, as_matrices(("a", "b"), ROWS, ROWS.T[:, :5]), (ROWS, ROWS)))
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert np.shares_memory(as_matrix("x", mapped), mapped)


def test_messages_of_matrices():
    for values, options, words in (
        (ROWS[0], {}, r"^x must be numbers of shape \(N, D\); got \(5,\)$"),
        (ROWS[:0], {"least": (1, 0)}, r"got \(0, 5\)$"),
        (ROWS[:, :0], {"least": (0, 1)}, r"got \(11, 0\)$"),
        ([[1], [2, 3]], {}, "^x must be numbers, in vectors of one width: "),
    ):
        with pytest.raises(InputError, match=words):
            as_matrix("x", values, **options)
    with pytest.raises(InputTypeError, match=r"^x must be points; got list of <U1$"):
        as_matrix("x", [["a"]], "points")
    with pytest.raises(InputError, match=r"^x holds NaN or infinity, first in row 12$"):
        check_finite("x", np.where(np.arange(11)[:, None] > 1, np.inf, ROWS), 10)
