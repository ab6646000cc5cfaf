"""What type checkers make of a user's script: they know what comes back, and catch a value that does not exist."""

import json
import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest
from places import ROOT, SUPPORT

SCRIPT = SUPPORT / "user_script.py"
GUIDE_ERRORS = ['    model.encode(["fine", None])']  # which the guide shows as one


def run(module, *arguments, laid_out, cwd):
    command = [sys.executable, "-P" if sys.version_info >= (3, 11) else "-s", "-m", module, *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(laid_out)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture(scope="module")
def mypy_errors(laid_out, tmp_path_factory):
    """The lines that mypy objects to, by file, and all that it says: one run reads the script and the guide."""
    folder = tmp_path_factory.mktemp("mypy")
    guide = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    snippets = "\n".join(re.findall(r"```python\n(.*?)```", guide, re.S))
    (folder / "guide.py").write_text(snippets, encoding="utf-8")
    (folder / "mypy.ini").write_text("[mypy]\nstrict = true\n[mypy-guide]\nallow_untyped_globals = true\n")
    options = ("--no-error-summary", "--cache-dir", folder / "cache", "--config-file", "mypy.ini")
    done = run("mypy", *options, copied(folder).name, "guide.py", laid_out=laid_out, cwd=folder)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    found = re.findall(r"^(\S+):(\d+): error: .*$", done.stdout, re.M)
    errors = {name: sorted({int(n) for file, n in found if file == name}) for name in ("guide.py", SCRIPT.name)}
    return errors, snippets.splitlines(), done.stdout


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


def test_mypy_knows_the_types_and_catches_wrong_values(mypy_errors):
    errors, _, said = mypy_errors
    assert errors[SCRIPT.name] == marked(SCRIPT), said


@pytest.mark.skipif(not find_spec("basedpyright"), reason="needs the extra `types`")
def test_basedpyright_knows_the_types_and_catches_wrong_values(laid_out, tmp_path):
    script = copied(tmp_path)
    found, said = pyright_errors(script, laid_out)
    assert found == marked(script), said


def test_mypy_accepts_the_snippets_of_the_guide(mypy_errors):
    errors, guide, said = mypy_errors
    assert [guide[number - 1] for number in errors["guide.py"]] == GUIDE_ERRORS, said
