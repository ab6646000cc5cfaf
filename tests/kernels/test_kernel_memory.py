"""Nothing is read or written beyond an array, and nothing depends on what lies in a buffer.

Every array ends at the edge of readable memory, where one byte more ends the process.
"""

import subprocess
import sys
import textwrap

import pytest
from places import SUPPORT

AT_THE_EDGE = """
import ctypes, dataclasses, mmap, os, sys
import numpy as np
from minembed.transformer.config import Config
from minembed.kernels.compiled.just_in_time import JIT
from minembed.kernels.encoder import tier
from minembed.kernels.encoder.selftest import random_params
from minembed.transformer.quantization import lower
from minembed.transformer.tokens import Tokens

libc, kept = ctypes.CDLL(None), []

def at_the_edge(array):
    "A copy whose last byte is the last of readable memory."
    pages = -(-array.nbytes // mmap.PAGESIZE)
    memory = mmap.mmap(-1, (pages + 1) * mmap.PAGESIZE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    assert libc.mprotect(ctypes.c_void_p(start + pages * mmap.PAGESIZE), ctypes.c_size_t(mmap.PAGESIZE), 0) == 0
    copy = np.frombuffer(memory, array.dtype, array.size, pages * mmap.PAGESIZE - array.nbytes)
    copy[:] = array
    copy.flags.writeable = array.flags.writeable
    kept.append(memory)
    return copy

def spoiled(scratch):
    "Buffers full of what must not matter."
    scratch.floats[:] = np.nan
    scratch.zero_points[:] = 2**31 - 1
    scratch.operand[:] = 0x7FC0 if scratch.operand.dtype == np.uint16 else 255
    return scratch

make = tier.Scratch.make

class Guarded:
    "Functions that get all their arrays at the edge."

    backend, compile, is_compiled = "numba", JIT.compile, JIT.is_compiled

    def bind(self, name, fixed):
        def call(*given):
            rest = iter(given)
            arguments = [fixed[i] if i in fixed else next(rest) for i in range(len(fixed) + len(given))]
            guarded = [at_the_edge(a) if isinstance(a, np.ndarray) else a for a in arguments]
            JIT[name](*guarded)
            arguments[-1][:] = guarded[-1]

        return call

rng = np.random.default_rng(31)
for dtype in sys.argv[1:]:
    for heads, size, F in ((2, 20, 52), (2, 100, 300), (3, 21, 65), (5, 7, 37), (1, 1, 1), (4, 32, 192)):
        config = Config(29, heads * size, 2, heads, F, 64, 2, "gelu", 1e-12)
        tier.Scratch.make = make
        lowered = lower(random_params(config), dtype)
        model, edged = (tier.pack_on_vectors(lowered, config, dtype, entries) for entries in (JIT, Guarded()))
        for lengths in ([1], [2, 5], [64, 1, 33, 16, 17, 64, 31, 15, 14, 13]):
            T = sum(lengths)
            ids = np.append(rng.integers(0, 29, T - 1), 28)
            tokens = Tokens(ids, rng.integers(0, 2, T), np.cumsum([0, *lengths]))
            tier.Scratch.make = make
            expected = model(tokens)
            tier.Scratch.make = lambda *a: spoiled(make(*a))
            assert edged(tokens).tobytes() == expected.tobytes(), (dtype, heads, size, F, lengths)
            model.idle.clear()
            edged.idle.clear()
    assert len(JIT["run_int8"].overloads) <= 3, "another type of array was compiled"
print("alive", flush=True)
os._exit(0)  # the arrays lie in memory that Python would give back before them
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect is called as on Linux")
def test_every_array_ends_at_the_edge_of_memory():
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(AT_THE_EDGE), "float32", "bfloat16", "int8"]
    found = subprocess.run(command, capture_output=True, text=True, cwd=SUPPORT)
    assert (found.returncode, found.stdout) == (0, "alive\n"), found.stderr
