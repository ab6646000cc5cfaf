"""Pooling, normalisation, truncation and quantisation: against float64 loops and sentence-transformers' own modules."""

import json

import numpy as np
import oracle
import pytest
from places import GOLDENS_FOLDER

from minembed import quantize_embeddings, truncate_embeddings
from minembed.errors import InputError, UnsupportedModelError
from minembed.transformer.pooling import POOLING, pool
from minembed.transformer.vectors import l2_normalize

GOLDENS = GOLDENS_FOLDER
LENGTHS = [(1,), (2, 7, 5), (17, 1), (1, 1, 1)]
# half a unit in the last place of 1, times the roundings: a sum of 41 rows of size 5, then a division
TOLERANCE = {np.float32: 41 * 5 * 6e-8, np.float64: 41 * 5 * 1.2e-16}
UNIT = {np.float32: 4e-7, np.float64: 1e-15}  # the length of a normalised row: a sum of squares, a root, a division


@pytest.fixture(scope="module")
def tiny_bert():
    """Hidden states from transformers and what sentence-transformers' Pooling makes of them."""
    with np.load(GOLDENS / "tiny_bert.npz") as file:
        return {name: file[name] for name in file.files if not name.startswith("tensors/")}


@pytest.fixture(scope="module")
def quantized():
    """Vectors and what sentence-transformers' quantize_embeddings makes of them."""
    with np.load(GOLDENS / "quantized.npz") as file:
        return dict(file)


def normal(*shape, dtype=np.float64, seed=7):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("lengths", LENGTHS, ids=str)
@pytest.mark.parametrize("mode", oracle.POOLING)
def test_pool_agrees_with_the_loops(mode, lengths, dtype):
    hidden, cu_seqlens = normal(sum(lengths), 11, dtype=dtype), np.cumsum([0, *lengths])
    got = pool(hidden, cu_seqlens, [mode])
    assert got.dtype == dtype
    np.testing.assert_allclose(got, oracle.pool(hidden, cu_seqlens, mode), rtol=0, atol=TOLERANCE[dtype])


def test_every_mode_has_a_witness():
    assert list(POOLING) == ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
    assert set(POOLING) == set(oracle.POOLING)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pool_agrees_with_sentence_transformers(tiny_bert, dtype):
    name = np.dtype(dtype).name
    hidden = tiny_bert[f"hidden_{name}"][-1]
    expected = {key.split("/")[1]: tiny_bert[key] for key in tiny_bert if key.startswith(f"pooled_{name}/")}
    assert len(expected) == 9  # six modes and three concatenations
    for modes, vectors in expected.items():
        got = pool(hidden, tiny_bert["cu_seqlens"], modes.split("+"))
        assert got.shape == (6, 35 * len(modes.split("+")))
        np.testing.assert_allclose(got, vectors, rtol=0, atol=TOLERANCE[dtype], err_msg=modes)


@pytest.mark.parametrize("mode", POOLING)
def test_a_text_never_sees_its_neighbours(mode):
    lengths = [3, 1, 64, 5, 5, 2, 129]
    cu_seqlens = np.cumsum([0, *lengths])
    hidden = normal(cu_seqlens[-1], 31, dtype=np.float32)
    together = pool(hidden, cu_seqlens, [mode])
    for b, n in enumerate(lengths):
        rows = slice(cu_seqlens[b], cu_seqlens[b + 1])
        np.testing.assert_array_equal(pool(hidden[rows], np.array([0, n]), [mode])[0], together[b])  # the same bits
        poisoned = hidden.copy()
        poisoned[rows] = np.nan
        got = pool(poisoned, cu_seqlens, [mode])
        assert np.isnan(got[b]).all()
        np.testing.assert_array_equal(np.delete(got, b, axis=0), np.delete(together, b, axis=0))


