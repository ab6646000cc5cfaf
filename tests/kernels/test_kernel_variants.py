"""Which compiled kernels suit a CPU: those that ask of it what the kernels that Numba would compile ask."""

from dataclasses import replace

import pytest

from minembed.kernels.ahead.building import variants_of
from minembed.kernels.ahead.emission import entries_of
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.variants import V3, V4, VARIANTS, variant_of
from minembed.kernels.entries import ENTRIES, ON_TILES
from minembed.kernels.vectors.disabled import disabled_features
from minembed.kernels.vectors.instruction_sets import Target
from minembed.kernels.vectors.known_cpus import CPUS, features_of

NAMES = [name for _, names in CPUS for name in names.split()]


def target_of(cpu):
    """All that a CPU has, which known_cpus.py cuts down to what kernels ask for."""
    features = features_of(cpu)
    if "neon" in features:
        return Target("arm64" if cpu.startswith("apple") else "aarch64", features, cpu)
    return Target("x86_64", features | (V4 if "avx512f" in features else V3), cpu)


def asks(target):
    """Everything that code generation asks."""
    wide = [name in target.features for name in ("avx512f", "avx512dq", "avx512bw", "avx2", "fma", "neon")]
    machine = "aarch64" if target.machine == "arm64" else target.machine
    rows = target.tile, target.byte_rows, target.bfloat16_rows
    return machine, rows, target.dot_bytes, target.dot_bfloat16, target.has_bfloat16, target.is_far, wide


@pytest.mark.parametrize("cpu", NAMES)
def test_a_known_cpu_gets_what_numba_would_compile(cpu):
    target = target_of(cpu)
    chosen = VARIANTS[variant_of(target)]
    assert asks(chosen.target) == asks(target)
    assert not target.amx or chosen.target.amx  # where there are tiles, there is code for them
    assert chosen.needs <= target.features


@pytest.mark.parametrize(
    ("cpu", "chosen"),
    [
        ("haswell", "avx2"),
        ("znver3", "avx2"),
        ("raptorlake", "avx2vnni"),
        ("skylake-avx512", "avx512"),
        ("icelake-server", "avx512vnni"),
        ("cooperlake", "avx512bf16"),
        ("emeraldrapids", "avx512bf16"),
        ("znver4", "znver4"),
        ("znver5", "znver4"),
        ("cortex-a72", "neon"),
        ("neoverse-n1", "dotprod"),
        ("apple-m1", "dotprod"),
    ],
)
def test_what_suits(cpu, chosen):
    assert variant_of(target_of(cpu)) == chosen


def test_every_variant_suits_itself_and_some_cpu():
    assert {variant_of(variant.target) for variant in VARIANTS.values()} == set(VARIANTS)
    assert {variant_of(target_of(cpu)) for cpu in NAMES} == set(VARIANTS) - {"sse41"}
    assert variant_of(Target("x86_64", V3 - {"avx2"})) == "sse41" and variant_of(Target("x86_64", frozenset())) is None
    assert variant_of(Target("i686", frozenset(V3))) is None and variant_of(Target("aarch64", frozenset())) is None


@pytest.mark.parametrize("setting", ["amx", "avx512bf16", "avx512vnni", "avxvnni", "dotprod", "avx512vnni,avx512bf16"])
@pytest.mark.parametrize("cpu", NAMES)
def test_what_is_disabled_is_not_used(cpu, setting):
    target, without = target_of(cpu), disabled_features(setting)
    less = replace(target, features=target.features - without, disabled=without)
    chosen = VARIANTS[variant_of(less)]
    assert not chosen.needs & without and chosen.needs <= less.features
    assert chosen.target.tile == less.tile  # weights are packed by it


def test_what_a_platform_carries():
    carried = {platform.name: variants_of(platform) for platform in PLATFORMS.values()}
    assert carried["linux-x86_64"] == carried["windows-x86_64"] and carried["linux-aarch64"] == carried["macos-arm64"]
    assert set(carried["linux-x86_64"]) | set(carried["linux-aarch64"]) == set(VARIANTS)
    for variant in VARIANTS.values():
        assert set(ENTRIES) - set(entries_of(variant)) == (set() if variant.target.amx else set(ON_TILES))
