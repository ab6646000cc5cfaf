"""Libraries that replace compiled kernels, for tests of how libraries are found, checked and called."""

import hashlib
import json
import shutil
import subprocess

import pytest

from minembed.kernels.ahead.building import build
from minembed.kernels.ahead.emission import entries_of
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.ahead_of_time import constants_of
from minembed.kernels.compiled.calling import words_in
from minembed.kernels.compiled.variants import VARIANTS, variant_of
from minembed.kernels.entries import ENTRIES
from minembed.kernels.libraries import MANIFEST, platform_here
from minembed.kernels.vectors.target import TARGET

SUM = "long long sum = 0; for (int i = 0; i < {count}; i++) sum += words[i]; return sum;"


def write_fake_libraries(folder):
    """A folder as `make native` writes it, whose entries return the sum of their words; the variant's name."""
    platform, variant = PLATFORMS.get(platform_here()), variant_of(TARGET)
    compiler = next(filter(shutil.which, platform.compilers), None) if platform and variant else None
    if compiler is None:
        pytest.skip("no libraries are made on this system, or there is no compiler")
    build(platform, [], folder)
    counts = {name: words_in(ENTRIES[name].kinds) for name in entries_of(VARIANTS[variant])}
    functions = (
        f"long long minembed_{name}(const long long *words) {{ {SUM.format(count=count)} }}"
        for name, count in counts.items()
    )
    library = folder / f"kernels-{variant}{platform.suffix}"
    command = [compiler, "-shared", "-fPIC", "-O1", "-x", "c", "-", "-o", str(library)]
    subprocess.run(command, input="\n".join(functions), text=True, check=True)
    told = json.loads((folder / MANIFEST).read_bytes())
    told["libraries"][variant] = {
        "file": library.name,
        "sha256": hashlib.sha256(library.read_bytes()).hexdigest(),
        "constants": constants_of(VARIANTS[variant].target),
        "entries": {name: {"words": count, "returns": "int64"} for name, count in counts.items()},
    }
    (folder / MANIFEST).write_text(json.dumps(told))
    return variant
