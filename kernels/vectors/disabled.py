"""MINEMBED_DISABLE: instructions that the kernels are to do without, for those who must.

It names what only kernels that ask for it use.  Wider sets (AVX2, AVX-512) LLVM uses of itself wherever it is told that
they are there: those are taken away from all that Numba compiles, by NUMBA_CPU_FEATURES.
"""

import os

from minembed.errors import InputError

VARIABLE = "MINEMBED_DISABLE"
WORDS = {  # a word of the list, LLVM's names of what it takes away
    "amx": {"amx-tile", "amx-bf16", "amx-int8"},
    "amx-tile": {"amx-tile", "amx-bf16", "amx-int8"},  # the others rest on it
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

    >>> sorted(disabled_features("avx512bf16, AMX"))
    ['amx-bf16', 'amx-int8', 'amx-tile', 'avx512bf16']
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
