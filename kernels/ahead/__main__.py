"""Compile the kernels ahead of time, for this CPU or for all variants of a platform.

python -m minembed.kernels.ahead [--all | --variant NAME ...] [--platform NAME] [-o FOLDER]
"""

import argparse
from pathlib import Path

import llvmlite
import numba

from minembed.errors import BackendError
from minembed.kernels.ahead.building import build, variants_of
from minembed.kernels.ahead.emission import TESTED
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.variants import VARIANTS, variant_of
from minembed.kernels.libraries import NATIVE, platform_here
from minembed.kernels.vectors.target import target_of_numba


def main(arguments: list[str] | None = None) -> None:
    """Build libraries, and print what was built."""
    parser = argparse.ArgumentParser("python -m minembed.kernels.ahead", description=__doc__.partition("\n")[0])
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--all", action="store_true", help="every variant of the platform, as its wheel carries them")
    chosen.add_argument("--variant", action="append", choices=list(VARIANTS), help="default: the one for this CPU")
    parser.add_argument("--platform", choices=list(PLATFORMS), help="default: this one")
    parser.add_argument("-o", "--output", type=Path, default=NATIVE, metavar="FOLDER", help=f"default: {NATIVE}")
    options = parser.parse_args(arguments)
    found = {"numba": numba.__version__, "llvmlite": llvmlite.__version__}
    for name, version in found.items():
        if version != TESTED[name]:
            print(
                f"{name} {version} is not {TESTED[name]}, with which this was tested: run `make test-native` after it"
            )
    name = options.platform or platform_here()
    if name not in PLATFORMS:
        parser.error(f"no kernels are compiled ahead of time for this system; --platform: {', '.join(PLATFORMS)}")
    platform = PLATFORMS[name]
    here = variant_of(target_of_numba()) if name == platform_here() else None
    names = options.variant or ([here] if here and not options.all else variants_of(platform))
    try:
        manifest = build(platform, names, options.output)
    except BackendError as error:
        parser.exit(1, f"{error}\n")
    for file in sorted(manifest.parent.iterdir()):
        print(f"{file}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
