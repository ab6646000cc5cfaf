"""Compiled kernels come from disk without Numba's compiler, and a stored model's weights lie in memory once."""

import mmap
from dataclasses import replace

import numpy as np
import pytest
from kernel_store import loaded, twice
from processes import python
from tiny import write_int8

from minembed.kernels.compiled import cache as cached
from minembed.kernels.encoder import packing
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params


@pytest.fixture(scope="module")
def folder(tiny_checkpoint, tmp_path_factory):
    """The tiny checkpoint, stored as int8."""
    return write_int8(tiny_checkpoint, tmp_path_factory.mktemp("stored") / "int8")


LOAD = """
import sys
import numba
import numpy as np
from minembed import Embedder
from minembed.kernels.encoder import tier
if tier.on_tiles():
    from minembed.kernels.encoder.tiled.run import run_tiled as run
else:
    from minembed.kernels.encoder.run import run
model = Embedder.load(sys.argv[1], backend="numba")
before = model.encode(["the cat", "rain and sun"])
print(sum(run.stats.cache_misses.values()), len(run.overloads), "numba.np.linalg" in sys.modules)
total = numba.njit(lambda x: np.sort(x).sum())(np.arange(5.0))  # the compiler comes when somebody wants it
print(total, "numba.np.linalg" in sys.modules, (model.encode(["the cat", "rain and sun"]) == before).all())
"""


def test_a_stored_model_needs_one_set_of_kernels_and_no_compiler(folder):
    python(LOAD, folder)  # compiled by now
    if not cached.folder().is_dir():
        pytest.skip("this machine keeps no compiled kernels")
    assert python(LOAD, folder) == ["0 1 False", "10.0 True True"]


@pytest.mark.parametrize("known", [True, False])
def test_the_compiler_comes_where_something_is_not_known(cache, monkeypatch, known):
    """LLVM ends the process where it misses a function, so it is asked before."""
    assert loaded() == "compiled"
    kernel, refreshed = twice(), []
    if not known:
        monkeypatch.setattr(cached.llvm, "address_of_symbol", lambda name: None)
    monkeypatch.setattr(type(kernel.targetctx), "refresh", lambda self: refreshed.append(self))
    kernel.compile((cached.numba.int64,))
    assert sum(kernel.stats.cache_hits.values()) == 1 and bool(refreshed) != known
    assert kernel(21) == 42


def test_what_is_kept_of_a_function(cache):
    """Its machine code and names; no code for linking."""
    kernel = twice()
    kernel.compile((cached.numba.int64,))
    (made,) = kernel.overloads.values()
    (_, _, (code, names)), *_ = kernel._cache._impl.reduce(made)
    module = cached.llvm.parse_bitcode(names)
    defined = [f.name for f in module.functions if not f.is_declaration]
    assert defined == [made.fndesc.llvm_cpython_wrapper_name] and len(code) > len(names)
    assert "PyLong_AsLongLong" in {f.name for f in module.functions}


def test_weights_are_packed_layer_by_layer(folder):
    checkpoint = read_checkpoint(folder)
    params, config = read_params(checkpoint), checkpoint.config
    assert config.num_hidden_layers > 1
    made = packing.pack(params, config, "int8", 32)
    at = 0
    for layer in params.layers:
        linears = packing.by_heads(layer.qkv, config, 32), layer.attention_output, layer.intermediate, layer.output
        for p in linears:
            levels = packing.panels(p.levels, 32, 4, len(p.levels))
            np.testing.assert_array_equal(made.weights[at : at + len(levels)], levels)
            at += len(levels)
    assert at == len(made.weights)
    tables = made.scales, made.sums, made.vectors, made.word_scales, made.position, made.token_type, made.norm
    assert all(table.flags.writeable for table in tables) and not made.word.flags.writeable


@pytest.mark.skipif(not hasattr(mmap.mmap, "madvise"), reason="pages cannot be given back here")
def test_only_pages_that_are_on_disk_are_let_go(folder):
    params = read_params(read_checkpoint(folder))
    levels = params.layers[0].qkv.levels
    before = levels.copy()
    packing.release(params.layers[0])
    np.testing.assert_array_equal(levels, before)
    memory = mmap.mmap(-1, before.size)
    changed = np.frombuffer(memory, np.int8).reshape(before.shape)
    changed[:] = before
    layer = replace(params.layers[0], qkv=replace(params.layers[0].qkv, levels=changed))
    packing.release(layer)
    np.testing.assert_array_equal(changed, before)
