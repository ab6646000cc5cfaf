"""What is kept of each text at the end; means have the bits of minembed/transformer/pooling.py."""

import numpy as np
from numba import njit

from minembed.kernels.encoder.architecture import ALL_ROWS, MEAN_ROWS
from minembed.kernels.encoder.layer import copy_rows
from minembed.kernels.vectors.simd import at, load_part, splat, store_part
from minembed.transformer.pooling import BLOCK


@njit
def write_kept(x, stride, cu_seqlens, first, last, keep, width, out):
    """Write what is kept of the texts first...last-1, which begin at x: all rows, one a text, or their means."""
    if keep == MEAN_ROWS:
        write_means(x, stride, cu_seqlens, first, last, width, out)
    elif keep == ALL_ROWS:
        start = cu_seqlens[first]
        copy_rows(x, stride, at(out, start * width), width, cu_seqlens[last] - start, width)
    else:
        copy_rows(x, stride, at(out, first * width), width, last - first, width)


@njit
def write_means(x, stride, cu_seqlens, first, last, width, out):
    """The means of the texts first...last-1, whose rows are `stride` apart in x, end to end in `out`."""
    for text in range(first, last):
        row = cu_seqlens[text] - cu_seqlens[first]
        write_mean(at(x, row * stride), stride, cu_seqlens[text + 1] - cu_seqlens[text], width, at(out, text * width))


@njit
def write_mean(x, stride, rows, width, out):
    """The sum of all blocks of rows, divided by the number of rows; nothing is written beyond `width`."""
    zeros, number = splat(np.float32(0)), splat(np.float32(rows))
    for j in range(0, width, 16):
        here, count, total = at(x, j), min(16, width - j), zeros
        for begin in range(0, rows, BLOCK):
            block = zeros
            for r in range(begin, min(begin + BLOCK, rows)):
                block = block + load_part(at(here, r * stride), count, zeros)
            total = total + block
        store_part(at(out, j), total / number, count)
