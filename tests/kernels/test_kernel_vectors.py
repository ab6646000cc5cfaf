"""Vectors of 16 lanes: what is loaded, stored, turned, rounded and reduced, to the last bit and the last byte."""

import subprocess
import sys

import numpy as np
import pytest
from kernel_drivers import GUARD, copied_part
from numba import njit
from places import SUPPORT

from minembed.kernels.encoder import attention
from minembed.kernels.vectors import simd
from minembed.kernels.vectors.simd import address, load, store
from minembed.transformer.quantization import round_bfloat16, to_bfloat16


def normal(*shape, seed=11):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@njit
def reduced(x):
    v = load(address(x, 0))
    return simd.sum_lanes(v), simd.max_lanes(v), simd.min_lanes(v)


def test_reductions():
    for seed in range(50):
        x = normal(16, seed=seed) * np.float32(10.0) ** np.random.default_rng(seed).integers(-9, 9, 16)
        x = x.astype(np.float32)
        halves = x
        while len(halves) > 1:  # the order that sum_lanes fixes: halves with halves
            halves = halves[: len(halves) // 2] + halves[len(halves) // 2 :]
        assert reduced(x) == (halves[0], x.max(), x.min())
    for place in range(16):  # every lane counts
        assert reduced(np.float32(np.arange(16) == place))[:2] == (1, 1)
        assert reduced(-np.float32(np.arange(16) == place))[::2] == (-1, -1)


@pytest.mark.parametrize("count", range(17))
def test_parts_of_vectors(count):
    x, out = normal(31), np.full(64, GUARD)
    copied_part(x, 5, count, out)
    wanted = x[5 : 5 + count]
    np.testing.assert_array_equal(out[:16], np.concatenate([wanted, np.full(16 - count, -7)]))
    np.testing.assert_array_equal(out[16:32], np.concatenate([wanted, np.zeros(16 - count)]))
    np.testing.assert_array_equal(out[33 : 33 + count], wanted)
    assert out[32] == GUARD and (out[33 + count :] == GUARD).all()


AT_THE_EDGE = """
import ctypes, mmap
import numpy as np
from kernel_drivers import copied_part
page = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * page)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
libc = ctypes.CDLL(None)
assert libc.mprotect(ctypes.c_void_p(start + page), ctypes.c_size_t(page), 0) == 0  # reading there ends the process
x = np.frombuffer(memory, np.float32, page // 4)
for count in range(1, 16):
    copied_part(x, len(x) - count, count, np.zeros(64, np.float32))
print("alive", flush=True)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mprotect is called as on Linux")
def test_a_part_is_read_up_to_the_last_byte_of_memory():
    code = f"import sys; sys.path.append({str(SUPPORT)!r})\n{AT_THE_EDGE}import os; os._exit(0)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "alive\n"), found.stderr


@njit
def turned(x, stride, out, out_stride):
    attention.turn_16x16(address(x, 0), stride, address(out, 0), out_stride)


@pytest.mark.parametrize(("stride", "out_stride"), [(16, 16), (31, 37), (97, 16)])
def test_turn_16x16(stride, out_stride):
    x, out = normal(16, stride), np.full((17, out_stride), GUARD)
    turned(x.ravel(), stride, out.reshape(-1), out_stride)
    np.testing.assert_array_equal(out[:16, :16], x[:, :16].T)
    assert (out[:, 16:] == GUARD).all() and (out[16] == GUARD).all()


@njit
def rounded(x, y, out, words, back):
    for i in range(0, len(x), 16):
        v = load(address(x, i))
        simd.store_bfloat16(address(out, i), v)
        simd.store_words(address(words, 2 * i), simd.pair_bfloat16(v, load(address(y, i))))
        store(address(back, i), simd.load_bfloat16(address(out, i)))


def test_bfloat16():
    """Every upper half of a float32, with the lower halves at which rounding turns."""
    upper = np.arange(65536, dtype=np.uint32) << 16
    bits = (upper[:, None] | np.uint32([0, 1, 0x7FFF, 0x8000, 0x8001, 0xFFFF])).ravel()
    x = bits.view(np.float32)
    y = x[::-1].copy()
    out, words, back = np.zeros(len(x), np.uint16), np.zeros(2 * len(x), np.uint16), np.zeros_like(x)
    rounded(x, y, out, words, back)
    nothing = np.abs(x) < np.finfo(np.float32).tiny  # AVX-512's instruction takes subnormal numbers for 0
    real = ~np.isnan(x) & ~nothing
    np.testing.assert_array_equal(out[real], to_bfloat16(x)[real])
    assert np.isnan(back[np.isnan(x)]).all()
    assert np.abs(back[nothing]).max() <= np.finfo(np.float32).tiny
    np.testing.assert_array_equal(back[real], round_bfloat16(x)[real])
    np.testing.assert_array_equal(words[::2], out)
    np.testing.assert_array_equal(words[1::2], out[::-1])


def test_numbers_in_and_out():
    @njit
    def converted(levels, x, out, to):
        store(address(out, 0), simd.load_signed_bytes(address(levels, 0)))
        simd.store_bytes(address(to, 0), simd.to_int(simd.nearest(load(address(x, 0)))))

    levels = np.int8([-128, -127, -1, 0, 1, 2, 126, 127, *range(8)])
    x = np.float32([0, 0.5, 1.5, 2.5, 0.49999997, 254.5, 255, 127.5, 128.5, 3, 4, 5, 6, 7, 8, 9])
    out, to = np.zeros(16, np.float32), np.full(20, 77, np.uint8)
    converted(levels, x, out, to)
    np.testing.assert_array_equal(out, levels.astype(np.float32))
    np.testing.assert_array_equal(to, [*np.rint(x).astype(np.uint8), 77, 77, 77, 77])  # ties to even
