"""What `import minembed` brings, and that what it leaves for later is found all the same."""

import os
import subprocess
import sys

import pytest
from places import ROOT

import minembed


def test_import_brings_numpy_and_the_facade_alone():
    """What computes comes with `load`: `import minembed` costs a tenth more than `import numpy`."""
    script = "import sys, numpy; before = set(sys.modules); import minembed; print(*sorted({*sys.modules} - before))"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    facade = {"errors", "types", "version", "models", "models.embedder", "models.misuse", "models.options"}
    facade |= {"runtime", "runtime.checks", "runtime.keywords"}
    assert {m for m in loaded if m.startswith("minembed")} == {"minembed", *(f"minembed.{m}" for m in facade)}
    others = {m for m in loaded if not m.startswith(("minembed", "_"))}
    assert {m for m in others if not m.startswith("numpy.")} <= {"copy", "dataclasses"}, others


def test_late_names_are_found():
    script = "from minembed import *; import minembed; print(*(n for n in minembed.__all__ if n not in globals()))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert found == []
    assert set(minembed.__all__) <= set(dir(minembed)) and isinstance(minembed.Embedder, type)
    with pytest.raises(AttributeError, match="'minembed' has no attribute 'Embeder'"):
        minembed.Embeder  # noqa: B018


def test_python_begun_in_a_checkout_finds_what_stands_beside_the_package():
    """There the folder `minembed` hides an installed one, as in a notebook that was started in a clone."""
    script = (
        "import sys; sys.meta_path = [x for x in sys.meta_path if 'editable' not in repr(x)]; "
        "import minembed.weights.checkpoint, minembed.kernels; print(*minembed.kernels.__path__)"
    )
    elsewhere = {name: value for name, value in os.environ.items() if name != "PYTHONSAFEPATH"}
    command = [sys.executable, "-c", script]
    found = subprocess.run(command, cwd=ROOT, env=elsewhere, capture_output=True, text=True, check=True)
    assert found.stdout.split() == [str(ROOT / "kernels")]
