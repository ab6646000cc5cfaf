"""What the CPU can do, asked without LLVM: raw answers of CPUs that there are and of some made up, and LLVM's own."""

import ctypes
import shutil
import sys

import pytest

from minembed.errors import BackendError, InputError
from minembed.kernels.ahead.building import build
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.variants import V3, V4, VARIANTS, variant_of
from minembed.kernels.libraries import platform_here
from minembed.kernels.vectors import detect
from minembed.kernels.vectors.detect import BITS, arm_features, detect_target, read_x86
from minembed.kernels.vectors.instruction_sets import Target
from minembed.kernels.vectors.target import target_of_numba

INTEL, AMD, HYGON = (
    tuple(int.from_bytes(name[i : i + 4], "little") for i in (0, 8, 4))  # ebx, ecx, edx
    for name in (b"GenuineIntel", b"AuthenticAMD", b"HygonGenuine")
)
SAPPHIRE_RAPIDS, ALDER_LAKE, NEHALEM = 0x806F8, 0x90672, 0x106A5  # of leaf 1: family, model, stepping
ZEN2, ZEN3, ZEN4, ZEN5, BULLDOZER, AFTER_ZEN5 = 0x830F10, 0xA20F10, 0xA10F11, 0xB40F40, 0x600F12, 0xC00F00
NO_STATE, SSE_ALONE, AVX, AVX512, TILES = 0, 0x3, 0x7, 0xE7, 0x602E7  # XCR0
BF16 = V4 | {"avx512vnni", "avx512bf16"}
AMX = BF16 | {"avxvnni", "amx-tile", "amx-bf16", "amx-int8"}

RECORDED_ZEN4 = {  # an EPYC of the fourth generation, of which a hypervisor shows a part
    (0, 0): (0x1C, 0x68747541, 0x444D4163, 0x69746E65),
    (1, 0): (0x00A10F11, 0x01020800, 0xFFFA3203, 0x178BFBFF),
    (7, 0): (0x00000001, 0xF1BF07AB, 0x00405FC6, 0x00000010),
    (7, 1): (0x00000020, 0, 0, 0),
    (0x80000000, 0): (0x80000021, 0x68747541, 0x444D4163, 0x69746E65),
    (0x80000001, 0): (0x00A10F11, 0x40000000, 0x004003F3, 0x2FD3FBFF),
}


def answers(vendor, signature, names, highest=0x1F, osxsave=True):
    """What a CPU with these features would answer."""
    words = {leaf: [0, 0, 0, 0] for leaf in ((1, 0), (7, 0), (7, 1), (0x80000001, 0))}
    for name in names:
        leaf, subleaf, register, bit, _ = BITS[name]
        words[leaf, subleaf][register] |= 1 << bit
    words[1, 0][0], words[7, 0][0] = signature, 1
    words[1, 0][2] |= osxsave << 27
    return words | {(0, 0): (highest, *vendor), (0x80000000, 0): (0x80000021, 0, 0, 0)}


def read(words, state, asked=None):
    def cpuid(leaf, subleaf):
        if leaf < 0x80000000:
            assert leaf <= words[0, 0][0], "a leaf beyond the highest has arbitrary contents"
        return tuple(words[leaf, subleaf])

    def xgetbv():
        assert words[1, 0][2] >> 27 & 1, "without OSXSAVE the instruction is a fault"
        return state

    return read_x86(cpuid, xgetbv)


def variant(words, state):
    features, cpu = read(words, state)
    return variant_of(Target("x86_64", features, cpu))


def test_recorded_words():
    features, cpu = read(RECORDED_ZEN4, AVX512)
    assert features == BF16 and cpu == "znver4" and variant(RECORDED_ZEN4, AVX512) == "znver4"


