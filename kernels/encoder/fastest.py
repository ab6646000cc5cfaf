"""Which compute type is the fastest on this CPU, of those that are nearly as exact as float32."""

from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.vectors.target import TARGET


def bfloat16_gain() -> str:
    """Why the kernels are faster in bfloat16 than in float32; "" where they are not.

    Weights that are widened as they are read take half the memory, but more steps.

    >>> bool(bfloat16_gain()) == (TARGET.dot_bfloat16 or tiles_usable())
    True
    """
    if tiles_usable():
        return "which this CPU multiplies by tiles (AMX)"
    return "which this CPU multiplies two by two (vdpbf16ps)" if TARGET.dot_bfloat16 else ""
