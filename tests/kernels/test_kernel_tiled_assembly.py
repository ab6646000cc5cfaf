"""What LLVM makes of the kernels on tiles: read, not run; and what it makes where tiles may not be used."""

import platform
import sys

import pytest
from examples import heavy
from places import SUPPORT
from processes import python
from tiled_assembly import ENVIRONMENT, WHOLE
from withheld import needs_amx, python_withheld

PIECES = "block attention block of three planes attention of three planes"
needs_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or sys.maxsize < 2**32, reason="this is no x86-64"
)
READ = """
from tiled_assembly import assert_on_tiles, permit, {pieces}
permit()
from minembed.kernels.tiles.amx import HARDWARE
assert HARDWARE
found = {pieces}()
for name, text in found.items():
    assert_on_tiles(name, text)
print(*found)
"""


@needs_x86
@pytest.mark.parametrize(("pieces", "names"), heavy([("pieces", PIECES), ("whole", " ".join(WHOLE))]))
def test_tiles_are_multiplied_in_loops_that_spill_nothing(pieces, names):
    found = python(READ.format(pieces=pieces), **ENVIRONMENT, PYTHONPATH=str(SUPPORT))
    assert found == [names]


MULTIPLY = """
    import numpy as np
    from numba import njit
    from minembed.kernels.tiles import amx, shapes
    from minembed.kernels.tiles.amx import begin, dot_bfloat16, end, load_tile, registers, store_tile, stream_tile, zero
    from minembed.kernels.vectors.simd import address

    @njit
    def product(config, a, c):
        tmm = registers()
        begin(tmm, address(config, 0))
        zero(tmm, 0), load_tile(tmm, 1, address(a, 0), 64), stream_tile(tmm, 2, address(a, 0), 64)
        dot_bfloat16(tmm, 0, 1, 2)
        store_tile(tmm, 0, address(c, 0), 64)
        end(tmm)

    a, c = np.full(512, 0x3F80, np.uint16), np.zeros(256, np.float32)
    product(shapes.CONFIG, a, c)
    (text,) = product.inspect_asm().values()
    words = [word for word in ("tilecfg", "tilerelease", "tileload", "tilestore", "tilezero", "tdpb") if word in text]
    print(amx.HARDWARE, amx.OPERATIONS is amx.EMULATED_OPERATIONS, words, set(c.tolist()))
"""


@needs_amx
def test_without_permission_no_instruction_is_on_tiles():
    assert python_withheld(MULTIPLY) == ["False True [] {32.0}"]


@pytest.mark.slow
def test_where_tiles_are_disabled_no_instruction_is_on_them():
    assert python(MULTIPLY, MINEMBED_DISABLE="amx") == ["False True [] {32.0}"]
