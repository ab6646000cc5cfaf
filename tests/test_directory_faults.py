"""Damaged and hostile folders: each loads, or is refused by a MinembedError; nothing outside the folder is touched."""

import json
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

from minembed import Embedder
from minembed.errors import MinembedError, MinembedWarning
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


def load_and_encode(folder):
    """Whether a folder loads and gives vectors; anything but a MinembedError comes out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MinembedWarning)
        try:
            vectors = Embedder.load(folder, threads=1).encode(["a cat and the dog", "", "x" * 5000])
        except MinembedError as error:
            assert str(error)
            return False
    assert vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == 3 and np.isfinite(vectors).all()
    return True


def load_mutants(folder, path, seed, n):
    dice, content, outcomes = random.Random(seed), path.read_text(encoding="utf-8"), {True: 0, False: 0}
    for _ in range(n):
        mutant = mutate_json(dice, content)
        path.write_bytes(mutant)
        try:
            outcomes[load_and_encode(folder)] += 1
        except BaseException as error:
            raise AssertionError(f"{path.name}: {mutant!r}") from error
    return outcomes


@pytest.mark.parametrize("setting", [*SETTINGS, "tokenizer.json"], indirect=True)
def test_mutated_files(folder, setting):
    outcomes = load_mutants(folder, setting, seed=7, n=400 if setting.name == "tokenizer.json" else 100)
    assert min(outcomes.values()) > 5, outcomes  # neither side of the law is empty


@pytest.mark.slow
@pytest.mark.parametrize("setting", [*SETTINGS, "tokenizer.json"], indirect=True)
@pytest.mark.parametrize("seed", range(10, 15))
def test_many_mutated_files(folder, setting, seed):
    load_mutants(folder, setting, seed, n=1000)


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

model = Embedder.load(folder)  # what is imported late is imported now
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
assert Embedder.load(folder).encode(["a cat"]).tobytes() == expected
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


def test_the_tokenizer_has_no_settings_that_lead_out(folder, tmp_path):
    """tokenizer.json is data: a path in it is a name like any other."""
    layout = json.loads((folder / "tokenizer.json").read_text())
    layout["model"]["vocab_file"] = str(tmp_path / "vocab.txt")
    tiny.write_json(folder / "tokenizer.json", layout)
    assert load_and_encode(folder)
    assert not Path(tmp_path / "vocab.txt").exists()
