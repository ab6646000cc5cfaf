"""What a layer sees, and where the queries and keys of a head stand: the kernels' side of transformer/positions.py."""

from numba import njit

from minembed.kernels.encoder.architecture import HEAD_NORMS, PATTERN_FIELDS
from minembed.kernels.encoder.elementwise import rms_row, rotate_row
from minembed.kernels.vectors.simd import at


@njit
def pattern_of(patterns, layer):
    """What a layer sees: (longest text if there is a bias, bias, back, ahead, rotations, as many as positions)."""
    every, bias, rotary, half = patterns
    own = at(every, PATTERN_FIELDS * layer)
    longest, back, ahead, positions, kind = own[0], own[1], own[2], own[3], own[4]
    return longest, bias, back, ahead, at(rotary, kind * 2 * positions * half), positions


@njit
def place_heads(head, stride, texts, size, apart, norms, architecture, pattern, eps):
    """Normalise the queries and keys of a head, and turn them by their positions, where the architecture does so.

    A key, and the norm of keys, lie `apart` from the query and its norm.
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
    """What a head sees, as attention.py wants it; its bias of distance 0 is in the middle of its row."""
    longest, bias, back, ahead, _, _ = pattern
    return at(bias, max(0, h * (2 * longest - 1) + longest - 1)), back, ahead