@pytest.mark.parametrize(
    ("signature", "names", "state", "chosen"),
    [
        (SAPPHIRE_RAPIDS, AMX, TILES, "avx512bf16"),
        (SAPPHIRE_RAPIDS, AMX, AVX512, "avx512bf16"),  # a system that keeps no tiles
        (SAPPHIRE_RAPIDS, AMX, AVX, "avx2vnni"),  # nor AVX-512's registers
        (SAPPHIRE_RAPIDS, AMX, SSE_ALONE, "sse41"),
        (SAPPHIRE_RAPIDS, AMX, NO_STATE, "sse41"),
        (SAPPHIRE_RAPIDS, AMX - {"avx512bf16"}, TILES, "avx512vnni"),
        (SAPPHIRE_RAPIDS, AMX - {"avx512vnni", "avx512bf16"}, TILES, "avx512"),
        (SAPPHIRE_RAPIDS, AMX - {"avx512bw"}, TILES, "avx2vnni"),  # hidden one by one: a variant needs all of its own
        (SAPPHIRE_RAPIDS, AMX - {"avx512bw", "avxvnni"}, TILES, "avx2"),
        (SAPPHIRE_RAPIDS, AMX - {"movbe"}, TILES, "sse41"),
        (SAPPHIRE_RAPIDS, AMX - {"fma"}, TILES, "sse41"),
        (ALDER_LAKE, V3 | {"avxvnni"}, AVX, "avx2vnni"),
        (ALDER_LAKE, V3, AVX, "avx2"),
        (NEHALEM, {"ssse3", "sse4.1", "sse4.2", "popcnt"}, NO_STATE, "sse41"),
        (NEHALEM, {"ssse3"}, NO_STATE, None),  # older ones: Numba, or NumPy
    ],
)
def test_intel(signature, names, state, chosen):
    words = answers(INTEL, signature, names)
    assert variant(words, state) == chosen and read(words, state)[1] == ""


@pytest.mark.parametrize(
    ("vendor", "signature", "names", "state", "cpu", "chosen"),
    [
        (AMD, ZEN2, V3, AVX, "znver1", "avx2"),
        (AMD, ZEN3, V3, AVX, "znver3", "avx2"),
        (AMD, ZEN4, BF16, AVX512, "znver4", "znver4"),
        (AMD, ZEN4, BF16, AVX, "znver3", "avx2"),
        (AMD, ZEN4, BF16 - {"avx512bf16"}, AVX512, "znver4", "avx512vnni"),
        (AMD, ZEN4, BF16 - {"avx512vnni"}, AVX512, "znver4", "avx512"),
        (AMD, ZEN5, BF16 | {"avxvnni"}, AVX512, "znver5", "znver4"),
        (AMD, AFTER_ZEN5, BF16, AVX512, "znver", "znver4"),
        (AMD, BULLDOZER, {"ssse3", "sse4.1", "avx", "fma"}, AVX, "", "sse41"),
        (HYGON, ZEN2, V3, AVX, "", "avx2"),
        (INTEL, ZEN4, BF16, AVX512, "", "avx512bf16"),  # families are a vendor's own
    ],
)
def test_amd(vendor, signature, names, state, cpu, chosen):
    words = answers(vendor, signature, names)
    assert read(words, state)[1] == cpu and variant(words, state) == chosen


def test_avx_that_the_system_does_not_keep():
    features, _ = read(answers(INTEL, ALDER_LAKE, V3), SSE_ALONE)
    assert not features & {"avx", "avx2", "fma", "f16c"} and {"bmi2", "movbe", "popcnt"} <= features
    features, _ = read(answers(INTEL, SAPPHIRE_RAPIDS, AMX, osxsave=False), TILES)  # which must not be asked for
    assert not any(name.startswith(("avx", "amx")) for name in features)
    half = AVX512 & ~0x80  # of the registers of AVX-512, only some
    assert not any(name.startswith("avx512") for name in read(answers(INTEL, SAPPHIRE_RAPIDS, AMX), half)[0])
    assert not any("amx" in name for name in read(answers(INTEL, SAPPHIRE_RAPIDS, AMX), AVX512 | 1 << 17)[0])


