"""Detect the features of this CPU without LLVM; those that kernels use are the same as LLVM finds.

An x86 CPU is queried by two instructions, in a tiny separate library (kernels/ahead/small_objects.py).  Registers that
the system does not save when it switches threads do not count, even if the CPU has them.  The features of an ARM CPU
are read from the system.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID; volume 1, 13.3 (XCR0); AMD64
Architecture Programmer's Manual, volume 3, appendix E; Linux, Documentation/arch/arm64/elf_hwcaps.rst.
"""

import ctypes
import os
import sys
from collections.abc import Callable
from pathlib import Path

from minembed.errors import BackendError
from minembed.kernels.libraries import DETECTOR, NATIVE, open_library, read_libraries
from minembed.kernels.vectors.disabled import disabled_features
from minembed.kernels.vectors.instruction_sets import Target

Cpuid = Callable[[int, int], tuple[int, int, int, int]]  # leaf, subleaf -> eax, ebx, ecx, edx

# The state that the system must save for a thread (XCR0): nothing beyond the basics; AVX's registers; AVX-512's; tiles
NONE, AVX, AVX512, TILES = 0, 0x6, 0xE6, 0x60000
EAX, EBX, ECX, EDX = range(4)
EXTENDED = 0x80000001
BITS = {  # LLVM's name: (leaf, subleaf, register, bit, state)
    "ssse3": (1, 0, ECX, 9, NONE),
    "fma": (1, 0, ECX, 12, AVX),
    "cx16": (1, 0, ECX, 13, NONE),
    "sse4.1": (1, 0, ECX, 19, NONE),
    "sse4.2": (1, 0, ECX, 20, NONE),
    "movbe": (1, 0, ECX, 22, NONE),
    "popcnt": (1, 0, ECX, 23, NONE),
    "avx": (1, 0, ECX, 28, AVX),
    "f16c": (1, 0, ECX, 29, AVX),
    "sahf": (EXTENDED, 0, ECX, 0, NONE),
    "lzcnt": (EXTENDED, 0, ECX, 5, NONE),
    "bmi": (7, 0, EBX, 3, NONE),
    "avx2": (7, 0, EBX, 5, AVX),
    "bmi2": (7, 0, EBX, 8, NONE),
    "avx512f": (7, 0, EBX, 16, AVX512),
    "avx512dq": (7, 0, EBX, 17, AVX512),
    "avx512cd": (7, 0, EBX, 28, AVX512),
    "avx512bw": (7, 0, EBX, 30, AVX512),
    "avx512vl": (7, 0, EBX, 31, AVX512),
    "avx512vnni": (7, 0, ECX, 11, AVX512),
    "amx-bf16": (7, 0, EDX, 22, TILES),
    "amx-tile": (7, 0, EDX, 24, TILES),
    "amx-int8": (7, 0, EDX, 25, TILES),
    "avxvnni": (7, 1, EAX, 4, AVX),
    "avx512bf16": (7, 1, EAX, 5, AVX512),
}
OSXSAVE, AVX_OF_CPU = 27, 28  # bits of leaf 1's ecx: whether XCR0 can be read, and whether there is AVX at all
ZEN = {0x17: "znver1", 0x19: "znver3", 0x1A: "znver5"}  # AMD's families; Zen 4, with AVX-512, shares one with Zen 3
HWCAP, ASIMD, ASIMDDP = 16, 1, 20  # of Linux on ARM: which word of the auxiliary vector, and its bits


def read_x86(cpuid: Cpuid, xgetbv: Callable[[], int]) -> tuple[frozenset[str], str]:
    """The features of an x86 CPU, and LLVM's name for it if that matters: for AMD's, from Zen on.

    >>> read_x86(lambda leaf, subleaf: (0, 0, 0, 0), lambda: 0)
    (frozenset(), '')
    """
    highest, *vendor = cpuid(0, 0)
    if highest < 1:
        return frozenset(), ""
    signature, _, flags, _ = cpuid(1, 0)
    kept = xgetbv() if flags >> OSXSAVE & 1 and flags >> AVX_OF_CPU & 1 else 0
    if kept & AVX != AVX:
        kept = 0
    answers = {(1, 0): cpuid(1, 0)}
    if cpuid(0x80000000, 0)[EAX] >= EXTENDED:
        answers[EXTENDED, 0] = cpuid(EXTENDED, 0)
    if highest >= 7:
        answers[7, 0] = cpuid(7, 0)
        if answers[7, 0][EAX] >= 1:
            answers[7, 1] = cpuid(7, 1)
    found = {
        name
        for name, (leaf, subleaf, register, bit, state) in BITS.items()
        if (leaf, subleaf) in answers and answers[leaf, subleaf][register] >> bit & 1 and kept & state == state
    }
    return frozenset(found), _zen(vendor, signature, "avx512f" in found)


