"""MINEMBED_DISABLE: instructions that the kernels are to do without, for those who must.

It names what kernels ask for by name.  What LLVM uses of itself, wherever it is told that it is there, is taken away
from all that Numba compiles, by NUMBA_CPU_FEATURES: so are whole sets (AVX2, AVX-512), and the one instruction of VNNI
that LLVM makes of a multiplication and a sum of its own accord, vpdpwssd.
"""

import os

from minembed.errors import InputError

VARIABLE = "MINEMBED_DISABLE"
ALL_TILES = {  # LLVM's names: the others rest on the first
    *("amx-tile", "amx-bf16", "amx-int8", "amx-fp16", "amx-complex"),
    *("amx-fp8", "amx-tf32", "amx-movrs", "amx-avx512", "amx-transpose"),
}
WORDS = {  # a word of the list, LLVM's names of what it takes away
    "amx": ALL_TILES,
    "amx-tile": ALL_TILES,
    "amx-bf16": {"amx-bf16"},
    "amx-int8": {"amx-int8"},
    "avx512bf16": {"avx512bf16"},
    "avx512vnni": {
        "avx512vnni",
        "avxvnni",
    },  # one instruction: LLVM picks the shorter code, so neither may be asked for
    "avxvnni": {"avxvnni"},
    "dotprod": {"dotprod"},
}


def disabled_features(setting: str | None = None) -> frozenset[str]:
    """LLVM's names of all that a setting, by default the environment's, takes away.

    Raises InputError for a word that is not known.

    >>> sorted(disabled_features("avx512bf16, AMX-int8"))
    ['amx-int8', 'avx512bf16']
    """
    listed = os.environ.get(VARIABLE, "") if setting is None else setting
    features: set[str] = set()
    for word in filter(None, (item.strip().lower() for item in listed.split(","))):
        if word not in WORDS:
            raise InputError(
                f"{VARIABLE} names {word!r}, which is unknown; known: {', '.join(WORDS)}; "
                "other instruction sets are left out by NUMBA_CPU_FEATURES"
            )
        features |= WORDS[word]
    return frozenset(features)
