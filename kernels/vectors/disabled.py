"""MINEMBED_DISABLE: instructions that the kernels must not use.

It names instructions that kernels use explicitly.  Instructions that LLVM uses on its own are disabled for all code
that Numba compiles, by NUMBA_CPU_FEATURES: whole sets (AVX2, AVX-512), and the one instruction of VNNI that LLVM makes
of a multiplication and a sum, vpdpwssd.
"""

import os

from minembed.errors import InputError

VARIABLE = "MINEMBED_DISABLE"
ALL_TILES = {  # LLVM's names: the others depend on the first
    *("amx-tile", "amx-bf16", "amx-int8", "amx-fp16", "amx-complex"),
    *("amx-fp8", "amx-tf32", "amx-movrs", "amx-avx512", "amx-transpose"),
}
WORDS = {  # word in the setting: LLVM's names of the features that it disables
    "amx": ALL_TILES,
    "amx-tile": ALL_TILES,
    "amx-bf16": {"amx-bf16"},
    "amx-int8": {"amx-int8"},
    "avx512bf16": {"avx512bf16"},
    "avx512vnni": {
        "avx512vnni",
        "avxvnni",
    },  # one instruction: LLVM picks the shorter encoding, so both must be disabled
    "avxvnni": {"avxvnni"},
    "dotprod": {"dotprod"},
}


def disabled_features(setting: str | None = None) -> frozenset[str]:
    """LLVM's names of all features that a setting, by default the environment's, disables.

    Raises InputError for an unknown word.

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
