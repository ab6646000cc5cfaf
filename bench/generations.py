"""The generation of the processor that a result was measured on: a name for the reader, and one for its folder.

Generations differ by more than revisions of minembed do (tile units, half-width vector units), so results of several
are kept side by side, in results/<folder>/. The name comes from family and model only where the features agree with
them: virtual machines may hide what they run on, and then the features are all that is certain.
"""

import re
from collections.abc import Collection, Mapping

AMD = {25: {"zen3": [*range(0x00, 0x10), *range(0x20, 0x60)], "zen4": [*range(0x10, 0x20), *range(0x60, 0xB0)]}}
AMD[26] = {"zen5": [*range(0x00, 0x50), *range(0x60, 0x80)]}
INTEL = {
    0x55: "skylake-sp",
    0x6A: "ice-lake-sp",
    0x6C: "ice-lake-sp",
    0x8F: "sapphire-rapids",
    0xCF: "emerald-rapids",
    0xAD: "granite-rapids",
    0xAE: "granite-rapids",
}
TILED = ("sapphire-rapids", "emerald-rapids", "granite-rapids")  # only these have AMX
FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_fp16", "asimd", "sve")


def generation(cpu: Mapping) -> dict[str, str]:
    """Folder and title of a processor, by `vendor`, `family`, `model`, `flags` and `l3_mb` (each may be missing)."""
    flags, vendor = cpu.get("flags") or (), cpu.get("vendor") or "unknown"
    name = named(vendor, cpu.get("family"), cpu.get("model"))
    if name is not None and fits(name, flags):
        tiles = " (AMX)" if has_tiles(flags) else ""
        spoken = re.sub(r"(?<=[a-z])(?=\d)", " ", name.replace("-", " ")).title().replace("Sp", "SP")
        return {"folder": name, "title": spoken + tiles}
    maker = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD"}.get(vendor, vendor)
    feature, cache = widest(flags), cpu.get("l3_mb")
    parts = [maker, feature, str(cache or "")]
    folder = "-".join(re.sub(r"\W+", "-", part.lower()) for part in parts if part)
    tail = f", {cache} MB L3" if cache else ""
    return {"folder": folder, "title": f"{maker} with {feature or 'unknown features'}{tail}"}


def named(vendor: str, family: int | None, model: int | None) -> str | None:
    """The generation by family and model."""
    if vendor == "GenuineIntel" and family == 6:
        return INTEL.get(model)
    if vendor == "AuthenticAMD":
        return next((name for name, models in AMD.get(family, {}).items() if model in models), None)
    return None


def fits(name: str, flags: Collection[str]) -> bool:
    """Whether the features that affect the figures are those of this generation."""
    return (name in TILED) == has_tiles(flags) and (name not in ("zen4", "zen5") or "avx512_bf16" in flags)


def has_tiles(flags: Collection[str]) -> bool:
    """Whether there are tile units."""
    return "amx_tile" in flags


def widest(flags: Collection[str]) -> str:
    """The feature that affects the figures most."""
    names = {
        "amx_tile": "AMX",
        "avx512_bf16": "AVX-512 BF16",
        "avx512_vnni": "AVX-512 VNNI",
        "avx512f": "AVX-512",
        "avx2": "AVX2",
        "sve": "SVE",
        "asimd": "NEON",
    }
    return next((name for flag, name in names.items() if flag in flags), "")


def of_record(machine: Mapping) -> dict[str, str]:
    """The generation of a result's machine, also of results that were written before it was recorded."""
    return dict(machine.get("generation") or generation(machine | from_name(machine.get("cpu", ""))))


def tiled(machine: Mapping) -> bool:
    """Whether a result's machine had tile units."""
    return has_tiles(machine.get("flags") or from_name(machine.get("cpu", ""))["flags"])


def from_name(cpu: str) -> dict:
    """The facts in a line such as "AMD EPYC, family 26 model 2, avx2 avx512f"."""
    words = cpu.replace(",", " ").split()
    numbers = {word: int(words[at + 1]) for at, word in enumerate(words[:-1]) if words[at + 1].isdigit()}
    vendor = {"AMD": "AuthenticAMD", "Intel": "GenuineIntel", "Intel(R)": "GenuineIntel"}.get(words[0] if words else "")
    return {
        "vendor": vendor,
        "family": numbers.get("family"),
        "model": numbers.get("model"),
        "flags": [flag for flag in FLAGS if flag in words],
    }
