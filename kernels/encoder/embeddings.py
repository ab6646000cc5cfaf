"""The first hidden states: rows of three tables, added and normalised, for every type of the word table."""

import numpy as np
from numba import njit, types
from numba.extending import overload

from minembed.kernels.compiled.cache import on_disk
from minembed.kernels.encoder.elementwise import add_norm_row
from minembed.kernels.vectors.simd import address, at, load_bfloat16, store


@njit
def read_floats(table, scales, row, width, out):
    """Read a row of a float32 table."""
    for j in range(width):
        out[j] = table[row * width + j]


@njit
def read_bfloat16(table, scales, row, width, out):
    """Read a row of a bfloat16 table, whose rows are padded to whole vectors."""
    stride = (width + 15) // 16 * 16
    for j in range(0, width, 16):
        store(at(out, j), load_bfloat16(at(table, row * stride + j)))


@njit
def read_bytes(table, scales, row, width, out):
    """Read a row of an int8 table, which has a scale per row."""
    scale = scales[row]
    for j in range(width):
        out[j] = np.float32(table[row * width + j]) * scale


def read_row(table, scales, row, width, out):
    """Write a row of a table as float32, by the type of the table."""
    raise NotImplementedError


@overload(read_row)
def _choose_read_row(table, scales, row, width, out):
    chosen = {types.float32: read_floats, types.uint16: read_bfloat16, types.int8: read_bytes}[table.dtype]

    def call(table, scales, row, width, out):
        chosen(table, scales, row, width, out)

    return call


@njit(inline="always")
def embed(tokens, begin, rows, tables, width, eps, x, stride):
    """Add and normalise the rows for each token, its position and its segment."""
    ids, kinds, places = tokens
    word, word_scales, position, token_type, norm = tables
    for row in range(rows):
        token, here = begin + row, at(x, row * stride)
        read_row(word, word_scales, ids[token], width, here)
        for j in range(width):
            here[j] += position[places[token] * width + j]
        add_norm_row(here, at(token_type, kinds[token] * width), norm, at(norm, width), width, eps, here)


@on_disk
@njit(nogil=True, boundscheck=False, error_model="numpy")
def embed_texts(ids, kinds, places, word, word_scales, position, token_type, norm, width, eps, out):
    """The first hidden states of all tokens, as a separate call; `out` has space for 16 numbers beyond the last row."""
    tokens = address(ids, 0), address(kinds, 0), address(places, 0)
    tables = address(word, 0), address(word_scales, 0), address(position, 0), address(token_type, 0), address(norm, 0)
    embed(tokens, 0, len(ids), tables, width, eps, address(out, 0), width)
