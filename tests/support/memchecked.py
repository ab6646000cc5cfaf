"""Calls of a compiled library for valgrind's memcheck to watch: each array is a block of its own, of just its size.

    valgrind --xml=yes --xml-file=FILE python memchecked.py PART VARIANT FOLDER SEED NUMBER

The library of the variant is in FOLDER.  PART: encode, search, train; or what memcheck must find: too_short, undefined.
What the kernels get to work in is marked as undefined, so what they use before they wrote it is an error, and their
results must be defined.  Numba is not imported: memcheck would watch its compiler.
"""

import ctypes
import mmap
import sys
import weakref
from pathlib import Path

import numpy as np

LIBC = ctypes.CDLL(None)
LIBC.malloc.restype, LIBC.malloc.argtypes, LIBC.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
UNDEFINED, CHECK = 0x4D430001, 0x4D430005  # memcheck.h: VALGRIND_MAKE_MEM_UNDEFINED, VALGRIND_CHECK_MEM_IS_DEFINED
# valgrind.h: a request is in rax; four rotations that do nothing, and an exchange that does nothing, hand it over
ASK = "4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3"
_code = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
_code.write(bytes.fromhex(ASK))
_ask = ctypes.CFUNCTYPE(ctypes.c_uint64, ctypes.c_void_p)(ctypes.addressof(ctypes.c_char.from_buffer(_code)))


def request(code, array):
    """Ask valgrind about the memory of an array; 0 also where there is no valgrind."""
    words = (ctypes.c_uint64 * 6)(code, array.ctypes.data, array.nbytes)
    return _ask(ctypes.addressof(words))


def exact(size, dtype):
    """An array of zeros in a block of just its size."""
    nbytes = int(size) * np.dtype(dtype).itemsize
    place = LIBC.malloc(max(nbytes, 1))
    memory = (ctypes.c_char * nbytes).from_address(place)
    weakref.finalize(memory, LIBC.free, place)
    array = np.frombuffer(memory, dtype, size)
    array[...] = 0
    return array


def use_target(name):
    """Let this process be one whose CPU is of a variant."""
    from minembed.kernels.compiled.variants import VARIANTS
    from minembed.kernels.tiles import permission
    from minembed.kernels.vectors import target

    target.TARGET = permission.TARGET = VARIANTS[name].target


def entries_of(name, folder):
    """The functions of a library, which get copies of their arrays; encoders get arrays that are exact already."""
    use_target(name)
    from guarded import Guarded

    from minembed.kernels.compiled.ahead_of_time import open_variant

    class Copied(Guarded):
        def _fence(self, value):
            if isinstance(value, tuple) and any(isinstance(each, np.ndarray) for each in value):
                return tuple(map(self._fence, value))
            if not isinstance(value, np.ndarray):
                return value
            copy = exact(value.size, value.dtype).reshape(value.shape)
            copy[...] = value
            copy.flags.writeable = value.flags.writeable
            return copy

    return Copied(open_variant(name, Path(folder)), "")


def check_defined(*arrays, of=()):
    """Every bit of a result was computed."""
    for array in map(np.ascontiguousarray, arrays):
        place = request(CHECK, array)
        assert place == 0, ("undefined", (place - array.ctypes.data) // array.itemsize, array.shape, of)


def encode(entries, seed, number):
    """Encoders of random architectures, and one of a real shape, in each type: alone, on two cores, and one row."""
    from any_encoder import Architecture, architecture_of, params_of, tokens_of

    from minembed.kernels.encoder import packing

    packing.aligned = exact  # before the others import it
    from minembed.kernels.encoder import prepared, tier
    from minembed.transformer.config import Config
    from minembed.transformer.quantization import lower

    prepared.SHARED_WORK, make, dice = 0, tier.Encoder._make, np.random.default_rng(seed)

    def undefined(own, rows):
        room = make(own, rows)
        # bytes behind a row of 155 are multiplied by weights of 0, which memcheck calls undefined: apart.py tries them
        for array in (room.floats, room.zero_points, room.operand)[: 2 if own.packed.dtype == "int8" else 3]:
            request(UNDEFINED, array)
        return room

    tier.Encoder._make = undefined
    own, real = entries.entries, Architecture(Config(29, 384, 1, 12, 1536, 64, 2, "gelu", 1e-12))
    for i in range(number):
        if i % 5 == 0:
            dtype = ("float32", "bfloat16", "int8")[i // 5 % 3]
            architecture = real if i // 5 % 7 == 6 else architecture_of(seed * 1000 + i, positions=80)
            encoder = tier.pack_on_vectors(lower(params_of(architecture), dtype), architecture.config, dtype, own)
        longest = 12 if architecture is real else int(dice.choice([3, 20, 70]))
        lengths = dice.integers(1, longest + 1, int(dice.integers(1, 4))).tolist()
        tokens = tokens_of(lengths, architecture.config, seed=i)
        for way in range(3):
            encoder.idle.clear()
            found = encoder.one_row(tokens, "lasttoken") if way == 2 else encoder(tokens, together=way == 1)
            check_defined(found, of=(i, way, dtype, architecture))


def search(entries, seed, number):
    """Searches on rows and on bytes, in each metric."""
    from minembed.kernels.encoder import packing

    packing.aligned = exact
    import guarded

    from minembed.kernels.topk import tier

    for wanted, corpus, copy in guarded.searches(seed, number, rows=300, width=150, queries=12):
        which, row = tier.scan(wanted, corpus, 1, copy, entries)
        check_defined(which, row, tier.rescore(wanted, corpus, which, row, 1, entries))


def train(entries, seed, number):
    """All that a training step computes, and the optimiser."""
    import guarded

    guarded.train(entries, seed, number, (70, 90, 6), check_defined)


def too_short(entries, seed, number):
    """A call with arrays that are one number too short."""
    x, y = (exact(31, np.float32) for _ in range(2))
    entries.entries["gelu_rows"](x, 32, y)


def undefined(entries, seed, number):
    """A result that was computed from what nobody wrote: an AssertionError."""
    x, y = (exact(32, np.float32) for _ in range(2))
    entries.entries["gelu_rows"](x, 32, y)
    check_defined(y)
    request(UNDEFINED, x)
    entries.entries["gelu_rows"](x, 32, y)
    check_defined(y)


if __name__ == "__main__":
    part, variant, folder, *numbers = sys.argv[1:]
    globals()[part](entries_of(variant, folder), *map(int, numbers))
    print("whole")
