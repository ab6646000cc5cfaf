"""Weights files: every bit pattern, and every layout and spelling that is in use."""

import json
import shutil
import struct

import numpy as np
import pytest
from faults import SMALL, assert_same, parameters, write_raw
from safetensors.numpy import load_file, save_file
from tiny import write_tiny_checkpoint

from minembed.errors import WeightsError
from minembed.transformer.params import Linear
from minembed.weights.tensors import TensorFiles

QUERY = "encoder.layer.0.attention.self.query.weight"


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A very small checkpoint, its parameters and its tensors; copy the folder before changing it."""
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("small"), **SMALL)
    return folder, parameters(folder), load_file(folder / "model.safetensors")


@pytest.fixture
def copy(small, tmp_path):
    """A copy of the very small checkpoint."""
    return shutil.copytree(small[0], tmp_path / "copy")


# ---- numbers ----


def by_the_book(pattern, exponent_bits, fraction_bits):
    """The value of a floating-point pattern, from the definition of IEEE 754, in Python's float64."""
    sign = -1.0 if pattern >> (exponent_bits + fraction_bits) else 1.0
    exponent = pattern >> fraction_bits & ((1 << exponent_bits) - 1)
    fraction = (pattern & ((1 << fraction_bits) - 1)) / (1 << fraction_bits)
    bias = (1 << (exponent_bits - 1)) - 1
    return sign * (fraction * 2.0 ** (1 - bias) if exponent == 0 else (1 + fraction) * 2.0 ** (exponent - bias))