def test_leaves_that_are_not_there():
    words = answers(INTEL, NEHALEM, V3, highest=5)
    assert "avx2" not in read(words, AVX)[0] and "sse4.2" in read(words, AVX)[0]
    words = answers(INTEL, ALDER_LAKE, V3 | {"avxvnni"})
    words[7, 0][0] = 0  # subleaves of leaf 7
    assert variant(words, AVX) == "avx2"
    words[0x80000000, 0] = (0x80000000, 0, 0, 0)
    assert variant(words, AVX) == "sse41"  # lzcnt is told of there
    assert read({(0, 0): (0, *INTEL)}, 0) == (frozenset(), "")


def test_arm():
    assert arm_features(0) == frozenset() and arm_features(0b10) == {"neon"}
    assert arm_features(1 << 20 | 0b10) == {"neon", "dotprod"} and arm_features(1 << 20) == frozenset()


# ---- this machine ----


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with nothing but the library that asks the CPU."""
    platform = PLATFORMS.get(platform_here())
    if platform is None or not any(map(shutil.which, platform.compilers)):
        pytest.skip("no libraries are made on this system, or there is no compiler")
    folder = tmp_path_factory.mktemp("native")
    build(platform, [], folder)
    return folder


def same(found, wanted):
    """Of what kernels, and the choice of their library, ask for."""
    matter = set().union(*(v.needs | v.optional for v in VARIANTS.values()))
    assert found.features == wanted.features & (matter if found.machine != "x86_64" else set(BITS))
    assert variant_of(found) == variant_of(wanted) is not None
    for question in ("machine", "tile", "byte_rows", "bfloat16_rows", "dot_bytes", "dot_bfloat16", "has_bfloat16"):
        assert getattr(found, question) == getattr(wanted, question), question
    assert (found.is_far, found.amx, found.disabled) == (wanted.is_far, wanted.amx, wanted.disabled)
    assert found.cpu.startswith("znver") == wanted.cpu.startswith("znver")


@pytest.mark.parametrize("setting", ["", "amx", "avx512vnni,avx512bf16", "avxvnni, dotprod"])
def test_llvm_says_the_same(here, monkeypatch, setting):
    monkeypatch.setenv("MINEMBED_DISABLE", setting)
    for name in ("CPU_NAME", "CPU_FEATURES"):
        monkeypatch.setattr(f"numba.core.config.{name}", None)
    monkeypatch.setattr("numba.core.config.ENABLE_AVX", True)
    same(detect_target(here), target_of_numba())


def test_what_is_not_known(here, monkeypatch):
    monkeypatch.setenv("MINEMBED_DISABLE", "avx512bf")
    with pytest.raises(InputError, match="'avx512bf', which is unknown"):
        detect_target(here)


def test_where_nobody_can_be_asked(tmp_path, monkeypatch):
    with pytest.raises(BackendError, match="make native"):
        detect.x86_features(tmp_path)
    monkeypatch.setattr(detect, "_machine", lambda: "riscv64")
    with pytest.raises(BackendError, match="riscv64"):
        detect_target()


@pytest.mark.parametrize("machine", ["aarch64", "arm64"])
def test_an_arm_cpu_is_asked_through_the_system(monkeypatch, machine):
    """Whatever this machine is: a C library that has no such function leaves what every CPU of 64 bits has."""
    monkeypatch.setattr(detect, "_machine", lambda: machine)
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    found = detect_target()
    assert found.machine == machine and {"neon"} <= found.features and variant_of(found) == "neon"


@pytest.mark.parametrize(("answer", "failed", "chosen"), [(1, 0, "dotprod"), (0, 0, "neon"), (1, -1, "neon")])
def test_macos_is_asked_by_name(monkeypatch, answer, failed, chosen):
    class System:
        @staticmethod
        def sysctlbyname(name, value, size, *_):
            assert name == b"hw.optional.arm.FEAT_DotProd"
            value._obj.value = answer
            return failed

    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(detect, "_machine", lambda: "arm64")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: System)
    assert variant_of(detect_target()) == chosen
