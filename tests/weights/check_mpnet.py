"""all-mpnet-base-v2 against sentence-transformers and its published figure: `make test-mpnet`.

It needs what tests/goldens/make/make_mpnet_goldens.py has written (MPNET_VECTORS), and for the figures the STS
benchmark (STSB, a folder with dev.csv and test.csv: two sentences and a score, no heading), not in the repository.
"""

import hashlib
import os
from pathlib import Path

import corpus
import numpy as np
import pytest

from minembed import Embedder
from minembed.data.sts import read_sts
from minembed.evaluation import spearman
from minembed.weights.sources.mirrored import MPNET

TIERS = ["numpy", "numba"]
SUMS = {  # of the vectors, as another port of this model states them, to six decimals
    "Hello, World!": -0.212535,
    "This is an example passage.": -0.050801,
    "fastembed-rs is licensed under Apache-2.0": 0.140725,
    "Some other short text here blah blah blah": -0.290818,
}
PUBLISHED = 0.834219  # Spearman's correlation of cosines on the test split: MTEB's results, revision 84f2bcc
FIGURES = {"float32": 2e-5, "bfloat16": 2e-3, "int8": 5e-3}  # how far from it, or from the reference's own, by dtype


@pytest.fixture(scope="module")
def reference():
    with np.load(os.environ["MPNET_VECTORS"]) as arrays:
        return dict(arrays)


@pytest.fixture(scope="module", params=TIERS)
def model(request):
    return Embedder.load("all-mpnet-base-v2", backend=request.param, local_files_only=True)


@pytest.fixture(scope="module")
def texts(reference):
    found = corpus.texts()[::3] + corpus.NAUGHTY
    assert corpus.digest(found) == reference["digest"]
    return found


def test_the_weights_are_the_official_file():
    model = Embedder.load("all-mpnet-base-v2", local_files_only=True)
    with (model.checkpoint.folder / "model.safetensors").open("rb") as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == MPNET.weights_sha256


def test_token_ids(model, texts, reference):
    tokens = model.tokenize(texts)
    np.testing.assert_array_equal(tokens.cu_seqlens, reference["cu_seqlens"])
    np.testing.assert_array_equal(tokens.ids, reference["ids"])


def test_float32_vectors(model, texts, reference):
    vectors = model.encode(texts, truncation="silent")
    difference = np.abs(vectors - reference["vectors"]).max()
    print(f"{model.backend}: {len(texts)} texts, largest difference {difference:.2e}")
    assert difference < 2e-6


@pytest.mark.parametrize(("dtype", "cosine"), [("bfloat16", 0.9999), ("int8", 0.999)])
@pytest.mark.parametrize("tier", TIERS)
def test_rounded_vectors(tier, dtype, cosine, texts, reference):
    model = Embedder.load("all-mpnet-base-v2", dtype=dtype, backend=tier, local_files_only=True)
    some = texts[: -len(corpus.NAUGHTY)]  # on strings that are no language int8 is at 0.9989
    vectors = model.encode(some, truncation="silent")
    cosines = np.einsum("ij,ij->i", vectors, reference["vectors"][: len(some)])  # all have length 1
    print(
        f"{tier}, {dtype}: {len(cosines)} texts, cosines {cosines.mean():.6f} on average, {cosines.min():.5f} at least"
    )
    assert cosines.mean() >= cosine


def test_sums(model):
    found = model.encode(list(SUMS)).sum(axis=1)
    np.testing.assert_allclose(found, list(SUMS.values()), atol=2e-6)  # 768 numbers, and six decimals


def test_the_same_bits_in_any_batch(model, texts):
    some = texts[:40]
    together = model.encode(some, truncation="silent")
    for i in (0, 7, 39):
        np.testing.assert_array_equal(model.encode(some[i], truncation="silent"), together[i])
    np.testing.assert_array_equal(model.encode(some[::-1], batch_size=3, truncation="silent")[::-1], together)


@pytest.mark.parametrize("dtype", FIGURES)
@pytest.mark.parametrize("split", ["dev", "test"])
def test_the_sts_benchmark(split, dtype, reference):
    path = Path(os.environ.get("STSB", "")) / f"{split}.csv"
    if not os.environ.get("STSB") or not path.exists():
        pytest.skip(f"make test-mpnet STSB=(a folder with {split}.csv)")
    pairs = read_sts(path)
    model = Embedder.load("all-mpnet-base-v2", dtype=dtype, local_files_only=True)
    first, second, scores = zip(*pairs, strict=True)
    a, b = model.encode(first), model.encode(second)
    found = spearman(np.einsum("ij,ij->i", a.astype(np.float64), b), scores)
    own = spearman(reference[f"cosines_{split}"], scores)
    print(f"STS benchmark, {split}, {dtype}: Spearman {found:.6f}, sentence-transformers {own:.6f}")
    assert abs(found - own) < FIGURES[dtype]
    if split == "test":
        assert abs(found - PUBLISHED) < FIGURES[dtype]
