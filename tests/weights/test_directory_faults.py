"""Damaged and hostile folders: each loads, or is refused by a MinembedError; nothing outside the folder is touched."""

import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import tiny
from faults import mutate_json
from module_cases import NORMALIZE, STACKS, Case, dense, write_case, write_stored
from places import GOLDENS_FOLDER
from settings_oracle import rewrite

from minembed import Embedder, Reranker
from minembed.errors import ConfigError, MinembedError, MinembedWarning, SourceError
from minembed.weights.cross_encoder import read_cross_encoder
from minembed.weights.directory import read_checkpoint

SETTINGS = ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json"]
SETTINGS += ["tokenizer_config.json", "config_sentence_transformers.json"]


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


@pytest.fixture
def setting(folder, request):
    """One of the files of the folder, which is such that the file is read."""
    if request.param == "tokenizer_config.json":
        (folder / "sentence_bert_config.json").unlink()  # it would say the length, and nothing else is asked for
    return folder / request.param


DAMAGE = {
    "empty": lambda text: "",
    "cut in half": lambda text: text[: len(text) // 2],
    "cut at the end": lambda text: text[: text.rindex("}")],
    "a list": lambda text: f"[{text}, 1]",
    "a number": lambda text: "1",
    "null": lambda text: "null",
    "twice": lambda text: text + text,
    "a key twice": lambda text: text.replace("{", '{"type": 1, "type": 2, ', 1),
    "nested": lambda text: text.replace("{", '{"deep": ' + "[" * 100_000 + "]" * 100_000 + ", ", 1),
    "nested without end": lambda text: "[" * 100_000,
    "a long number": lambda text: text.replace("{", '{"long": ' + "1" * 5000 + ", ", 1),
    "a byte-order mark": lambda text: "\ufeff" + text,
    "latin-1": lambda text: text.replace("{", '{"é": 1, ', 1).encode("latin-1"),
    "a NUL at the end": lambda text: text + "\0",
    "binary": lambda text: bytes(range(256)),
    "a web page": lambda text: "<!DOCTYPE html><html></html>",
}


@pytest.mark.parametrize("setting", SETTINGS, indirect=True)
@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files(folder, setting, damage):
    damaged = damage(setting.read_text(encoding="utf-8"))
    setting.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(MinembedError) as caught:
        read_checkpoint(folder)
    assert str(setting) in str(caught.value)


@pytest.mark.parametrize("setting", SETTINGS, indirect=True)
def test_folders_in_place_of_files(folder, setting):
    setting.unlink()
    setting.mkdir()
    with pytest.raises(MinembedError) as caught:
        Embedder.load(folder)
    assert str(setting) in str(caught.value)


def test_a_file_of_settings_beyond_all_measure(folder):
    with (folder / "config.json").open("wb") as file:  # a hole of 65 MB: it takes no room on disk
        file.truncate(65 << 20)
    with pytest.raises(MinembedError, match=r"config\.json has more than"):
        Embedder.load(folder)


FUZZED = ["a cat and the dog", "", "x" * 5000, "UPPER case", "the " * 30]


def load_and_encode(folder):
    """The model of a folder and its vectors, or None; anything but a MinembedError comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MinembedWarning)
        try:
            model = Embedder.load(folder, backend="numpy", threads=1)
            vectors = model.encode(FUZZED)
        except MinembedError as error:
            assert str(error)
            return None
    assert vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == 5 and np.isfinite(vectors).all()
    return model, vectors


def load_mutants(folder, path, seed, n, rewritten):
    """Count what loads and what is refused; what loads gives the vectors of what its settings mean, written plainly."""
    dice, content, outcomes = random.Random(seed), path.read_text(encoding="utf-8"), {True: 0, False: 0}
    for _ in range(n):
        mutant = mutate_json(dice, content)
        path.write_bytes(mutant)
        try:
            loaded = load_and_encode(folder)
            outcomes[loaded is not None] += 1
            if loaded and rewritten:
                model, vectors = loaded
                shutil.rmtree(rewritten, ignore_errors=True)
                plain, expected = load_and_encode(rewrite(folder, rewritten))
                np.testing.assert_array_equal(vectors, expected, strict=True)
                np.testing.assert_array_equal(model.similarity(vectors, vectors), plain.similarity(expected, expected))
        except BaseException as error:
            raise AssertionError(f"{path.name}: {mutant!r}") from error
    path.write_text(content, encoding="utf-8")
    return outcomes


@pytest.mark.parametrize("setting", ["tokenizer.json"], indirect=True)
def test_mutated_tokenizers(folder, setting):
    outcomes = load_mutants(folder, setting, seed=7, n=400, rewritten=None)
    assert min(outcomes.values()) > 5, outcomes  # neither side of the law is empty


@pytest.mark.slow
@pytest.mark.parametrize("setting", ["tokenizer.json"], indirect=True)
@pytest.mark.parametrize("seed", range(10, 15))
def test_many_mutated_tokenizers(folder, setting, seed, amount):
    load_mutants(folder, setting, amount.seed(seed), amount.rounds(1000), rewritten=None)


OVERALL = {"prompts": {"query": "the ", "x": "a "}, "default_prompt_name": "x", "similarity_fn_name": "dot"}
RICH = {  # folders with a module of every kind, and settings of every kind
    "old": Case(
        ["max", "mean"],
        modules=(("LayerNorm", {"dimension": 64}), dense(64, 24, "GELU", use_residual=True), NORMALIZE, dense(24, 24)),
        overall=OVERALL | {"truncate_dim": 20},
    ),
    "new": STACKS["everything"],
}
FILES = ["config.json", "modules.json", "1_Pooling/config.json", "sentence_bert_config.json", "tokenizer_config.json"]
FILES += ["config_sentence_transformers.json", "2_LayerNorm/config.json", "3_Dense/config.json"]


@pytest.fixture(params=RICH)
def rich(request, tmp_path):
    """A folder with all there is, in the old spelling and as sentence-transformers 6.2 wrote it."""
    if request.param == "old":
        return write_case(tmp_path / "rich", RICH["old"])
    golden = np.load(GOLDENS_FOLDER / "modules" / "stacks.npz")
    return write_stored(tmp_path / "rich", golden, "everything")


def mutate_settings(folder, name, seed, n):
    if name == "tokenizer_config.json" and "max_seq_length" in (folder / SETTINGS[3]).read_text():
        (folder / SETTINGS[3]).unlink()  # it would say the length, and nothing else is asked for
    outcomes = load_mutants(folder, folder / name, seed, n, folder.parent / "rewritten")
    if 10 < n < 100:
        return  # in so few there may be none by chance
    assert outcomes[False] > n // 50, outcomes
    assert outcomes[True] > n // 50 or len((folder / name).read_text()) < 200, outcomes  # little can change in those


@pytest.mark.parametrize("name", FILES)
def test_mutated_settings(rich, name):
    mutate_settings(rich, name, seed=7, n=10)


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("seed", range(10, 14))
def test_many_mutated_settings(rich, name, seed, amount):
    mutate_settings(rich, name, amount.seed(seed), amount.rounds(500))


# ---- the world outside the folder ----

SPELLINGS = r"""
.. ../ ../outside ../../model/../outside ./../outside 1_Pooling/../../outside 1_Pooling/.. 1_Pooling/../1_Pooling
.//../outside a/b/../../../outside ..// /.. / // //outside //server/share C:/outside C:\outside C:outside \outside
\\server\share ..\outside 1_Pooling\..\..\outside ..\ link link/.. link/1_Pooling link/../outside
file:///outside 1_Pooling:stream NUL: ~/../../outside""".split()
SPELLINGS += ["1_Pooling\0", "\0", "../outside\0", "../ ", "../../."]
HARMLESS = [
    "...",
    " ../outside",
    "~",
    "~root",
    "%2e%2e/outside",
    "．．/outside",
    "..%2foutside",
    "\u2025/outside",
    "1_Pooling\n",
]

OUTSIDE = r"""
import json, sys
from pathlib import Path
folder, outside, spellings = Path(sys.argv[1]), Path(sys.argv[2]), json.loads(sys.argv[3])
from minembed import Embedder
from minembed.errors import MinembedError
from minembed.weights.directory import read_checkpoint

model = Embedder.load(folder, backend="numpy")  # what is imported late is imported now
expected = model.encode(["a cat"]).tobytes()
modules = json.loads((folder / "modules.json").read_text())
events, core_count = [], "/sys/fs/cgroup/"
own = (str(folder), str(folder.resolve()))

FORBIDDEN = ("os.listdir", "os.scandir", "socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn")
FORBIDDEN += ("os.fork", "import", "exec", "compile", "pickle.", "marshal.", "ctypes.")

def watch(event, arguments):
    if event == "open" and not str(arguments[0]).startswith((*own, core_count)):
        events.append((event, str(arguments[0])))
    elif event.startswith(FORBIDDEN):
        events.append((event, str(arguments)))

sys.addaudithook(watch)
assert Embedder.load(folder, backend="numpy").encode(["a cat"]).tobytes() == expected
accepted = []
for spelling in spellings:
    for i in (0, 1, 2):
        changed = [m | {"path": spelling} if m["idx"] == i else m for m in modules]
        (folder / "modules.json").write_text(json.dumps(changed))
        try:
            read_checkpoint(folder)
            accepted.append((i, spelling))
        except MinembedError:
            pass
print(json.dumps({"events": events, "accepted": accepted}))
"""


def test_loading_touches_nothing_outside_the_folder(folder):
    """Every path of modules.json that leads out, over a checkpoint that lies there ready to be read by mistake."""
    shutil.copytree(folder, folder.parent / "outside")
    (folder / "link").symlink_to(folder.parent / "outside")
    for name in (SETTINGS[0], SETTINGS[3], "tokenizer.json"):
        shutil.copy(folder / name, folder.parent)
    spellings = json.dumps(SPELLINGS + HARMLESS + [str(folder.parent / "outside"), str(folder / "1_Pooling")])
    command = [sys.executable, "-c", OUTSIDE, str(folder), str(folder.parent / "outside"), spellings]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, cwd=folder.parent, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["events"] == []
    assert [pair for pair in found["accepted"] if pair[0] < 2] == []  # nothing is read from the folder of Normalize
    assert {spelling for _, spelling in found["accepted"]} <= set(HARMLESS)


EVIL = "evil_code.X"
NAMES = [
    ("config.json", "auto_map", {"AutoModel": EVIL, "AutoConfig": f"org/repo--{EVIL}"}),
    ("config.json", "x", EVIL),
]
NAMES += [("config.json", key, EVIL) for key in ("model_type", "hidden_act", "architectures", "tokenizer_class")]
NAMES += [
    ("config.json", key, value) for key, value in (("trust_remote_code", True), ("custom_pipelines", {"x": EVIL}))
]
NAMES += [
    ("config.json", key, EVIL) for key in ("position_embedding_type", "dtype", "torch_dtype", "quantization_config")
]
NAMES += [
    ("tokenizer_config.json", "auto_map", {"AutoTokenizer": [EVIL, EVIL]}),
    ("sentence_bert_config.json", "x", EVIL),
]
NAMES += [("tokenizer_config.json", key, EVIL) for key in ("tokenizer_class", "tokenizer_file", "chat_template", "x")]
NAMES += [("sentence_bert_config.json", "model_args", {"trust_remote_code": True, "attn_implementation": EVIL})]
NAMES += [("sentence_bert_config.json", f"{k}_args", {"auto_map": EVIL}) for k in ("model", "config", "tokenizer")]
NAMES += [("1_Pooling/config.json", key, EVIL) for key in ("pooling_mode", "type", "embedding_dimension")]
NAMES += [("3_Dense/config.json", "activation_function", name) for name in (EVIL, "torch.nn.Softmax", "os.system")]
NAMES += [("3_Dense/config.json", "activation_function", f"torch.{EVIL}"), ("3_Dense/config.json", "x", EVIL)]
NAMES += [("config_sentence_transformers.json", key, EVIL) for key in ("similarity_fn_name", "model_type", "prompts")]
KINDS = [
    EVIL,
    "evil_code",
    "os.system",
    "sentence_transformers.models.evil_code.Dense",
    f"sentence_transformers.{EVIL}",
]
KINDS += [
    f"sentence_transformers.models.{name}" for name in ("CLIPModel", "WordEmbeddings", "BoW", "CNN", "LSTM", "Asym")
]
KINDS += ["sentence_transformers.models.WeightedLayerPooling", "sentence_transformers.base.modules.router.Router"]

BY_NAME = r"""
import json, sys
from pathlib import Path
folder, names, kinds = Path(sys.argv[1]), json.loads(sys.argv[2]), json.loads(sys.argv[3])
sys.path[:0] = [str(folder), str(folder.parent)]  # evil_code.py lies in both
import warnings
warnings.simplefilter("ignore")
from minembed import Embedder
from minembed.errors import MinembedError

assert len(Embedder.load(folder, backend="numpy").encode(["a cat"])) == 1  # what is imported late is imported now
events, loaded, refused, known = [], [], {}, set(sys.modules)

FORBIDDEN = ("os.listdir", "os.scandir", "socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "os.posix_spawn")
FORBIDDEN += ("os.fork", "import", "exec", "compile", "pickle.", "marshal.", "ctypes.")

def watch(event, arguments):
    if event == "open" and not str(arguments[0]).startswith((str(folder), "/sys/fs/cgroup/")):
        events.append((event, str(arguments[0])))
    elif event == "open" and str(arguments[0]).endswith(".py"):
        events.append((event, str(arguments[0])))
    elif event.startswith(FORBIDDEN):
        events.append((event, str(arguments)))

def attempt(path, content, what):
    before = path.read_text()
    path.write_text(json.dumps(content))
    try:
        Embedder.load(folder, backend="numpy").encode(["a cat"])
        loaded.append(what)
    except MinembedError as error:
        refused[json.dumps(what)] = str(error)
    path.write_text(before)

sys.addaudithook(watch)
for file, key, value in names:
    attempt(folder / file, json.loads((folder / file).read_text()) | {key: value}, [file, key])
modules = json.loads((folder / "modules.json").read_text())
for kind in kinds:
    for i in range(len(modules)):
        changed = [m | {"type": kind} if m["idx"] == i else m for m in modules]
        attempt(folder / "modules.json", changed, [kind, i])
assert set(sys.modules) == known
print(json.dumps({"events": events, "loaded": loaded, "refused": refused}))
"""


def test_nothing_is_imported_by_a_name_from_a_file(rich):
    for place in (rich, rich.parent):
        (place / "evil_code.py").write_text("raise SystemExit('run')")
    command = [sys.executable, "-c", BY_NAME, str(rich), json.dumps(NAMES), json.dumps(KINDS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["events"] == []
    harmless = {"auto_map", "x", "architectures", "tokenizer_class", "trust_remote_code", "custom_pipelines", "dtype"}
    harmless |= {"torch_dtype", "model_args", "chat_template", "tokenizer_file"}
    assert {key for _, key in found["loaded"]} <= harmless  # what no number hangs on
    for kind in KINDS:
        for i in range(len(json.loads((rich / "modules.json").read_text()))):
            message = found["refused"][json.dumps([kind, i])]
            assert repr(kind) in message and "known: Transformer, Pooling, Dense" in message and "choose" in message


def test_the_tokenizer_has_no_settings_that_lead_out(folder, tmp_path):
    """tokenizer.json is data: a path in it is a name like any other."""
    layout = json.loads((folder / "tokenizer.json").read_text())
    layout["model"]["vocab_file"] = str(tmp_path / "vocab.txt")
    tiny.write_json(folder / "tokenizer.json", layout)
    assert load_and_encode(folder)
    assert not Path(tmp_path / "vocab.txt").exists()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
@pytest.mark.parametrize("kind", ["pipe", "device"])
@pytest.mark.parametrize(
    "name", ["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"]
)
def test_what_is_no_file_is_not_read(tiny_checkpoint, tmp_path, name, kind):
    """A pipe would be waited for, and a device has no end."""
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place)
    (place / name).unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(place / name)
    else:
        (place / name).symlink_to("/dev/zero")
    with pytest.raises(MinembedError):
        Embedder.load(place, backend="numpy")


@pytest.mark.parametrize("i", range(3))
def test_paths_that_are_too_long(tiny_checkpoint, tmp_path, i):
    for path in ("n" * 300, "d/" * 2500 + "d"):
        place = tmp_path / "model"
        shutil.copytree(tiny_checkpoint, place, dirs_exist_ok=True)
        modules = [dict(module) for module in tiny.MODULES]
        modules[i]["path"] = path
        tiny.write_json(place / "modules.json", modules)
        with pytest.raises(ConfigError, match=r"modules\.json: path '.*' is too long for this system"):
            Embedder.load(place, backend="numpy")
        tiny.write_json(place / "config_sentence_transformers.json", {"model_type": "CrossEncoder"})
        tiny.write_json(place / "modules.json", [{**modules[0], "path": path}])
        with pytest.raises(ConfigError, match=r"modules\.json: path '.*' is too long for this system"):
            Reranker.load(place, backend="numpy")


@pytest.mark.parametrize("name", ["n" * 300, "d/" * 2500, "a\0", "a\ud800"])
def test_names_that_no_folder_has(name):
    for load in (Embedder.load, Reranker.load):
        with pytest.raises(MinembedError):
            load(name, local_files_only=True)
        with pytest.raises(MinembedError):
            load("org/name", revision=name, local_files_only=True)
    for read in (read_checkpoint, read_cross_encoder):
        with pytest.raises(SourceError, match="does not exist"):
            read(Path(name))


def test_a_tokenizer_of_gigabytes_is_not_read(tiny_checkpoint, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place)
    with (place / "tokenizer.json").open("r+b") as file:
        file.truncate(3 << 30)  # sparse
    with pytest.raises(MinembedError, match=r"tokenizer\.json cannot be read \(it has more than"):
        Embedder.load(place, backend="numpy")


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_an_older_vocabulary_of_gigabytes_is_not_read(tiny_checkpoint, tmp_path, name):
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place)
    (place / "tokenizer.json").unlink()
    tiny.write_json(place / "tokenizer_config.json", {"tokenizer_class": "RobertaTokenizer"})
    tiny.write_json(place / "vocab.json", {"a": 0})
    (place / "merges.txt").write_text("")
    with (place / name).open("r+b") as file:
        file.truncate(3 << 30)  # sparse
    with pytest.raises(MinembedError, match=rf"{name} cannot be read \(it has more than"):
        Embedder.load(place, backend="numpy")
