"""The assembly of the register tiles, and the checks of it."""

import re

import numpy as np
from kernel_tiles import (
    tile_bfloat16,
    tile_bytes,
    tile_bytes_streaming,
    tile_floats,
    tile_floats_asking,
    tile_floats_narrow,
    tile_floats_streaming,
)

from minembed.kernels.tiles import registers as tiles


def loops(assembly):
    """The text of each block that jumps to its own beginning, up to that jump."""
    found = []
    for block in re.split(r"(?m)^(?=[.\w$]+:)", assembly):
        label = re.escape(block.partition(":")[0])
        if label and (jump := re.search(rf"(?m)^\s*(j\w+|b\.\w+|cb\w+)\s.*{label}\s*$", block)):
            found.append(block[: jump.end()])
    return found


def assert_no_spills(loop):
    spilled = [
        line for line in loop.split("\n") if re.search(r"[xyz]mm\d.*\(%rsp|\(%rsp.*[xyz]mm\d|[qv]\d+.*\[sp", line)
    ]
    assert not spilled, spilled


def assert_no_stores(loop):
    """No vector is written to the stack; constants that registers have no room for may be read there, as anywhere."""
    written = [line for line in loop.split("\n") if re.search(r"[xyz]mm\d+, *-?\d*\(%rsp", line)]
    assert not written, written


def assert_tiles(assembly, instruction, rows, of_a_row, least=1):
    """A loop for each number of rows, with a fixed number of instructions per row, and nothing on the stack."""
    counts = []
    for loop in loops(assembly):
        if count := len(re.findall(rf"(?m)^\s*(?:\{{vex\}}\s*)?{instruction}", loop)):
            counts.append(count)
            assert_no_spills(loop)
    assert sorted(counts) == [of_a_row * r for r in range(least, rows + 1)]


def floats(n=2048):
    return np.zeros(n, np.float32)


TILES = {
    "floats": (tile_floats, (floats(), 7, floats(), 64, 7, floats(), floats(), 64)),
    "floats_asking": (tile_floats_asking, (floats(), 7, floats(), 64, 7, floats(), floats(), 64)),
    "floats_narrow": (tile_floats_narrow, (floats(), 7, floats(), 64, 7, floats(), floats(), 64)),
    "floats_streaming": (tile_floats_streaming, (floats(), 7, floats(), 64, 7, floats(), floats(), 64)),
    "bfloat16": (
        tile_bfloat16,
        (np.zeros(2048, np.uint16), 8, np.zeros(2048, np.uint16), 64, 4, floats(), floats(), 64),
    ),
    "bytes": (
        tile_bytes,
        (np.zeros(2048, np.uint8), 8, np.zeros(2048, np.int8), 2, True, floats(), floats(), 64, floats(),
         np.zeros(99, np.int32), 1, floats(), np.zeros(99, np.int32)),
    ),
    "bytes_streaming": (
        tile_bytes_streaming,
        (np.zeros(2048, np.uint8), 8, np.zeros(2048, np.int8), 2, True, floats(), floats(), 64, floats(),
         np.zeros(99, np.int32), 1, floats(), np.zeros(99, np.int32)),
    ),
}  # fmt: skip


def floats_of(chosen):
    parts = 1 if "avx512f" in chosen.features else 2 if "avx2" in chosen.features else 4  # registers of 16 lanes
    return "vfmadd" if parts < 4 else "mulps" if chosen.machine == "x86_64" else "fmla", parts


def bfloat16_of(chosen):
    instruction, parts = floats_of(chosen)
    return ("vdpbf16ps", 1) if chosen.dot_bfloat16 else (instruction, 2 * parts)


def bytes_of(chosen):
    instruction = {"pmaddwd": "vpmaddwd", "vnni256": "vpdpbusd", "vnni512": "vpdpbusd", "sdot": "sdot"}
    parts = floats_of(chosen)[1]
    return instruction.get(chosen.dot_bytes), 2 * parts if chosen.dot_bytes == "pmaddwd" else parts


INSTRUCTIONS = {"floats": floats_of, "bfloat16": bfloat16_of, "bytes": bytes_of}


ROWS = {"bfloat16": tiles.BFLOAT16_ROWS, "bytes": tiles.BYTE_ROWS}


def assert_tile_spills_nothing(name):
    """A tile, compiled for the CPU that Numba compiles for."""
    tile, arguments = TILES[name]
    tile(1, *arguments)
    kind, _, special = name.partition("_")
    asks = special == "asking"
    instruction, of_a_vector = INSTRUCTIONS[kind](tiles.TARGET)
    vectors = 1 if special and not asks else tiles.TILE_VECTORS
    rows = ROWS.get(kind, tiles.TILE_ROWS)
    (assembly,) = tile.inspect_asm().values()
    assert_tiles(assembly, instruction, rows, of_a_vector * vectors, rows // 2 if asks else 1)
    if "avx512f" not in tiles.TARGET.features:
        assert "zmm" not in assembly
