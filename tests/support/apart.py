"""The parts of the encoder's workspaces, set apart by pages that nobody may touch: an overrun ends the process.

Python allocates a workspace as one array, and the kernels split it by `sizes` (kernels/encoder/workspace.py), so a page
behind the array finds no overrun from one part into the next.  Here the functions of sizes are replaced, before any
kernel is compiled, by others that leave room between the parts; the kernels are those that users run.  Parts are filled
with garbage, and the second time with other garbage: the bits must be the same.  Run it in a process of its own, with a
folder of its own for what Numba compiles:

    NUMBA_CACHE_DIR=new python apart.py rows SIDE KIND SEED FAMILIES STEP     every STEP-th number of rows up to 600
    NUMBA_CACHE_DIR=new python apart.py short SIDE KIND PART                  of which only the first page may be used
    python apart.py beyond SIDE PART NUMBER                                   reads NUMBER elements beyond a part's last

SIDE: end, or begin.  KIND: float32, bfloat16, int8, or tiled-bfloat16, tiled-int8, tiled-float32.
"""

import ctypes
import mmap
import random
import sys
from itertools import count, islice, pairwise

import numpy as np

LIBC = ctypes.CDLL(None, use_errno=True)
PAGE, NO_RIGHTS, ALL_RIGHTS = mmap.PAGESIZE, 0, mmap.PROT_READ | mmap.PROT_WRITE
GAP = 256 * PAGE  # elements between two parts: an index that is wrong by a million is found too
MOST = 600  # rows


