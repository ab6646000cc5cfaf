"""The assembly of kernels on tiles, for a CPU that has them; nothing runs, so this machine does not need tiles.

In a process of its own, whose environment names the CPU; it says that tiles are permitted before anybody asks.
"""

import re
from collections.abc import Callable
from typing import Any

import numba
from kernel_assembly import assert_no_spills, assert_no_stores, loops
from numba import njit, types

from minembed.kernels.tiles import permission
from minembed.kernels.vectors.simd import address

AVX512 = "+avx512f,+avx512vl,+avx512bw,+avx512dq,+avx512vnni,+avx512bf16"
ENVIRONMENT = {
    "NUMBA_CPU_NAME": "sapphirerapids",
    "NUMBA_CPU_FEATURES": f"{AVX512},+amx-tile,+amx-bf16,+amx-int8",
    "MINEMBED_DISABLE": "",
}
WHOLE = ("run_tiled", "assist_tiled", "run_tiled_float32", "assist_tiled_float32")
OPTIONS = {"nogil": True, "boundscheck": False, "error_model": "numpy"}


def permit() -> None:
    """From now on tiles are compiled for."""
    permission.permitted = lambda: True


def assembly(function: Callable[..., Any], signature: Any) -> str:
    """Compile again, since functions from disk have no assembly."""
    compiled = njit(**OPTIONS)(getattr(function, "py_func", function))
    compiled.compile(signature)
    (text,) = compiled.inspect_asm().values()
    return str(text)


def pieces() -> dict[str, str]:
    """A block of a product with all that may become of it, and the two products of attention."""
    from minembed.kernels.encoder.tiled.attention import mix, score
    from minembed.kernels.encoder.tiled.blocks import begin_block, end_block, multiply_steps
    from minembed.kernels.tiles.amx import begin, end, registers

    def block(config, a, b, c, rows, steps, first, kind, waits, words, stride, soon, planes):
        tmm = registers()
        begin(tmm, address(config, 0))
        before = (kind, waits, address(c, 0), address(c, 9), address(words, 0), address(c, 99), stride, stride)
        begin_block(tmm, first, rows, address(c, 0))
        multiply_steps(tmm, rows, address(a, 0), stride, address(b, 0), steps, before, address(soon, 0), stride, planes)
        end_block(tmm, rows, address(c, 0))
        end(tmm)

    def attention(config, q, head, two, keys, last, scores, stride, weights, c, planes):
        tmm = registers()
        begin(tmm, address(config, 0))
        score(tmm, address(q, 0), head, two, address(keys, 0), 0, last, address(scores, 0), stride, planes)
        mix(tmm, address(weights, 0), stride, two, address(keys, 0), last, address(c, 0), planes)
        end(tmm)

    bytes_, shorts, floats = (numba.types.Array(t, 1, "C") for t in (types.uint8, types.uint16, types.float32))
    i, yes = types.int64, types.boolean
    found = {}
    for name, number in (("", 1), (" of three planes", 3)):
        planes = numba.types.UniTuple(i, number)
        sizes = i, i, yes, i, i, shorts, i, bytes_, planes
        found[f"block{name}"] = assembly(block, (bytes_, shorts, shorts, floats, *sizes))
        found[f"attention{name}"] = assembly(
            attention, (bytes_, shorts, i, yes, shorts, i, floats, i, shorts, floats, planes)
        )
    return found


def whole() -> dict[str, str]:
    """The two functions that Python calls."""
    from minembed.kernels.compiled.just_in_time import JIT
    from minembed.kernels.compiled.numba_types import signature

    return {name: assembly(JIT[name], signature(name)) for name in WHOLE}


def counted(text: str, instruction: str) -> int:
    """The number of times that an instruction occurs."""
    return len(re.findall(rf"(?m)^\s*{instruction}\b", text))


def assert_on_tiles(name: str, text: str) -> None:
    """Tiles are set up and given back once, and multiplied in loops with a load a product; no vector is on the stack.

    Except in loops that call functions, which may use every vector register; and float32's GELU has more constants than
    there are registers.
    """
    for once in ("ldtilecfg", "tilerelease"):
        assert counted(text, once) == 1, (name, once)
    for used in ("tdpbf16ps", "tileloadd", "tilestored", "tilezero"):
        assert counted(text, used), (name, used)
    found = loops(text)
    products = [loop for loop in found if "tdpbf16ps" in loop]
    loads = [counted(loop, "tileloadd") + counted(loop, "tileloaddt1") for loop in products]
    assert any(n == counted(loop, "tdpbf16ps") for n, loop in zip(loads, products, strict=True)), (name, loads)
    for loop in products:
        assert_no_spills(loop)
    for loop in (loop for loop in found if "call" not in loop):
        assert_no_stores(loop) if "float32" in name else assert_no_spills(loop)
