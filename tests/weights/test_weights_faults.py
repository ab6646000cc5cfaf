"""Weights files that are something else, or damaged: a WeightsError that says so, and nothing else."""

import random
import re
import shutil

import numpy as np
import pytest
from faults import SMALL, arrays, assert_same, mutate_safetensors, parameters, write_raw
from safetensors import SafetensorError, safe_open
from tiny import write_tiny_checkpoint

from minembed.errors import MinembedError, WeightsError
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params
from minembed.weights.tensors import TensorFiles

# what we refuse though the reference reads it; anything else refused is a reader that is too strict
STRICTER = (
    "is given twice|do not fit config.json|NaN or infinite|F32, F16 and BF16 are read|malformed header|cannot be read"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A very small checkpoint and its parameters; copy the folder before changing it."""
    folder = write_tiny_checkpoint(tmp_path_factory.mktemp("small"), **SMALL)
    return folder, parameters(folder)


@pytest.fixture
def copy(small, tmp_path):
    """A copy of the very small checkpoint."""
    return shutil.copytree(small[0], tmp_path / "copy")


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 90868376\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (POINTER, "Git LFS pointer"),
        (b"<!DOCTYPE html><html><head><title>404</title></head><body>Not found</body></html>", "web page"),
        (b"<html>\n  <head><title>503</title></head>\n</html>\n", "web page"),
        (b"PK\x03\x04" + bytes(2000), "zip archive or PyTorch"),
        (b"\x80\x02}q\x00(X\x06\x00\x00\x00weightq\x01" + bytes(2000), "pickle"),
        (b"\x80\x04\x95" + bytes(30), "pickle"),
        (b"", "cut short"),
        (b"\x00" * 7, "cut short"),
        (b'{"error": "Repository not found"}', "cut short"),
        (bytes(8), "header"),
        ((100_000_001).to_bytes(8, "little") + b"{}", "cut short"),
        ((1 << 63).to_bytes(8, "little") + b"{}", "cut short"),
        (b"\xff" * 16, "cut short"),
    ],
)
def test_something_else_in_place_of_the_weights(copy, content, message):
    (copy / "model.safetensors").write_bytes(content)
    with pytest.raises(WeightsError, match=message) as caught:
        parameters(copy)
    assert str(copy / "model.safetensors") in str(caught.value)


def test_a_folder_in_place_of_the_weights(copy):
    (copy / "model.safetensors").unlink()
    (copy / "model.safetensors").mkdir()
    with pytest.raises(WeightsError, match="cannot be read"):
        parameters(copy)


def test_no_weights_at_all(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"no model\.safetensors"):
        parameters(copy)


def test_only_a_pickle(copy):
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"\x80\x02cos\nsystem\nq\x00.")
    with pytest.raises(WeightsError, match=r"pytorch_model\.bin.*never opens.*convert it once"):
        parameters(copy)


def test_a_header_beyond_all_measure(copy):
    with (copy / "model.safetensors").open("wb") as file:  # a hole of 17 MB: it takes no room on disk
        file.write((17 << 20).to_bytes(8, "little") + b"{")
        file.truncate((18 << 20) + 8)
    with pytest.raises(WeightsError, match="header of 17825792 bytes"):
        parameters(copy)


def test_cut_at_every_length(small, copy):
    content = (small[0] / "model.safetensors").read_bytes()
    for size in [*range(0, len(content), 23), len(content) - 1]:
        (copy / "model.safetensors").write_bytes(content[:size])
        with pytest.raises(WeightsError):
            parameters(copy)


@pytest.mark.parametrize("blank", [" ", "\n", "\t", "\r"])
@pytest.mark.parametrize("low_byte", [b"<", b"\x80"])
def test_a_header_whose_length_looks_like_something_else(small, copy, blank, low_byte):
    """Headers may be padded, and a length whose lowest byte is that of a web page or a pickle is no such thing."""
    content = (copy / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    header = content[8:end].strip()
    pad = blank.encode() * ((low_byte[0] - len(header)) % 256 or 256)
    for padded in (header + pad, pad + header):
        (copy / "model.safetensors").write_bytes(len(padded).to_bytes(8, "little") + padded + content[end:])
        assert_same(parameters(copy), small[1])


# {F32 stands for what is said of a sound tensor of one number
MALFORMED = r"""
[]
null
"text"
{"x":{F32}
{"x":{F32}, "x":{F32}}
{"x":{F32,"dtype":"F32"}}
{"__metadata__":{"a":"b","a":"b"},"x":{F32}}
{"__metadata__":{"a":1},"x":{F32}}
{"__metadata__":[],"x":{F32}}
{"\ud800":{F32}}
{"x":{F32},"y":{F32}}
{"x":{F32},"y":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}}
{"x":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}}
{"x":{"dtype":1,"shape":[1],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[true],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":1,"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[NaN],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[4294967296,4294967296,4294967296],"data_offsets":[0,4]}}
{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}}
{"x":{"dtype":"F32","shape":[0],"data_offsets":[4,4]}}
{"x":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}
{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}}
{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}}
{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,3]}}
{"x":{"dtype":"F32","shape":[1]}}
{"x":[]}
{"x":null}
""".split("\n")[1:-1]
F32 = '"dtype":"F32","shape":[1],"data_offsets":[0,4]'
DEEP = '{"a":' * 5000 + "1" + "}" * 5000
MALFORMED += ["", "\ufeff{}", '{"x":{F32}}\0', DEEP, f'{{"x":{DEEP}}}']
MALFORMED += ['{"x":{"dtype":"F32","shape":[N],"data_offsets":[0,4]}}'.replace("N", "9" * 5000)]


@pytest.mark.parametrize("header", MALFORMED, ids=lambda header: header[:60])
def test_malformed_headers(tmp_path, header):
    write_header(tmp_path, header)
    with pytest.raises(WeightsError):
        TensorFiles.open(tmp_path)


@pytest.mark.parametrize(
    "header", ['{"x":{F32}}', ' \t\r\n{"x":{F32}} \n', '{"x":{F32},"__metadata__":null}', '{"":{F32}}']
)
def test_sound_headers(tmp_path, header):
    write_header(tmp_path, header)
    assert [t.shape for t in TensorFiles.open(tmp_path).stored.values()] == [(1,)]


def write_header(folder, header):
    """Write a file with this header and one number of data."""
    write_raw(folder / "model.safetensors", {"x": ("F32", [1], bytes(4))}, header.replace("{F32", "{" + F32).encode())


def test_a_shape_that_no_array_can_have(tmp_path):
    """The reference accepts it, since the product is 0, and fails in NumPy later."""
    entry = ("F32", [0, 2**63 - 1, 9], b"")
    write_raw(tmp_path / "model.safetensors", {"x": entry, "y": ("BF16", *entry[1:])})
    for name in "xy":
        with pytest.raises(WeightsError):
            TensorFiles.open(tmp_path).read(name)


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_file_that_shrinks_or_vanishes_after_it_was_opened(tmp_path, dtype):
    path, size = tmp_path / "model.safetensors", 4 if dtype == "F32" else 2
    write_raw(path, {"x": (dtype, [64], bytes(64 * size))})
    files = TensorFiles.open(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WeightsError):
        files.read("x")
    path.unlink()
    with pytest.raises(WeightsError):
        files.read("x")


def reference_reads(path):
    try:
        with safe_open(path, framework="np") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # a SafeOpen is no dict
    except SafetensorError:
        return None


def check_mutants(folder, content, params, seed, n):
    dice, path, outcomes = random.Random(seed), folder / "model.safetensors", {"read": 0, "refused": 0}
    shapes = [array.shape for array in arrays(params)]
    checkpoint = read_checkpoint(folder)
    for i in range(n):
        path.write_bytes(mutate_safetensors(dice, content))
        expected = reference_reads(path)
        try:
            found = arrays(read_params(checkpoint))
        except MinembedError as error:
            outcomes["refused"] += 1
            assert expected is None or re.search(STRICTER, str(error)), (seed, i, error)
            continue
        outcomes["read"] += 1
        assert expected is not None, (seed, i, "read, though the reference refuses it")
        assert [array.shape for array in found] == shapes, (seed, i)
        assert all(array.dtype == np.float32 and np.isfinite(array).all() for array in found), (seed, i)
    return outcomes


def test_mutated_files(small, copy):
    outcomes = check_mutants(copy, (small[0] / "model.safetensors").read_bytes(), small[1], seed=1, n=2000)
    assert min(outcomes.values()) > 100, outcomes  # neither side of the law is empty


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 12))
def test_many_mutated_files(small, copy, seed, amount):
    content = (small[0] / "model.safetensors").read_bytes()
    check_mutants(copy, content, small[1], amount.seed(seed), amount.rounds(10_000))
