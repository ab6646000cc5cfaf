"""Weights left as files store them, (out, in): kernels pack the same from them, and NumPy still gets (in, out)."""

import re
from dataclasses import fields

import numpy as np
import pytest
from golden_families import NAMES, read, write_checkpoint

from minembed.errors import WeightsError
from minembed.kernels.encoder.packing import pack
from minembed.runtime import backend
from minembed.transformer.params import contiguous
from minembed.transformer.quantization import lower
from minembed.transformer.tier import prepare
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import open_tensors, read_params
from minembed.weights.layout import named

STORED = ("qkv.weight", "attention_output.weight", "intermediate.weight", "output.weight")


@pytest.fixture(params=NAMES)
def checkpoint(request, tmp_path):
    return read_checkpoint(write_checkpoint(read(request.param), tmp_path / "model"))


@pytest.mark.parametrize("columns", [16, 32])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_the_same_is_packed(checkpoint, dtype, columns):
    config = checkpoint.config
    usual, stored = (pack(lower(read_params(checkpoint, x), dtype), config, dtype, columns) for x in (False, True))
    for field in fields(usual):
        one, other = getattr(usual, field.name), getattr(stored, field.name)
        if isinstance(one, np.ndarray):
            assert one.dtype == other.dtype and one.tobytes() == other.tobytes(), field.name
        else:
            assert one == other


def test_only_linear_weights_of_layers_are_transposed(checkpoint):
    """Embeddings are computed by NumPy, and are kept after the others have been packed: nothing may hold these."""
    usual, stored = dict(named(read_params(checkpoint))), dict(named(read_params(checkpoint, as_stored=True)))
    assert usual.keys() == stored.keys()
    blocks = set()
    for name, array in stored.items():
        np.testing.assert_array_equal(array, usual[name], err_msg=name)
        turned = name.startswith("layers.") and name.endswith(STORED)
        assert array.flags.f_contiguous if turned else array.flags.c_contiguous, name
        if turned:
            blocks.add(id(_owner(array)))
    assert len(blocks) == 1 and not {id(_owner(a)) for n, a in stored.items() if "embeddings" in n} & blocks


def _owner(array):
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def test_numpy_computes_with_contiguous_weights(checkpoint):
    """So its bits do not depend on how they were read; layers that share weights still do."""
    usual, stored = (prepare(read_params(checkpoint, x), checkpoint.config, "float32").params for x in (False, True))
    for (name, one), (_, other) in zip(named(usual), named(stored), strict=True):
        assert other.flags.c_contiguous and one.tobytes() == other.tobytes(), name
    weights = [{id(layer.qkv.weight) for layer in params.layers} for params in (usual, stored)]
    assert len(weights[0]) == len(weights[1])
    assert contiguous(usual).layers[0].qkv.weight is usual.layers[0].qkv.weight


def test_a_backend_that_fails_leaves_its_work_to_numpy(checkpoint, monkeypatch):
    monkeypatch.setattr(backend, "check", lambda chosen: 1 / 0)
    with pytest.warns(UserWarning, match="ZeroDivisionError"):
        _, tier = backend.prepare("numba", read_params(checkpoint, as_stored=True), checkpoint.config, "float32")
    assert all(array.flags.c_contiguous for _, array in named(tier.params))


def test_threads_read_the_same(checkpoint):
    one, other = (dict(named(read_params(checkpoint, as_stored=True, threads=n))) for n in (1, 3))
    assert one.keys() == other.keys() and all(one[name].tobytes() == other[name].tobytes() for name in one)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_damaged_is_named_whoever_reads_it(checkpoint, threads):
    files = open_tensors(checkpoint)
    name, entry = max(files.stored.items(), key=lambda item: np.prod(item[1].shape))
    with entry.file.open("r+b") as file:
        file.seek(entry.offset)
        file.write(np.float32(np.nan).tobytes())
    with pytest.raises(WeightsError, match=f"{re.escape(name)}.* holds 1 NaN"):
        read_params(checkpoint, as_stored=True, threads=threads)


def test_reading_into_an_array(checkpoint):
    files = open_tensors(checkpoint)
    for name, entry in files.stored.items():
        if entry.dtype == "F32":
            out = np.full(entry.shape, 7, np.float32)
            assert np.may_share_memory(files.read(name, out), out) or not out.size
            assert out.tobytes() == files.read(name).tobytes()
