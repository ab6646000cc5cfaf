"""What type checkers make of a user's script: they know what comes back, and catch a value that does not exist."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT, SUPPORT

SCRIPT = SUPPORT / "user_script.py"
GUIDE_ERRORS = ['    model.encode(["fine", None])']  # which the guide shows as one


def run(module, *arguments, laid_out, cwd):
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(laid_out)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def mypy_errors(script, laid_out, *options):
    """The lines that mypy objects to."""
    cache = ("--cache-dir", laid_out / ".mypy_cache")
    done = run("mypy", "--no-error-summary", *cache, *options, script, laid_out=laid_out, cwd=script.parent)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(rf"^{re.escape(script.name)}:(\d+): error: .*$", done.stdout, re.M)
    return sorted({int(line) for line in found}), done.stdout


def pyright_errors(script, laid_out):
    """The lines that basedpyright objects to."""
    settings = {"extraPaths": [str(laid_out)], "typeCheckingMode": "standard", "include": [script.name]}
    (script.parent / "pyrightconfig.json").write_text(json.dumps(settings))
    done = run("basedpyright", "--outputjson", "--project", script.parent, laid_out=laid_out, cwd=script.parent)
    found = json.loads(done.stdout)["generalDiagnostics"]
    errors = [item for item in found if item["severity"] == "error"]
    return sorted({item["range"]["start"]["line"] + 1 for item in errors}), json.dumps(errors, indent=1)


def marked(script):
    lines = script.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, 1) if line.endswith("# error")]


def copied(tmp_path):
    script = tmp_path / SCRIPT.name
    script.write_text(SCRIPT.read_text(encoding="utf-8"), encoding="utf-8")
    return script


def test_mypy_knows_the_types_and_catches_wrong_values(laid_out, tmp_path):
    script = copied(tmp_path)
    found, said = mypy_errors(script, laid_out, "--strict")
    assert found == marked(script), said


@pytest.mark.skipif(not find_spec("basedpyright"), reason="needs the extra `types`")
def test_basedpyright_knows_the_types_and_catches_wrong_values(laid_out, tmp_path):
    script = copied(tmp_path)
    found, said = pyright_errors(script, laid_out)
    assert found == marked(script), said


def test_mypy_accepts_the_snippets_of_the_guide(laid_out, tmp_path):
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    script: Path = tmp_path / "guide.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", guide, re.S)), encoding="utf-8")
    found, said = mypy_errors(script, laid_out, "--allow-untyped-globals")
    lines = script.read_text(encoding="utf-8").splitlines()
    assert [lines[number - 1] for number in found] == GUIDE_ERRORS, said
