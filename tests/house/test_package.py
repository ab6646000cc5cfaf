"""The house's rules, held by the machine: imports, budgets, doctests, and that every snippet of the docs runs."""

import ast
import doctest
import importlib
import inspect
import io
import os
import re
import shutil
import subprocess
import sys
import tokenize
from importlib.util import find_spec
from pathlib import Path

import pytest
from places import ROOT

PACKAGES = {"minembed": ROOT / "minembed", "minembed.weights": ROOT / "weights", "minembed.kernels": ROOT / "kernels"}


def module_files():
    """Map the import name of every module to its file."""
    found = {}
    for package, folder in PACKAGES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join([package, *(p for p in parts if p != "__init__")])] = path
    return found


FILES = module_files()
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


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


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory):
    """The three folders as a wheel lays them: an editable install hides minembed.kernels from what reads folders."""
    folder = tmp_path_factory.mktemp("laid")
    for package, source in PACKAGES.items():
        shutil.copytree(source, folder / package.replace(".", "/"), ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def test_arrows_only_point_down(laid_out):
    """The contracts stand in pyproject.toml."""
    command = [Path(sys.executable).with_name("lint-imports"), ROOT / "pyproject.toml", "--no-cache", "--no-logo"]
    environment = {**os.environ, "PYTHONPATH": str(laid_out)}
    found = subprocess.run(command, capture_output=True, text=True, cwd=laid_out, env=environment)
    assert found.returncode == 0 and "11 kept, 0 broken" in found.stdout, found.stdout


def test_nothing_but_the_table_names_the_kernels():
    for name, path in FILES.items():
        if name != "minembed.runtime.backend" and not name.startswith("minembed.kernels"):
            assert "minembed.kernels" not in path.read_text(encoding="utf-8"), name


# intrinsics are made of so many parameters, which Numba reads by name: one line of text, all of it from the source
EXEC_OF_FIXED_TEXT = ("minembed.kernels.vectors.simd", "minembed.kernels.vectors.atomics")


def test_nothing_is_run_on_the_word_of_a_file():
    forbidden = {"eval", "exec", "compile", "__import__"}
    for name, tree in TREES.items():
        assert not {"pickle", "marshal", "shelve", "torch", "transformers"} & {t.split(".")[0] for t in imports(name)}
        calls = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        if name in EXEC_OF_FIXED_TEXT:
            assert calls & forbidden == {"exec"}
            continue
        assert not calls & forbidden, f"{name} calls {calls & forbidden}"
        by_name = [
            n for n in ast.walk(tree) if isinstance(n, ast.Call) and ast.unparse(n.func).endswith("import_module")
        ]
        if not all(isinstance(call.args[0], ast.Constant) for call in by_name):
            assert name in ("minembed", "minembed.train", "minembed.runtime.backend", "minembed.cli"), (
                f"{name} imports by name; only the closed tables may"
            )


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
    import minembed.maps
    import minembed.train

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
    assert set(names) <= known  # what is none of the first three is brought by tokenizers, or small


def code_lines(source):
    """Line numbers that hold code: no docstrings, comments or blank lines."""
    lines = set()
    layout = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    skip = {*layout, tokenize.COMMENT, tokenize.ENDMARKER, tokenize.ENCODING}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in skip:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            lines -= set(range(node.lineno, node.end_lineno + 1))
    return lines


def test_the_encoder_is_short():
    assert len(code_lines(FILES["minembed.transformer.encoder"].read_text(encoding="utf-8"))) <= 150


@pytest.mark.parametrize("name", FILES)
def test_files_and_functions_are_short(name):
    source = FILES[name].read_text(encoding="utf-8")
    lines = code_lines(source)
    assert len(lines) <= 300, f"{name} has {len(lines)} lines of code: two ideas in one room?"
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.FunctionDef):
            body = lines & set(
                range(node.body[0].lineno, node.end_lineno + 1)
            )  # a signature of many options is no code
            assert len(body) <= 40, f"{name}.{node.name} has {len(body)} lines of code"


NEED_NUMBA = [] if find_spec("numba") else [name for name in FILES if name.startswith("minembed.kernels.")]
MODULES = {
    name: importlib.import_module(name) for name in FILES if not name.endswith("__main__") and name not in NEED_NUMBA
}


def test_every_package_is_listed_for_the_wheel():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.findall(r'"([a-z.]+)"', re.search(r"^packages = \[(.*?)\]", text, re.S | re.M).group(1))
    packages = {name for name, path in FILES.items() if path.name == "__init__.py"}
    assert set(listed) == packages


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(MODULES[name]).failed == 0


def public_functions():
    for name, module in MODULES.items():
        if name.startswith("minembed.cli"):
            continue  # commands: their examples are in the guide
        for attribute, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == name and not attribute.startswith("_"):
                yield f"{name}.{attribute}", value


