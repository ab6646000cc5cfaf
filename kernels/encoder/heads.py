"""Attention patterns of layers, and positions of queries and keys: transformer/positions.py for the kernels."""

from numba import njit

from minembed.kernels.encoder.architecture import HEAD_NORMS, PATTERN_FIELDS
from minembed.kernels.encoder.elementwise import rms_row, rotate_row
from minembed.kernels.vectors.simd import at


@njit
def pattern_of(patterns, layer):
    """The pattern of a layer: (longest text if there is a bias, bias, back, ahead, rotations, number of positions)."""
    every, bias, rotary, half = patterns
    own = at(every, PATTERN_FIELDS * layer)
    longest, back, ahead, positions, kind = own[0], own[1], own[2], own[3], own[4]
    return longest, bias, back, ahead, at(rotary, kind * 2 * positions * half), positions


@njit
def place_heads(head, stride, texts, size, apart, norms, architecture, pattern, eps):
    """Normalise the queries and keys of a head, and rotate them by their positions, if the architecture does so.

    A key is `apart` elements after the query, and the norm of keys after that of queries.
    """
    cu_seqlens, first, last, _ = texts
    _, _, _, _, rotary, positions = pattern
    half = size // 2
    if architecture[HEAD_NORMS] == 0 and positions == 0:
        return
    for text in range(first, last):
        for place in range(cu_seqlens[text + 1] - cu_seqlens[text]):
            query = at(head, (cu_seqlens[text] - cu_seqlens[first] + place) * stride)
            key = at(query, apart)
            if architecture[HEAD_NORMS]:
                rms_row(query, norms, size, eps, query)
                rms_row(key, at(norms, apart), size, eps, key)
            if positions:
                cos, sin = at(rotary, place * half), at(rotary, (positions + place) * half)
                rotate_row(query, half, cos, sin)
                rotate_row(key, half, cos, sin)


@njit
def reach_of(pattern, h):
    """The pattern of a head for attention.py; its bias for distance 0 is in the middle of its row."""
    longest, bias, back, ahead, _, _ = pattern
    return at(bias, max(0, h * (2 * longest - 1) + longest - 1)), back, ahead