def _zen(vendor: list[int], signature: int, wide: bool) -> str:
    ebx, ecx, edx = vendor
    name = b"".join(word.to_bytes(4, "little") for word in (ebx, edx, ecx))
    family = (signature >> 8 & 0xF) + (signature >> 20 & 0xFF if signature >> 8 & 0xF == 0xF else 0)
    if name != b"AuthenticAMD" or family < min(ZEN):
        return ""
    return "znver4" if family == 0x19 and wide else ZEN.get(family, "znver")


def read_arm() -> frozenset[str]:
    """The features of a 64-bit ARM CPU.

    >>> read_arm() <= {"neon", "dotprod"}
    True
    """
    try:
        if sys.platform == "darwin":
            value, size = ctypes.c_int(0), ctypes.c_size_t(4)
            ask = ctypes.CDLL(None).sysctlbyname
            failed = ask(b"hw.optional.arm.FEAT_DotProd", ctypes.byref(value), ctypes.byref(size), None, 0)
            return arm_features(1 << ASIMD | (not failed and value.value == 1) << ASIMDDP)
        auxiliary = ctypes.CDLL(None).getauxval
        auxiliary.argtypes, auxiliary.restype = [ctypes.c_ulong], ctypes.c_ulong
        return arm_features(auxiliary(HWCAP))
    except (AttributeError, OSError):  # the C library has no getauxval: every 64-bit CPU has NEON
        return arm_features(1 << ASIMD)


def arm_features(capabilities: int) -> frozenset[str]:
    """LLVM's names for the features of an ARM CPU that Linux reports.

    >>> sorted(arm_features(0b100000000000011111111))
    ['dotprod', 'neon']
    """
    neon = capabilities >> ASIMD & 1
    return frozenset({"neon"} if neon else ()) | ({"dotprod"} if neon and capabilities >> ASIMDDP & 1 else set())


def x86_features(folder: Path = NATIVE) -> tuple[frozenset[str], str]:
    """The features and the name of this x86 CPU.

    Raises BackendError if the library that queries it is missing or damaged.
    """
    library = open_library(read_libraries(folder), DETECTOR)
    try:
        ask, state = library.minembed_cpuid, library.minembed_xgetbv
    except AttributeError as error:
        raise BackendError(f"{library._name} has no detection: {error}") from None
    ask.argtypes, ask.restype = [ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p], None
    state.argtypes, state.restype = [], ctypes.c_uint64

    def cpuid(leaf: int, subleaf: int) -> tuple[int, int, int, int]:
        out = (ctypes.c_uint32 * 4)()
        ask(leaf, subleaf, out)
        eax, ebx, ecx, edx = out
        return eax, ebx, ecx, edx

    return read_x86(cpuid, state)


def detect_target(folder: Path = NATIVE) -> Target:
    """The target of this process, found without LLVM; the folder is that of the libraries.

    Raises BackendError if the CPU cannot be queried, InputError if MINEMBED_DISABLE has an unknown name.
    """
    without, machine = disabled_features(), _machine()
    if machine == "x86_64":
        features, cpu = x86_features(folder)
    elif machine in ("aarch64", "arm64"):
        features, cpu = read_arm(), ""
    else:
        raise BackendError(f"no kernels are compiled ahead of time for {machine or 'this machine'}")
    return Target(machine, features - without, cpu, without)


def _machine() -> str:
    if sys.platform == "win32":
        return {"AMD64": "x86_64"}.get(os.environ.get("PROCESSOR_ARCHITECTURE", ""), "")
    return os.uname().machine
