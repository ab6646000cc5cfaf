"""What all integrations share, without any framework: settings, held models, and what importing them brings.

The frameworks themselves are in the files check_*.py, which `make test-integrations` runs in environments of their own.
"""

import copy
import inspect
import json
import pickle
import re
import subprocess
import sys
from threading import Barrier, Thread

import golden_heads
import numpy as np
import pytest
from places import ROOT

from minembed import Embedder, MinembedError, Reranker
from minembed.integrations.models import DEFAULT_MODEL, HeldEmbedder, HeldReranker
from minembed.integrations.settings import GivenRerankSettings, GivenSettings, RerankSettings, Settings

# the file of each framework, the package that it imports, the extra that brings it
FRAMEWORKS = {
    "bertopic": ("bertopic", "bertopic"),
    "chroma": ("chromadb", "chroma"),
    "haystack": ("haystack", "haystack"),
    "keybert": ("keybert", "keybert"),
    "langchain": ("langchain_core", "langchain"),
    "llama_index": ("llama_index", "llama-index"),
    "mteb": ("mteb", "mteb"),
    "sklearn": ("sklearn", "sklearn"),
    "txtai": ("txtai", "txtai"),
}
ALONE = ("bertopic", "keybert")  # come without what their metadata ask for, so beside their extras


def test_all_are_known():
    folder = ROOT / "minembed" / "integrations"
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "models", "settings"} == FRAMEWORKS.keys()
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in project for _, extra in FRAMEWORKS.values())


def test_the_page_has_measured_each():
    page = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    measured = re.findall(r"^\| `minembed(?:\[([\w-]*)\])?`.*\| [\d.]+ \|$", page, re.M)
    assert measured[0] == "" and set(measured[1:]) == {extra for _, extra in FRAMEWORKS.values()}


def run(script):
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.strip()


def test_no_framework_is_imported_before_its_file():
    packages = {package for package, _ in FRAMEWORKS.values()} | {"pydantic", "torch", "pandas"}
    script = f"import sys, minembed, minembed.integrations; print(*({packages!r} & set(sys.modules)))"
    assert run(script) == ""


def test_a_missing_framework_is_named_with_its_extra():
    script = [
        "import importlib, sys",
        "from minembed.errors import MissingExtraError",
        f"for name, (package, _) in {FRAMEWORKS!r}.items():",
        "    sys.modules[package] = None",
        "    try: importlib.import_module(f'minembed.integrations.{name}')",
        "    except MissingExtraError as error: print(name, error)",
    ]
    said = dict(line.split(" ", 1) for line in run("\n".join(script)).splitlines())
    assert said.keys() == FRAMEWORKS.keys()
    for name, (_, extra) in FRAMEWORKS.items():
        alone = f"; pip install --no-deps {name}" if name in ALONE else ""
        assert said[name].endswith(f"is not installed: pip install 'minembed[{extra}]'{alone}")


@pytest.mark.parametrize(
    ("settings", "given", "sources"),
    [
        (Settings, GivenSettings, (Embedder.load, Embedder.encode)),
        (RerankSettings, GivenRerankSettings, (Reranker.load, Reranker.predict)),
    ],
)
def test_settings_are_those_of_the_models(settings, given, sources):
    """Same names, same defaults, and none that `load` or the methods do not take."""
    known = {name: p.default for source in sources for name, p in inspect.signature(source).parameters.items()}
    own = {name: p.default for name, p in inspect.signature(settings).parameters.items()}
    assert own.items() <= known.items()
    assert own.keys() == given.__annotations__.keys()
    assert DEFAULT_MODEL == inspect.signature(Embedder.load).parameters["name"].default


def test_held_models_give_the_vectors_of_encode(tiny_checkpoint, tiny_model):
    held = HeldEmbedder(tiny_checkpoint, Settings(truncate_dim=8, prompt="the "))
    texts = ["cat and dog", "", "rain"]
    expected = tiny_model.encode(texts, truncate_dim=8, prompt="the ")
    assert np.array_equal(held.documents(texts), expected) and np.array_equal(held.query("rain"), expected[2])


def test_configurations_build_the_same_again(tiny_checkpoint):
    how = {"backend": "numpy", "dtype": "int8", "max_seq_length": 7, "prompts": {"query": "the "}, "truncate_dim": 9}
    for model in (tiny_checkpoint, Embedder.load(tiny_checkpoint, **how)):
        held = HeldEmbedder(model, Settings(truncation="silent", batch_size=np.int64(3)))
        config = json.loads(json.dumps(held.config()))
        again = HeldEmbedder(config.pop("model"), Settings(**config))
        assert np.array_equal(
            again.query("the cat in the tree, with bread"), held.query("the cat in the tree, with bread")
        )
        assert again.config() == held.config()


def test_what_was_given_is_pickled(tiny_checkpoint, tiny_model):
    by_name, loaded = (HeldEmbedder(model, Settings()) for model in (tiny_checkpoint, tiny_model))
    expected = by_name.query("cat")
    small, large = (pickle.dumps(held) for held in (by_name, loaded))
    assert len(small) < 1000 < len(large)
    assert all(np.array_equal(pickle.loads(dumped).query("cat"), expected) for dumped in (small, large))


def test_copies_share_what_does_not_change(tiny_model, tmp_path):
    reranker = Reranker.load(golden_heads.write_checkpoint("bert", "classifier", tmp_path))
    assert copy.deepcopy(tiny_model) is tiny_model and copy.deepcopy([reranker])[0] is reranker


def test_threads_load_a_model_once(tiny_checkpoint):
    held, found, together = HeldEmbedder(tiny_checkpoint, Settings()), [], Barrier(4)

    def ask():
        together.wait()
        found.append(held.model)

    threads = [Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and len(set(map(id, found))) == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: HeldEmbedder(3, Settings()), "model is int: give a name, a folder, or a loaded Embedder"),
        (lambda model: HeldReranker(model, RerankSettings()), "model is Embedder: .* or a loaded Reranker"),
        (lambda model: HeldEmbedder(model, Settings(dtype="int8")), "say dtype= to Embedder.load"),
        (lambda model: Settings(backend="torch"), "backend 'torch'"),
        (lambda model: Settings(threads=0), "threads must be a whole number"),
        (lambda model: Settings(truncate_dim=0), "truncate_dim must be a whole number"),
        (lambda model: RerankSettings(truncation="cut"), "truncation must be one of"),
        (lambda model: HeldEmbedder(model, Settings()).query(["a"]), "a query is a str, not list"),
        (lambda model: HeldEmbedder(model, Settings()).documents("a"), "texts is str; give a list"),
        (lambda model: HeldEmbedder(model, Settings()).documents(["a", None]), r"texts\[1\] is missing"),
    ],
)
def test_bad_input_is_named(call, message, tiny_model):
    with pytest.raises(MinembedError, match=message):
        call(tiny_model)
