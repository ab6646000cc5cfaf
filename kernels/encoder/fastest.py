"""The fastest compute type on this CPU among those that are nearly as exact as float32."""

from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.vectors.target import TARGET


def bfloat16_gain() -> str:
    """The reason why kernels are faster in bfloat16 than in float32; "" if they are not.

    Where weights are only widened as they are read, they take half the memory, but more instructions.

    >>> bool(bfloat16_gain()) == (TARGET.dot_bfloat16 or tiles_usable())
    True
    """
    if tiles_usable():
        return "which this CPU multiplies by tiles (AMX)"
    return "which this CPU multiplies two by two (vdpbf16ps)" if TARGET.dot_bfloat16 else ""
