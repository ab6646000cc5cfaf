"""The CPUs that the kernels are compiled for, and the settings for each."""

from minembed.kernels.vectors.instruction_sets import Target

AVX2 = {"avx2", "fma"}
AVX512 = AVX2 | {"avx512f", "avx512vl", "avx512bw", "avx512dq"}
BF16 = AVX512 | {"avx512vnni", "avx512bf16"}
AMX = {"avxvnni", "amx-tile", "amx-bf16", "amx-int8"}
KINDS = [  # LLVM's name of a CPU, the target: and rows and vectors of a tile, bytes, whether bfloat16 is multiplied
    ("x86-64", Target("x86_64", frozenset()), (2, 1), "plain", False),
    ("haswell", Target("x86_64", frozenset(AVX2)), (6, 1), "pmaddwd", False),
    ("alderlake", Target("x86_64", frozenset(AVX2 | {"avxvnni"})), (6, 1), "vnni256", False),
    ("skylake-avx512", Target("x86_64", frozenset(AVX512)), (14, 2), "pmaddwd", False),
    ("cascadelake", Target("x86_64", frozenset(AVX512 | {"avx512vnni"})), (14, 2), "vnni512", False),
    ("cooperlake", Target("x86_64", frozenset(BF16), "cooperlake"), (14, 2), "vnni512", False),
    ("znver4", Target("x86_64", frozenset(BF16), "znver4"), (14, 2), "vnni512", True),
    ("sapphirerapids", Target("x86_64", frozenset(BF16 | AMX), "sapphirerapids"), (14, 2), "vnni512", False),
    ("apple-m1", Target("arm64", frozenset({"neon", "dotprod"})), (6, 1), "sdot", False),
    ("neoverse-n1", Target("aarch64", frozenset({"neon", "dotprod"})), (6, 1), "sdot", False),
    ("cortex-a72", Target("aarch64", frozenset({"neon"})), (6, 1), "plain", False),
]
IDS = [kind[0] for kind in KINDS]