def test_an_unknown_mode_is_refused_by_name():
    with pytest.raises(UnsupportedModelError, match="'median'"):
        pool(normal(3, 2), np.array([0, 3]), ["mean", "median"])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_l2_normalize(dtype):
    x = normal(13, 31, dtype=dtype) * np.logspace(-9, 9, 13, dtype=dtype)[:, None]
    x[4], x[7] = 0, -0.0
    got = l2_normalize(x)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, oracle.l2_normalize(x), rtol=0, atol=UNIT[dtype])
    assert not got[[4, 7]].any()
    lengths = np.linalg.norm(np.delete(got, [4, 7], axis=0).astype(np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=0, atol=UNIT[dtype])
    np.testing.assert_array_equal(l2_normalize(x[2:3])[0], got[2])


def test_truncate_keeps_the_first_numbers():
    x = normal(5, 31, dtype=np.float32)
    np.testing.assert_array_equal(truncate_embeddings(x, 7), x[:, :7])
    np.testing.assert_array_equal(truncate_embeddings(x[0], 31), x[0])
    assert truncate_embeddings(x, None) is x
    assert truncate_embeddings(x.tolist(), 2).shape == (5, 2)
    for dim in (0, -1, 32, 1.5, "7", True):
        with pytest.raises(InputError, match="1 to"):
            truncate_embeddings(x, dim)


@pytest.mark.parametrize("precision", ["int8", "uint8"])
def test_quantize_to_bytes_as_sentence_transformers(quantized, precision):
    vectors, other = quantized["vectors"], quantized["calibration"]
    dtype = np.dtype(precision)
    for given, options in (
        ("ranges", {"ranges": quantized["ranges"]}),
        ("calibration", {"calibration_embeddings": other}),
        ("self", {}),
    ):
        got = quantize_embeddings(vectors, precision, **options)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, quantized[f"{precision}/{given}"], err_msg=given)
    got = quantize_embeddings(quantized["double"], "uint8", calibration_embeddings=quantized["double"])
    np.testing.assert_array_equal(got, quantized["uint8/double"], err_msg="float64")
    for row in (0, 3, 4):  # with ranges given, a row does not depend on the others, and lists and float64 do as well
        got = quantize_embeddings(vectors[row], precision, ranges=quantized["ranges"].astype(np.float64).tolist())
        np.testing.assert_array_equal(got, quantized[f"{precision}/ranges"][row])


@pytest.mark.parametrize("precision", ["binary", "ubinary"])
def test_quantize_to_bits_as_sentence_transformers(quantized, precision):
    vectors = quantized["vectors"]
    for width, key in ((24, precision), (19, f"{precision}/19")):
        got = quantize_embeddings(vectors[:, :width], precision)
        assert got.dtype == (np.int8 if precision == "binary" else np.uint8)
        np.testing.assert_array_equal(got, quantized[key])
        np.testing.assert_array_equal(quantize_embeddings(vectors[2, :width], precision), quantized[key][2])


def test_quantize_refuses_what_it_cannot_do(quantized):
    vectors = quantized["vectors"]
    assert quantize_embeddings(vectors, "float32").dtype == np.float32
    with pytest.raises(InputError, match="int4"):
        quantize_embeddings(vectors, "int4")
    with pytest.raises(InputError, match="ranges"):
        quantize_embeddings(vectors, "int8", ranges=quantized["ranges"][:, :7])
    with pytest.raises(InputError, match="ranges"):
        quantize_embeddings(vectors[0], "uint8")
    with pytest.raises(InputError, match="float"):
        quantize_embeddings(quantize_embeddings(vectors, "uint8"), "binary")
    for one in (vectors[0], vectors[:1], vectors[:0]):
        for precision in ("int8", "uint8"):
            with pytest.raises(InputError, match=r"at least two rows: one has no range \(or give ranges\)"):
                quantize_embeddings(one, precision)
    assert quantize_embeddings(vectors[:0], "ubinary").shape == (0, 3)
    assert quantize_embeddings(vectors[:0], "int8", ranges=quantized["ranges"]).shape == (0, 24)


def test_goldens_say_where_they_come_from(tiny_bert, quantized):
    for file in (tiny_bert, quantized):
        assert {"torch", "transformers", "sentence-transformers"} <= set(json.loads(str(file["about"]))["versions"])


@pytest.mark.parametrize("width", [1536, 3072])
def test_vectors_from_elsewhere(width):
    """As wide as those of hosted models: every column, or byte of bits, is what it is in a narrower array."""
    rng = np.random.default_rng(15)
    vectors, other = rng.standard_normal((2, 7, width)).astype(np.float32)
    assert truncate_embeddings(vectors, 256).tolist() == vectors[:, :256].tolist()
    assert truncate_embeddings(vectors[0], width).shape == (width,)
    ranges = np.stack([other.min(axis=0), other.max(axis=0)])
    for precision in ("int8", "uint8"):
        whole = quantize_embeddings(vectors, precision, ranges=ranges)
        for options in ({"calibration_embeddings": other}, {"ranges": ranges.astype(np.float64)}):
            np.testing.assert_array_equal(quantize_embeddings(vectors, precision, **options), whole)
        for part in (slice(0, 24), slice(700, 713), slice(width - 5, width)):
            narrow = quantize_embeddings(vectors[:, part], precision, ranges=ranges[:, part])
            np.testing.assert_array_equal(whole[:, part], narrow)
    bits = quantize_embeddings(vectors, "ubinary")
    assert bits.shape == (7, width // 8) and bits.dtype == np.uint8
    np.testing.assert_array_equal(np.unpackbits(bits, axis=1), vectors > 0)
    np.testing.assert_array_equal(quantize_embeddings(vectors, "binary"), bits.astype(int) - 128)
    for dim in (0, width + 1):
        with pytest.raises(InputError, match=str(width)):
            truncate_embeddings(vectors, dim)
