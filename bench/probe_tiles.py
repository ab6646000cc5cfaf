"""The most that one core's tile units can multiply: products of tiles that stay in their registers.

Nothing is loaded in the loop. The operands are random numbers, as real ones would be: on zeros or constants the units
draw less power, and the core runs at a higher clock. Sums start over as often as those of a deep product do. Such units
slow down for a moment after a pause and under load, so what counts is a low quantile of many short calls, by the
processor time of the thread.
"""

import time

import numpy as np

CALLS, LOW = 400, 0.05
DEPTH = 48  # steps of a sum: 1,536 inputs of bfloat16
OUTER = 300  # sums of four tiles a call: some 0.3 ms
PRODUCTS = {"bfloat16": ("dot_bfloat16", 32), "int8": ("dot_bytes", 64)}  # and the depth of one product of tiles


def measure() -> dict[str, float]:
    """Billions of operations a second, by precision; empty where minembed finds no tile units."""
    try:
        from minembed.kernels.tiles import amx
    except ImportError:
        return {}
    found = PRODUCTS if amx.HARDWARE else {}
    return {dtype: rate(amx, *how) for dtype, how in found.items() if hasattr(amx, how[0])}


def rate(amx, name: str, depth: int) -> float:
    """Billions of operations a second in one kind of product."""
    from minembed.kernels.tiles.shapes import CONFIG

    multiply, bits = loop(amx, getattr(amx, name)), np.random.default_rng(0)
    floats = bits.standard_normal(4 * 512, np.float32)
    # Bytes of any value, or bfloat16 of any digits, with signs and exponents as those of activations.
    operands = bits.bytes(4096) if depth == 64 else (floats.view(np.uint32) >> 16).astype(np.uint16).tobytes()
    seconds = low_quantile(lambda: multiply(CONFIG, np.frombuffer(operands, np.uint16)))
    return round(4 * OUTER * DEPTH * 2 * 16 * 16 * depth / seconds / 1e9, 1)


def loop(amx, dot):
    """A compiled function that multiplies two tiles by two, again and again."""
    from numba import njit

    from minembed.kernels.vectors.simd import address

    registers, begin, end, zero, load_tile = amx.registers, amx.begin, amx.end, amx.zero, amx.load_tile

    @njit(nogil=True, boundscheck=False, error_model="numpy")
    def multiply(config, operands):
        tmm = registers()
        begin(tmm, address(config, 0))
        load_tile(tmm, 4, address(operands, 0), 64), load_tile(tmm, 5, address(operands, 512), 64)
        load_tile(tmm, 6, address(operands, 1024), 64), load_tile(tmm, 7, address(operands, 1536), 64)
        for _ in range(OUTER):
            zero(tmm, 0), zero(tmm, 1), zero(tmm, 2), zero(tmm, 3)
            for _ in range(DEPTH):
                dot(tmm, 0, 4, 6), dot(tmm, 1, 4, 7), dot(tmm, 2, 5, 6), dot(tmm, 3, 5, 7)
        end(tmm)

    return multiply


def low_quantile(call) -> float:
    """Seconds of a call, after one that compiles and some that warm up."""
    for _ in range(20):
        call()
    taken = []
    for _ in range(CALLS):
        start = time.thread_time()
        call()
        taken.append(time.thread_time() - start)
    return float(np.quantile(taken, LOW))