# functions that emit LLVM's language, that work on pointers inside compiled code alone, or that are about code compiled
# and kept: what they do cannot be shown in a line of Python; tests/test_kernel_*.py show them at work
COMPILED = {
    f"minembed.kernels.{name}"
    for name in (
        *("vectors.simd", "vectors.emit", "tiles.dot", "tiles.registers", "compiled.cache", "helpers"),
        *("encoder.gemm", "encoder.attention", "encoder.elementwise", "encoder.run", "encoder.selftest"),
        *("encoder.sharing", "encoder.activations", "encoder.embeddings", "encoder.heads"),
        *("topk.scan", "topk.dot_bytes", "training.tier", "training.optimizer"),
    )
}
# functions whose example needs a checkpoint, a network or an extra; the guide and the tests show them at work
NEED_A_MODEL = {
    "minembed.runtime.backend": {"prepare"},
    "minembed.kernels.encoder.packing": {"by_heads", "pack", "layer_vectors", "pack_embeddings"},
    "minembed.search.topk": {"rank"},
    "minembed.search.index_cache": {"index_of"},
    "minembed.data.vectors": {"write_parquet"},
    "minembed.kernels.topk.tier": {"scan", "rescore"},
    "minembed.kernels.encoder.tier": {"prepare", "compile_kernels", "is_compiled", "signature"},
    "minembed.transformer.encoder": {
        *("embed", "normalize", "feed_forward", "self_attention", "transformer_layer", "add", "encode")
    },
    "minembed.transformer.tier": {"prepare"},
    "minembed.models.engine": {"find_prompt", "report_truncation"},
    "minembed.train.backward.vjp": {
        *("embed_vjp", "normalize_vjp", "feed_forward_vjp", "self_attention_vjp", "add_vjp"),
        *("transformer_layer_vjp", "encode_vjp"),
    },
    "minembed.maps.groups": {"kmeans", "hdbscan"},
    "minembed.maps.page": {"page", "describe", "fitted"},
    "minembed.maps.projection": {"tsne", "umap"},
    "minembed.maps.heat": {"draw_heat"},
    "minembed.maps.picture": {
        "draw",
        "figure",
        "settings",
        "save",
        "scatter",
        "legend",
        "note",
        "group_names",
        "write",
    },
    "minembed.train.masking": {"words_of"},
    "minembed.train.contrastive": {"train_contrastive", "identity"},
    "minembed.train.evaluation": {"evaluate", "sts_score", "retrieval_score"},
    "minembed.train.masked_lm": {"train_masked_lm", "masked_loss", "held_out"},
    "minembed.train.step": {"contrastive_gradients", "masked_gradients"},
    "minembed.train.trainer": {"train"},
    "minembed.search.index_model": {"name_of", "probe", "facts_of", "check_model"},
    "minembed.weights.sources.cache": {
        *("own_folder", "find_own", "hub_caches", "find_in_hub_caches"),
        *("shortcoming", "publish"),
    },
    "minembed.weights.directory": {"read_checkpoint"},
    "minembed.weights.families": {"find_family", "read_config", "read_params", "match"},
    "minembed.weights.families.bert": {"read_config", "read_roberta", "read_electra"},
    "minembed.weights.families.gemma": {"read_config", "fold"},
    **{
        f"minembed.weights.families.{name}": {"read_config"}
        for name in ("albert", "distilbert", "gte", "jina", "modernbert", "mpnet", "nomic", "qwen")
    },
    "minembed.runtime.files": {
        *("no_duplicates", "read_json", "read_json_value", "optional_json", "staging", "disk_error"),
    },
    "minembed.weights.cross_encoder": {"read_cross_encoder"},
    "minembed.weights.heads": {"read_classifier", "read_masked"},
    "minembed.models.fill_mask": {"special_id"},
    "minembed.weights.sources.hub": {"fetch"},
    "minembed.weights.sources.mirror": {"fetch"},
    "minembed.weights.layout": {"build", "shapes", "tensors"},
    "minembed.weights.quantized": {"save", "read", "quantized_layout"},
    "minembed.weights.static": {"read_static", "read_table", "write_settings"},
}


@pytest.mark.parametrize(("name", "function"), list(public_functions()))
def test_public_functions_are_documented_by_an_example(name, function):
    assert function.__doc__, f"{name} has no docstring"
    module, _, own = name.rpartition(".")
    if module not in COMPILED and own not in NEED_A_MODEL.get(module, ()):
        assert ">>>" in function.__doc__, f"{name} has no example"


def snippets(path):
    """The Python of a page, in order: each page is one program."""
    return "\n".join(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S))


PAGES = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))


@pytest.mark.weights
@pytest.mark.parametrize("page", [p for p in PAGES if snippets(p)], ids=lambda p: p.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippets(page), str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            file, _, anchor = target.partition("#")
            linked = (page.parent / file) if file else page
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
                assert anchor in slugs, f"{page.name} links to {target}"


COMMANDS = ("demo", "embed", "similarity", "search", "index", "dedupe", "map", "rerank")
COMMANDS += ("evaluate", "models", "pull", "info", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide_exist(command):
    assert f"minembed {command}" in (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    from click.testing import CliRunner

    from minembed.cli import main

    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_no_absolute_paths_of_a_machine():
    pattern = re.compile(r"(^|[^.A-Za-z/])/(tmp|work|root|home)/[A-Za-z]", re.M)
    for folder in ("minembed", "weights", "kernels", "docs", "bench"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".json", ".svg", ".toml") and ".work" not in path.parts:
                assert not pattern.search(path.read_text(encoding="utf-8")), path
