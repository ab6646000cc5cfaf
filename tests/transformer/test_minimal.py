"""docs/learn/minimal.py, the first thing that a student sees: short, of nothing of ours, and right."""

import ast
import importlib.util
import json
import subprocess
import sys

import numpy as np
import pytest
from examples import heavy
from places import ROOT

MINIMAL = ROOT / "docs" / "learn" / "minimal.py"
TEXTS = [
    "",
    " \n\t ",
    "Hi",
    "Knead the dough",
    "Knead  the\tDOUGH, until it is smooth!",
    "naïve café",
    "Привет, мир",
    "你好，世界。こんにちは",
    "नमस्ते दुनिया",
    "مرحبا بالعالم",
    "🤗 zero\u200bwidth, e\u0301 and \ufffd",
    "supercalifragilisticexpialidocious " * 9,
    "far beyond the limit, " * 400,
]
AT_THE_LIMIT = ["word " * 253 + "is the last but one of the 256 that are read"]


def test_it_is_short():
    assert len(MINIMAL.read_text(encoding="utf-8").splitlines()) <= 80


def test_it_imports_nothing_of_ours():
    tree = ast.parse(MINIMAL.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= {"json", "math", "sys", "pathlib", "numpy", "safetensors.numpy", "tokenizers"}


@pytest.fixture(scope="module")
def minimal():
    spec = importlib.util.spec_from_file_location("minimal", MINIMAL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.weights
@pytest.mark.parametrize("texts", [TEXTS, *heavy([AT_THE_LIMIT])])
def test_it_gives_the_vectors_of_encode(minimal, minilm, texts):
    folder = minilm.info()["folder"]
    expected = minilm.encode(texts, truncation="silent")
    for text, vector in zip(texts, expected, strict=True):
        found = minimal.embed(folder, text)
        assert found.shape == (384,) and found.dtype == np.float32
        np.testing.assert_allclose(found, vector, rtol=0, atol=1e-5, err_msg=repr(text[:40]))


@pytest.mark.weights
def test_it_runs_as_a_script(minilm):
    command = [sys.executable, str(MINIMAL), str(minilm.info()["folder"]), "Knead the dough"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    numbers = json.loads("[" + ",".join(out.strip("[] \n").split()) + "]")
    np.testing.assert_allclose(numbers, minilm.encode("Knead the dough"), rtol=0, atol=1e-5)
