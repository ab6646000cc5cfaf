"""The house's rules on imports: arrows only point down, and what may be imported where."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from modules_of_package import FILES, TREES
from places import ROOT, TESTS

import minembed
import minembed.maps
import minembed.train


def type_checking_only(tree):
    return {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }


def imports(name):
    """The modules that a module imports, anywhere in it, but for types."""
    tree, skipped = TREES[name], type_checking_only(TREES[name])
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import in line {node.lineno}"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in FILES else node.module


def test_arrows_only_point_down(laid_out):
    """The contracts stand in pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), ROOT / "pyproject.toml", "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": str(laid_out)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=laid_out, env=environment)
    assert found.returncode == 0 and "14 kept, 0 broken" in found.stdout, found.stdout


def test_nothing_but_the_table_names_the_kernels():
    for name, path in FILES.items():
        if name != "minembed.runtime.backend" and not name.startswith("minembed.kernels"):
            assert "minembed.kernels" not in path.read_text(encoding="utf-8"), name


# intrinsics are made of so many parameters, which Numba reads by name: one line of text, all of it from the source
EXEC_OF_FIXED_TEXT = (
    "minembed.kernels.vectors.vector",
    "minembed.kernels.vectors.atomics",
    "minembed.kernels.tiles.amx",
    "minembed.kernels.compiled.calling",  # lines that check and pack arguments, by the kinds in the table of entries
)
CLOSED_TABLES = (
    *("minembed", "minembed.train", "minembed.runtime.backend", "minembed.cli", "minembed.weights.families"),
    *("minembed.kernels.compiled.just_in_time", "minembed.kernels.ahead.emission"),  # of kernels/entries.py
)


def test_nothing_is_run_on_the_word_of_a_file():
    forbidden = {"eval", "exec", "compile", "__import__"}
    for name, tree in TREES.items():
        known = {"torch"} if name == "minembed.sentence_transformers.tensors" else set()
        known |= {"runpy"} if name == "minembed.study.exercises.runner" else set()  # runs what a learner wrote
        known |= {"pickle"} if name == "minembed.jobs.ray_desk" else set()  # of a worker of the same job, through Ray
        unsafe = {"pickle", "marshal", "shelve", "runpy", "torch", "transformers"} - known
        assert not unsafe & {t.split(".")[0] for t in imports(name)}
        calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        if name in EXEC_OF_FIXED_TEXT:
            assert calls & forbidden == {"exec"}
            continue
        assert not calls & forbidden, f"{name} calls {calls & forbidden}"
        by_name = [
            n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("import_module")
        ]
        if not all(isinstance(call.args[0], ast.Constant) for call in by_name):
            assert name in CLOSED_TABLES, f"{name} imports by name; only the closed tables may"


def test_references_are_imported_by_what_compares_with_them_alone():
    for path in (ROOT / "tests").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        names = {alias.name.partition(".")[0] for n in nodes if isinstance(n, ast.Import) for alias in n.names}
        names |= {(n.module or "").partition(".")[0] for n in nodes if isinstance(n, ast.ImportFrom)}
        if not re.fullmatch(r"make_\w*goldens\.py|verify_models\.py", path.name):
            assert not names & {"torch", "transformers", "sentence_transformers", "onnxruntime"}, path


def test_import_is_light():
    script = "import sys, minembed; print(*sorted({m.partition('.')[0] for m in sys.modules}))"
    loaded = set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )
    heavy = {"numba", "llvmlite", "tokenizers", "safetensors", "huggingface_hub", "click", "tqdm", "threadpoolctl"}
    assert not loaded & {*heavy, "torch", "scipy", "requests", "urllib3", "httpx", "asyncio", "multiprocessing"}


def test_public_names_are_found_where_they_are_documented():
    for package in (minembed, minembed.maps, minembed.train):
        for name in package.__all__:
            assert getattr(package, name) is not None
        with pytest.raises(AttributeError, match="has no attribute 'other'"):
            _ = package.other
    from minembed.train.contrastive import train_contrastive
    from minembed.train.data import Examples
    from minembed.train.masked import train_masked_lm

    assert minembed.train.Examples is Examples and minembed.train.train_masked_lm is train_masked_lm
    assert minembed.train.train_contrastive is train_contrastive


def test_core_dependencies_are_few():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = re.findall(r'"([A-Za-z_]+)', re.search(r"^dependencies = \[(.*?)\]", text, re.S | re.M).group(1))
    known = {"numpy", "tokenizers", "safetensors", "threadpoolctl", "click", "tqdm", "huggingface_hub", "filelock"}
    known |= {"platformdirs"}
    assert set(names) <= known  # what is none of the first three is brought by tokenizers, or small


def test_every_package_is_listed_for_the_wheel():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r'"([a-z._]+)"', re.search(r"^packages = \[(.*?)\]", text, re.S | re.M).group(1))
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    assert set(listed) == packages


def imported(path):
    """The names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def test_no_test_imports_another():
    """What several tests need is in tests/support."""
    tests = {path.stem for path in TESTS.rglob("test_*.py")} | {"conftest"}
    assert len(tests) == len(list(TESTS.rglob("test_*.py"))) + 1  # pytest wants the names to differ
    by_text = re.compile(rf"(?m)^[ \t]*(from|import) ({'|'.join(sorted(tests - {'conftest'}))})\b")
    for path in TESTS.rglob("*.py"):
        assert not tests & set(imported(path)), path
        assert not by_text.search(path.read_text(encoding="utf-8")), path  # nor what a process of its own is handed
    assert not [path for path in (TESTS / "support").glob("test_*.py")]