class Fences:
    """How parts are set apart: the same in memory and in what the kernels compute."""

    def __init__(self, side):
        self.side, self.short, self.fill = side, None, 255

    def array(self, parts, dtype, short=None):
        """An array of parts of these sizes, filled with garbage, without rights to anything else; of the part `short`,
        only to its first page."""
        item, places, free = np.dtype(dtype).itemsize, [], GAP
        for size in parts:
            begin = free + (0 if self.side == "begin" else -size % PAGE)
            places.append((begin, begin + size))
            free = -(-(begin + size) // PAGE) * PAGE + GAP
        memory = mmap.mmap(-1, free * item)
        base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        self._allow(base, free * item, NO_RIGHTS)
        for i, (begin, end) in enumerate(places):
            first, last = (n * item // PAGE * PAGE for n in (begin, end + PAGE // item - 1))
            if begin < end:
                usable = PAGE if i == short else last - first
                self._allow(base + first, usable, ALL_RIGHTS)
                ctypes.memset(base + first, self.fill, usable)
        return np.frombuffer(memory, dtype, offset=places[0][0] * item)

    def _allow(self, address, size, rights):
        assert LIBC.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(size), rights) == 0, ctypes.get_errno()

    def padded(self, name, arguments, real, sizes):
        """The function `real` of sizes, or of one size, with the room that `array` leaves.  `sizes` are texts."""
        from numba.extending import register_jitable

        if self.side == "begin":
            parts = [f"{size} + -({size}) % {PAGE} + {GAP}" for size in sizes]
        else:
            follow = [*sizes[1:], sizes[-1]]
            parts = [f"{a} + {GAP} + -({b}) % {PAGE}" for a, b in zip(sizes, follow, strict=True)]
        scope = {"real": register_jitable(real)}
        result = f"({', '.join(parts)})" if len(parts) > 1 else parts[0]
        exec(f"def {name}({arguments}):\n    s = real({arguments})\n    return {result}\n", scope)
        return scope[name]


def set_apart(fences):
    """Replace the sizes of the encoder on vectors, and its buffers."""
    from minembed.kernels.encoder import workspace

    sizes, scales, elements = workspace.sizes, workspace.operand_scales, workspace.operand_elements
    of_all = [f"s[{i}]" for i in range(11)]
    workspace.operand_scales = fences.padded("operand_scales", "rows, shape", scales, ["s"])
    workspace.operand_elements = fences.padded("operand_elements", "rows, shape", elements, ["s"])

    def with_scales(rows, shape, gated):
        return (*sizes(rows, shape, gated)[:-1], scales(rows, shape))

    from numba.extending import register_jitable

    register_jitable(sizes), register_jitable(scales)
    workspace.sizes = fences.padded("sizes", "rows, shape, gated", with_scales, [*of_all, "s[11]"])
    from minembed.kernels.encoder import tier

    def make(rows, shape, gated, dtype):
        n, e = scales(rows, shape), 0 if dtype == "float32" else elements(rows, shape)
        floats = fences.array((*sizes(rows, shape, gated)[:-1], n, n), np.float32, fences.short)
        operand = fences.array((e, e), np.uint16 if dtype == "bfloat16" else np.uint8)
        return tier.Scratch(rows, floats, fences.array((n, n), np.int32), operand)

    tier.Encoder._make = lambda own, rows: make(rows, own.shape, own.architecture[tier.GATED], own.packed.dtype)
    from any_encoder import pack_on_vectors

    return pack_on_vectors


def set_apart_tiled(fences):
    """Replace the sizes of the encoder on tiles, and its buffers."""
    from minembed.kernels.encoder.tiled import workspace

    shared, own = workspace.shared_sizes, workspace.own_sizes
    for name, real, parts in (("shared_sizes", shared, 6), ("own_sizes", own, 11)):
        texts = [f"s[{i}]" for i in range(parts)]
        setattr(workspace, name, fences.padded(name, "rows, plan", real, texts))
    from minembed.kernels.encoder.tiled import tiled_encoder

    def make(encoder, rows):
        floats = fences.array(shared(rows, encoder.plan), np.float32, fences.short)
        both = (rows, min(rows, workspace.SHARED_ROWS))
        own_floats = tuple(fences.array(own(some, encoder.plan), np.float32) for some in both)
        own_job = tiled_encoder.Scratch.make(1, encoder.plan)
        return tiled_encoder.Scratch(rows, floats, own_floats, own_job.job, own_job.bounds)

    tiled_encoder.TiledEncoder._make = make
    from any_encoder import pack_on_tiles

    return pack_on_tiles


def maker_of(kind, fences):
    """A function from an architecture to an encoder whose buffers are set apart."""
    from minembed.kernels.encoder import prepared

    prepared.SHARED_WORK = 0  # a second core always helps
    tiled, dtype = kind.startswith("tiled-"), kind.removeprefix("tiled-")
    make = (set_apart_tiled if tiled else set_apart)(fences)
    from any_encoder import whole

    return lambda each: make(whole(each) if kind == "tiled-float32" else each, dtype)


def calls(encoder, lengths, fences, seed):
    """What one text or several give, in each way, from new buffers with garbage of both kinds."""
    from any_encoder import tokens_of

    tokens = tokens_of(lengths, encoder.config, seed)
    for way in (encoder, lambda t: encoder(t, together=True), lambda t: encoder.one_row(t, "cls")):
        found = []
        for fences.fill in (255, 0):
            encoder.idle.clear()
            found.append(way(tokens))
        assert np.isfinite(found[0]).all() and found[0].tobytes() == found[1].tobytes(), (lengths, seed)
        yield found[0]


def small_ones(seed, number):
    """Random architectures that compute 600 rows soon."""
    from any_encoder import architecture_of

    found = (architecture_of(1000 * seed + i, positions=MOST) for i in count())
    narrow = (each for each in found if each.config.hidden_size <= 130 and each.config.intermediate_size <= 100)
    return islice(narrow, number)


def rows(fences, kind, seed, families, step):
    """Every number of rows: as one text, and as several."""
    make, dice, done = maker_of(kind, fences), random.Random(seed), 0
    for family, architecture in enumerate(small_ones(seed, families)):
        encoder = make(architecture)
        for total in range(1 + family % step, MOST + 1, step):
            cuts = sorted({0, total, *(dice.randrange(total) for _ in range(dice.randrange(6)))})
            for lengths in ([total], [b - a for a, b in pairwise(cuts)]):
                whole, shared, first = calls(encoder, lengths, fences, total)
                starts = np.cumsum([0, *lengths[:-1]])
                assert whole.tobytes() == shared.tobytes() and first.tobytes() == whole[starts].tobytes(), lengths
                done += 6
    print(done)


def short(fences, kind, part):
    """Encode 100 tokens where only a page of one part may be used."""
    fences.short = part
    rows(fences, kind, 1, 1, 100)


def beyond(fences, part, number):
    """Read the last element of a part, or one beyond; or the first, or one before it."""
    sizes = (5000, 3, 4096)
    array, begin = fences.array(sizes, np.float32), 0
    for size, after in pairwise(sizes[: part + 1]):
        begin += size + GAP + (-after if fences.side == "end" else -size) % PAGE
    float(array[begin + sizes[part] - 1 + number if fences.side == "end" else begin - number])


if __name__ == "__main__":
    part, side, *given = sys.argv[1:]
    globals()[part](Fences(side), *(int(word) if word.isdecimal() else word for word in given))
    print("whole")
