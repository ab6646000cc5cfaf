"""May this process use tiles?  Linux gives the registers of AMX, 8 KB per thread, only to processes that ask for them.

Without asking, the first instruction on a tile ends the process.  The permission holds for all threads, including
running ones, and for forked children; a new program (exec) has to ask again.  Asking twice does no harm.
Nothing here is done on import: a process that never encodes on tiles never asks.
"""

import os
import sys
from typing import Any

from minembed.kernels.vectors.disabled import VARIABLE
from minembed.kernels.vectors.instruction_sets import TILES
from minembed.kernels.vectors.target import TARGET

ARCH_PRCTL = 158  # the system call's number on x86-64
GET_PERMISSIONS, ASK_PERMISSION = 0x1022, 0x1023  # ARCH_GET_XCOMP_PERM, ARCH_REQ_XCOMP_PERM
TILE_DATA = 18  # the bit of the tiles among the parts of a thread's state


def permitted() -> bool:
    """Ask for tiles, and read back whether they were granted; False on a system or a CPU without them.

    >>> permitted() == permitted()
    True
    """
    if sys.platform != "linux" or sys.maxsize < 2**32 or os.uname().machine != "x86_64":
        return False
    try:
        import ctypes

        system_call: Any = ctypes.CDLL(None).syscall
        system_call.restype = ctypes.c_long
        number, given = ctypes.c_long(ARCH_PRCTL), ctypes.c_uint64(0)
        system_call(number, ctypes.c_long(ASK_PERMISSION), ctypes.c_long(TILE_DATA))
        refused = system_call(number, ctypes.c_long(GET_PERMISSIONS), ctypes.byref(given))
    except Exception:  # a Python without ctypes, a C library without syscall
        return False
    return refused == 0 and bool(given.value >> TILE_DATA & 1)


def tiles_usable() -> bool:
    """Whether tiles are compiled for this CPU and may be used by this process.

    >>> tiles_usable() == (TARGET.amx and permitted())
    True
    """
    return TARGET.amx and permitted()


def describe() -> str:
    """Say in words whether tiles are compiled for, and whether this process may use them.

    >>> bool(describe())
    True
    """
    if TARGET.amx:
        return "AMX, compiled for and " + (
            "permitted" if permitted() else "NOT permitted: Linux, or a sandbox, refuses this process its registers"
        )
    if TARGET.disabled & TILES:
        return f"none, {VARIABLE} leaves AMX out"
    return "none, the kernels are not compiled for AMX"
