"""The compiled libraries under valgrind's memcheck: no error in a stack of which one of our functions is part."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from places import SUPPORT

from minembed.kernels.ahead.building import build
from minembed.kernels.ahead.platforms import PLATFORMS
from minembed.kernels.compiled.variants import VARIANTS
from minembed.kernels.libraries import platform_here
from minembed.kernels.vectors.target import TARGET

VALGRIND = shutil.which("valgrind")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not VALGRIND, reason="valgrind is not installed (apt-get install valgrind)"),
    pytest.mark.skipif(platform_here() != "linux-x86_64", reason="the libraries tried here are those of x86-64"),
]
LIBRARIES = ("avx2", "sse41")  # valgrind 3.19 knows no AVX-512
MEMCHECK = ("--tool=memcheck", "--leak-check=no", "--error-limit=no", "--fair-sched=yes", "--num-callers=16", "-q")


@pytest.fixture(scope="module")
def libraries(tmp_path_factory):
    """A folder with both libraries."""
    return build(PLATFORMS["linux-x86_64"], LIBRARIES, tmp_path_factory.mktemp("libraries")).parent


def run(folder, variant, *words):
    """The program's exit status and what it said, and the errors in a stack of which a library of ours is part."""
    if not VARIANTS[variant].needs <= TARGET.features:
        pytest.skip(f"this CPU cannot run {variant}")
    file = folder / f"{words[0]}.xml"
    command = [VALGRIND, *MEMCHECK, "--xml=yes", f"--xml-file={file}", sys.executable, SUPPORT / "memchecked.py"]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT), "PYTHONMALLOC": "malloc"}
    words = [words[0], variant, folder, *words[1:]]
    done = subprocess.run([*command, *map(str, words)], capture_output=True, text=True, timeout=5000, env=environment)
    errors = [e for e in ElementTree.parse(file).iter("error") if any(map(is_ours, e.iter("obj")))]
    told = [f"{e.findtext('kind')}: {', '.join(f.findtext('fn') or '?' for f in e.iter('frame'))}" for e in errors]
    return done.returncode, done.stdout + done.stderr[-3000:], told


def is_ours(element):
    """Whether a frame is of a library of ours."""
    return Path(element.text).name.startswith("kernels-")


@pytest.mark.parametrize("part", ["encode", "search", "train"])
@pytest.mark.parametrize("variant", LIBRARIES)
def test_memcheck_finds_nothing(libraries, variant, part, amount):
    found = run(libraries, variant, part, amount.seed(1), amount.rounds(200))
    assert found == (0, "whole\n", [])


@pytest.mark.parametrize("variant", LIBRARIES)
def test_memcheck_finds_an_array_that_is_too_short(libraries, variant):
    status, said, errors = run(libraries, variant, "too_short", 0, 0)
    assert (status, said) == (0, "whole\n")
    assert {error.partition(":")[0] for error in errors} == {"InvalidRead", "InvalidWrite"}


@pytest.mark.parametrize("variant", LIBRARIES)
def test_memcheck_finds_a_result_of_what_nobody_wrote(libraries, variant):
    status, said, _ = run(libraries, variant, "undefined", 0, 0)
    assert status == 1 and "AssertionError: ('undefined', 0, (32,)" in said
