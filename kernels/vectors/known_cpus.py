"""The instruction sets, of those that matter to the kernels, of the CPUs that LLVM knows by name."""

AVX2 = frozenset({"avx2", "fma"})
AVX2_VNNI = AVX2 | {"avxvnni"}
AVX512 = AVX2 | {"avx512f", "avx512vl", "avx512bw", "avx512dq"}
VNNI = AVX512 | {"avx512vnni"}
BF16 = VNNI | {"avx512bf16"}
AMX = BF16 | {"avxvnni", "amx-tile", "amx-bf16", "amx-int8"}
DOTPROD = frozenset({"neon", "dotprod"})

CPUS = (  # instruction sets, and LLVM's names of the CPUs that have them
    (AVX2, "haswell core-avx2 broadwell skylake x86-64-v3 znver1 znver2 znver3"),
    (AVX2_VNNI, "alderlake raptorlake meteorlake gracemont sierraforest grandridge"),
    (AVX2_VNNI, "arrowlake arrowlake-s lunarlake pantherlake clearwaterforest"),
    (AVX512, "skylake-avx512 skx cannonlake x86-64-v4"),
    (VNNI, "cascadelake icelake-client icelake-server tigerlake rocketlake"),
    (BF16, "cooperlake znver4"),
    (BF16 | {"avxvnni"}, "znver5"),
    (AMX, "sapphirerapids emeraldrapids graniterapids graniterapids-d diamondrapids"),
    (frozenset({"neon"}), "cortex-a53 cortex-a57 cortex-a72 cortex-a73"),
    (DOTPROD, "cortex-a55 cortex-a75 cortex-a76 cortex-a78 cortex-x1"),
    (DOTPROD, "neoverse-n1 neoverse-n2 neoverse-n3 neoverse-v1 neoverse-v2 neoverse-v3"),
    (DOTPROD, "apple-a13 apple-m1 apple-m2 apple-m3 apple-m4"),
)


def features_of(cpu: str) -> frozenset[str]:
    """The instruction sets of a named CPU that matter here; none for a CPU that is not listed.

    >>> sorted(features_of("haswell")), sorted(features_of("a name nobody knows"))
    (['avx2', 'fma'], [])
    """
    return next((features for features, names in CPUS if cpu in names.split()), frozenset())