@pytest.mark.parametrize(("dtype", "bits"), [("F16", (5, 10)), ("BF16", (8, 7))])
def test_every_finite_half_is_read_exactly(tmp_path, dtype, bits):
    top = ((1 << bits[0]) - 1) << bits[1]
    finite = [p for p in range(65536) if p & top != top]
    content = np.array(finite, "<u2").tobytes()
    write_raw(tmp_path / "model.safetensors", {"i": ("I8", [1], b"1"), "x": (dtype, [2, len(finite) // 2], content)})
    found = TensorFiles.open(tmp_path).read("x")
    assert found.dtype == np.float32 and found.shape == (2, len(finite) // 2)
    expected = np.array([by_the_book(p, *bits) for p in finite], np.float32)  # exact: fewer bits than float32 has
    np.testing.assert_array_equal(found.view(np.uint32).ravel(), expected.view(np.uint32))  # as bits: -0 is not 0


@pytest.mark.parametrize("low", [0x0000, 0x0001, 0xFFFF, 0x5A5A])
def test_every_upper_half_of_float32_is_read_as_it_is(tmp_path, low):
    patterns = np.array([p << 16 | low for p in range(65536) if p & 0x7F80 != 0x7F80], "<u4")
    write_raw(tmp_path / "model.safetensors", {"x": ("F32", [len(patterns)], patterns.tobytes())})
    np.testing.assert_array_equal(TensorFiles.open(tmp_path).read("x").view(np.uint32), patterns)


@pytest.mark.parametrize(
    ("dtype", "kind", "patterns"),
    [
        ("F16", "<u2", [p for p in range(65536) if p & 0x7C00 == 0x7C00]),
        ("BF16", "<u2", [p for p in range(65536) if p & 0x7F80 == 0x7F80]),
        ("F32", "<u4", [p << 16 | low for p in range(65536) if p & 0x7F80 == 0x7F80 for low in (0, 1, 0xFFFF)]),
    ],
)
def test_every_nan_and_infinity_is_refused_with_its_place(tmp_path, dtype, kind, patterns):
    for start in range(0, len(patterns), 64):
        some = patterns[start : start + 64]
        content = {f"w{p}": (dtype, [2, 3], np.array([0, 0, 0, 0, p, p], kind).tobytes()) for p in some}
        write_raw(tmp_path / "model.safetensors", content)
        files = TensorFiles.open(tmp_path)
        for p in some:
            with pytest.raises(WeightsError, match=rf"'w{p}' holds 2 NaN or infinite values, .* index \(1, 1\)"):
                files.read(f"w{p}")


def test_empty_and_scalar_tensors(tmp_path):
    write_raw(
        tmp_path / "model.safetensors",
        {"none": ("F32", [0, 3], b""), "none16": ("BF16", [3, 0], b""), "one": ("F32", [], struct.pack("<f", 1.5))}
        | {"one16": ("BF16", [], b"\xc0\x3f")},
    )
    files = TensorFiles.open(tmp_path)
    assert files.read("none").shape == (0, 3) and files.read("none16").shape == (3, 0)
    assert files.read("one").tolist() == files.read("one16").tolist() == 1.5


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_a_whole_checkpoint_in_halves(small, copy, dtype):
    _, _, tensors = small
    halves, rounded = {}, {}
    for name, array in tensors.items():
        if dtype == "F16":
            bits = array.astype(np.float16).view(np.uint16)
            rounded[name] = bits.view(np.float16).astype(np.float32)
        else:
            bits = (array.view(np.uint32) >> 16).astype(np.uint16)
            rounded[name] = (array.view(np.uint32) & 0xFFFF0000).view(np.float32)
        halves[name] = (dtype, list(array.shape), bits.tobytes())
    write_raw(copy / "model.safetensors", halves)
    params = parameters(copy)
    save_file(rounded, copy / "model.safetensors")
    assert_same(params, parameters(copy))


def test_weights_are_turned_and_laid_side_by_side(small):
    _, params, tensors = small
    layer, name = params.layers[0], "encoder.layer.0.{}.{}".format
    parts = ["attention.self.query", "attention.self.key", "attention.self.value"]
    np.testing.assert_array_equal(layer.qkv.weight.T, np.concatenate([tensors[name(p, "weight")] for p in parts]))
    np.testing.assert_array_equal(layer.qkv.bias, np.concatenate([tensors[name(p, "bias")] for p in parts]))
    for linear, part in (
        (layer.attention_output, "attention.output.dense"),
        (layer.intermediate, "intermediate.dense"),
        (layer.output, "output.dense"),
    ):
        assert isinstance(linear, Linear) and linear.weight.flags["C_CONTIGUOUS"]
        np.testing.assert_array_equal(linear.weight, tensors[name(part, "weight")].T)
        np.testing.assert_array_equal(linear.bias, tensors[name(part, "bias")])
    np.testing.assert_array_equal(params.embeddings.word, tensors["embeddings.word_embeddings.weight"])
    np.testing.assert_array_equal(layer.output_norm.bias, tensors[name("output.LayerNorm", "bias")])


# ---- names ----


@pytest.mark.parametrize("prefix", ["", "bert.", "auto_model.", "0.auto_model."])
@pytest.mark.parametrize("legacy", [False, True])
def test_prefixes_and_old_spellings(small, copy, prefix, legacy):
    _, params, tensors = small

    def spelt(name):
        if legacy:
            name = name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
        return prefix + name

    save_file({spelt(name): array for name, array in tensors.items()}, copy / "model.safetensors")
    assert_same(parameters(copy), params)


def test_heads_and_position_ids_are_left_aside(small, copy):
    _, params, tensors = small
    extra = {"pooler.dense.weight": np.ones((8, 8)), "cls.predictions.bias": np.full(3, np.nan, np.float32)}
    extra["embeddings.position_ids"] = np.arange(8)[None]
    save_file(tensors | extra, copy / "model.safetensors")
    assert_same(parameters(copy), params)


def test_one_tensor_under_two_names(small, copy):
    _, _, tensors = small
    save_file(tensors | {f"bert.{QUERY}": tensors[QUERY]}, copy / "model.safetensors")
    with pytest.raises(WeightsError, match="are the same tensor"):
        parameters(copy)


def test_each_tensor_removed_in_turn(small, copy):
    _, _, tensors = small
    for name in tensors:
        save_file({other: array for other, array in tensors.items() if other != name}, copy / "model.safetensors")
        with pytest.raises(WeightsError, match=r"1 fault") as caught:
            parameters(copy)
        assert f"{name} is missing" in str(caught.value)


def test_each_tensor_misshapen_in_turn(small, copy):
    _, _, tensors = small
    for name, array in tensors.items():
        for wrong in (array[1:], array[None], np.concatenate([array, array])):
            save_file(tensors | {name: np.ascontiguousarray(wrong)}, copy / "model.safetensors")
            with pytest.raises(WeightsError, match=r"1 fault") as caught:
                parameters(copy)
            assert f"{name} has shape {wrong.shape}, expected {array.shape}" in str(caught.value)


def test_all_faults_in_one_error(small, copy):
    _, _, tensors = small
    names = list(tensors)
    missing, misshapen = names[::3], names[1::3]
    kept = {name: array for name, array in tensors.items() if name not in missing}
    kept |= {name: tensors[name][:1, ...].repeat(3, axis=0) for name in misshapen} | {"something.else": np.ones(1)}
    save_file(kept, copy / "model.safetensors")
    with pytest.raises(WeightsError) as caught:
        parameters(copy)
    message = str(caught.value)
    assert all(f"{name} is missing" in message for name in missing)
    assert all(f"{name} has shape" in message for name in misshapen)
    assert "something.else is unknown" in message and f"({len(missing) + len(misshapen) + 1} faults)" in message


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_planted_in_each_tensor_in_turn(small, copy, value):
    _, _, tensors = small
    for name, array in tensors.items():
        bad, place = array.copy(), tuple(n - 1 for n in array.shape)
        bad[place] = value
        save_file(tensors | {name: bad}, copy / "model.safetensors")
        with pytest.raises(WeightsError, match="holds 1 NaN or infinite") as caught:
            parameters(copy)
        assert repr(name) in str(caught.value) and str(place) in str(caught.value)


@pytest.mark.parametrize(
    ("dtype", "size"), [("I64", 8), ("I32", 4), ("I8", 1), ("U16", 2), ("BOOL", 1), ("F8_E4M3", 1)]
)
def test_other_dtypes_are_refused_where_needed(small, copy, dtype, size):
    _, params, tensors = small
    rest = {name: ("F32", list(a.shape), a.tobytes()) for name, a in tensors.items()}
    write_raw(copy / "model.safetensors", rest | {"pooler.dense.bias": (dtype, [8], bytes(8 * size))})
    assert_same(parameters(copy), params)
    write_raw(copy / "model.safetensors", rest | {QUERY: (dtype, [8, 8], bytes(64 * size))})
    with pytest.raises(WeightsError, match=rf"{QUERY}' is {dtype}"):
        parameters(copy)


def test_float64_is_rounded_to_float32(small, copy):
    _, params, tensors = small
    wide = {name: array.astype(np.float64) for name, array in tensors.items()}
    save_file(wide, copy / "model.safetensors")
    assert_same(parameters(copy), params)
    wide[QUERY] = wide[QUERY] * (1 + 2.0**-30)  # nearer to the float32 below than to any other
    save_file(wide, copy / "model.safetensors")
    assert_same(parameters(copy), params)
    wide[QUERY][1, 2] = 1e39
    save_file(wide, copy / "model.safetensors")
    with pytest.raises(WeightsError, match=rf"{QUERY}' holds numbers beyond float32"):
        parameters(copy)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod.", "encoder_of_mine."])
def test_the_prefix_of_a_wrapper_is_named(small, copy, prefix):
    save_file({prefix + name: array for name, array in small[2].items()}, copy / "model.safetensors")
    with pytest.raises(WeightsError, match=rf"all tensors begin with '{prefix}', which a wrapper") as caught:
        parameters(copy)
    assert len(str(caught.value)) < 500 and "is unknown" not in str(caught.value)


# ---- shards ----


def write_shards(folder, tensors, n=3):
    (folder / "model.safetensors").unlink()
    names = list(tensors)
    weight_map = {name: f"model-{i % n + 1:05d}-of-{n:05d}.safetensors" for i, name in enumerate(names)}
    for shard in set(weight_map.values()):
        save_file({name: tensors[name] for name in names if weight_map[name] == shard}, folder / shard)
    write_index(folder, weight_map)
    return weight_map


def write_index(folder, weight_map):
    index = {"metadata": {"total_size": 1}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards(small, copy):
    write_shards(copy, small[2])
    assert_same(parameters(copy), small[1])


def test_a_shard_with_a_name_that_is_too_long(copy):
    (copy / "model.safetensors").unlink()
    index = {"weight_map": {"a": "n" * 300 + ".safetensors"}}
    (copy / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="cannot name a file"):
        parameters(copy)


def test_a_shard_is_missing(small, copy):
    write_shards(copy, small[2])
    (copy / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model-00002-of-00003.safetensors is missing"):
        parameters(copy)


def test_a_shard_is_cut(small, copy):
    write_shards(copy, small[2])
    shard = copy / "model-00003-of-00003.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(WeightsError, match=r"model-00003-of-00003.safetensors"):
        parameters(copy)


def test_a_shard_lacks_what_the_index_says(small, copy):
    weight_map = write_shards(copy, small[2])
    write_index(copy, weight_map | {"encoder.layer.9.missing": "model-00001-of-00003.safetensors"})
    with pytest.raises(WeightsError, match=r"encoder\.layer\.9\.missing"):
        parameters(copy)


@pytest.mark.parametrize(
    "name", ["../a.safetensors", "/a.safetensors", "b/a.safetensors", "a\\b.safetensors", "a.bin", ""]
)
def test_shards_lie_in_the_folder(small, copy, name):
    save_file(small[2], copy.parent / "a.safetensors")
    (copy / "model.safetensors").unlink()
    write_index(copy, dict.fromkeys(small[2], name))
    with pytest.raises(WeightsError, match="not a plain"):
        parameters(copy)


INDEXES = [b"", b"[]", b"{}", b'{"weight_map": []}', b'{"weight_map": {"a": 1}}', b'{"weight_map": {"a": "b', b"\xff"]
INDEXES += [b"[" * 99999, b'{"weight_map": {"a": "x.safetensors", "a": "y.safetensors"}}']


@pytest.mark.parametrize("content", INDEXES, ids=lambda content: content[:40])
def test_damaged_index(copy, content):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors.index.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"model\.safetensors\.index\.json"):
        parameters(copy)
