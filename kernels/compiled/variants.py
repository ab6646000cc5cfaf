"""The instruction sets that kernels are compiled for ahead of time, and the choice for a CPU.

A variant gives code generation the same target as a CPU of that kind (vectors/target.py), so its code is that which
Numba would compile there; a test compares the two for every CPU that LLVM knows.  If a feature of a CPU is missing
(MINEMBED_DISABLE, a virtual machine that hides it), the best variant that does not need it is chosen.
"""

from dataclasses import dataclass

from minembed.kernels.vectors.instruction_sets import TILES, Target

# What LLVM may use on its own at a level of x86-64, in its names
V3 = frozenset(("cx16", "popcnt", "sahf", "sse4.1", "sse4.2", "ssse3", "avx", "avx2", "bmi", "bmi2", "f16c", "fma"))
V3 |= {"lzcnt", "movbe"}
SSE41 = frozenset(("ssse3", "sse4.1"))
V4 = V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
BF16 = V4 | {"avx512vnni", "avx512bf16"}
ARM = ("aarch64", "arm64")


@dataclass(frozen=True, slots=True)
class Variant:
    """Kernels for an instruction set: their target, and the features that a CPU must have to run them.

    `optional` features are compiled for too, but only in entries that are called if the CPU has them (tiles).
    """

    name: str
    machine: str  # "x86_64" or "aarch64"
    cpu: str  # LLVM's name of the target ...
    needs: frozenset[str]  # all features that LLVM may use, in its names
    extra: tuple[str, ...] = ()  # ... and the features that this name does not imply
    target_cpu: str = ""  # the name that kernels see: some things pay on Zen alone
    optional: frozenset[str] = frozenset()

    @property
    def target(self) -> Target:
        """The target that kernels see when they are compiled.

        >>> VARIANTS["znver4"].target.dot_bfloat16, VARIANTS["avx512bf16"].target.is_far
        (True, True)
        """
        return Target(self.machine, self.needs | self.optional, self.target_cpu)

    @property
    def llvm_features(self) -> str:
        """The features as LLVM's list.

        >>> VARIANTS["avx2vnni"].llvm_features
        '+avxvnni'
        """
        return ",".join(f"+{name}" for name in (*self.extra, *sorted(self.optional)))


VARIANTS: dict[str, Variant] = {  # the best of a machine first
    variant.name: variant
    for variant in (
        Variant("znver4", "x86_64", "x86-64-v4", BF16, ("avx512vnni", "avx512bf16"), "znver4"),
        Variant(
            *("avx512bf16", "x86_64", "x86-64-v4", BF16, ("avx512vnni", "avx512bf16")),
            optional=frozenset(TILES),
        ),
        Variant("avx512vnni", "x86_64", "x86-64-v4", V4 | {"avx512vnni"}, ("avx512vnni",)),
        Variant("avx512", "x86_64", "x86-64-v4", V4),
        Variant("avx2vnni", "x86_64", "x86-64-v3", V3 | {"avxvnni"}, ("avxvnni",)),
        Variant("avx2", "x86_64", "x86-64-v3", V3),
        Variant("sse41", "x86_64", "x86-64", SSE41, ("sse4.1",)),  # it can round; others would call libm
        Variant("dotprod", "aarch64", "generic", frozenset({"neon", "dotprod"}), ("neon", "dotprod")),
        Variant("neon", "aarch64", "generic", frozenset({"neon"}), ("neon",)),
    )
}


def variant_of(target: Target) -> str | None:
    """The variant for a CPU; None if there is none for such a machine.

    >>> variant_of(Target("x86_64", BF16, "znver5")), variant_of(Target("x86_64", BF16, "cooperlake"))
    ('znver4', 'avx512bf16')
    >>> variant_of(Target("arm64", frozenset({"neon", "dotprod"}))), variant_of(Target("riscv64", frozenset()))
    ('dotprod', None)
    """
    machine = "aarch64" if target.machine in ARM else target.machine
    there = (v for v in VARIANTS.values() if v.machine == machine and v.needs <= target.features)
    return next((v.name for v in there if v.target.dot_bfloat16 <= target.dot_bfloat16), None)
