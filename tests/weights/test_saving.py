"""Saving: what sentence-transformers and minembed load, bit for bit; whole or not at all, whatever happens."""

import errno
import hashlib
import json
import os
import random
import shutil
import stat
import subprocess
import sys
import time
from pathlib import Path

import faults
import golden_families as families
import numpy as np
import pytest
from examples import thinned
from faults import SMALL
from interrupts import interrupt as interrupt_often
from interrupts import needs_timer, seconds_of
from module_cases import FILES, STACKS, TEXTS, write_case
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from tiny import write_int8, write_json, write_tiny_checkpoint

from minembed import Embedder
from minembed.errors import ConfigError, InputError, MinembedError, SourceError, WeightsError
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES
from minembed.weights.modules import read_module_params
from minembed.weights.saving import StoredTensors, save_checkpoint, write_tensors
from minembed.weights.tensors import TensorFiles

NAMED = [(file, name) for file, cases in FILES.items() for name in cases]
# of the folders that are saved of all the cases: sentence-transformers 6.2.0 gave the vectors of the goldens from them,
# 5.0.0, 3.4.1 and 2.7.0 from those whose settings they know
VERIFIED = "a0e934b597365e3666f8faa11b598cda00dd8c84d2446e03a487847ecd3f0266"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A folder with every kind of module, and prompts."""
    folder = write_case(tmp_path_factory.mktemp("source") / "model", STACKS["everything"])
    overall = {"prompts": {"query": "the query "}, "default_prompt_name": "query", "similarity_fn_name": "dot"}
    write_json(folder / "config_sentence_transformers.json", overall | {"truncate_dim": 5})
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# other\nlicense: none\n---\n")
    (folder / "LICENSE").write_text("Apache")
    return folder


def encode(folder, **options):
    return Embedder.load(folder, backend="numpy", threads=1, **options).encode(TEXTS, truncation="silent")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_left(folder):
    return not [path.name for path in folder.iterdir() if "minembed" in path.name or path.name == "saved"]


# ---- what is written ----


@pytest.mark.parametrize(("file", "name"), thinned(NAMED, 2))
def test_round_trip(tmp_path, file, name):
    case = FILES[file][name]
    model = Embedder.load(write_case(tmp_path / "model", case), backend="numpy", threads=1)
    model.save(tmp_path / "saved")
    again = Embedder.load(tmp_path / "saved", backend="numpy", threads=1)
    for method, options in case.calls:
        a, b = (getattr(m, method)(TEXTS, truncation="silent", **options) for m in (model, again))
        np.testing.assert_array_equal(a, b)
    again.save(tmp_path / "twice")
    once, twice = contents(tmp_path / "saved"), contents(tmp_path / "twice")
    assert {k: v for k, v in once.items() if k != "README.md"} == {k: v for k, v in twice.items() if k != "README.md"}


def test_the_folders_that_were_verified(tmp_path):
    digest = hashlib.sha256()
    for file, name in NAMED:
        model = Embedder.load(write_case(tmp_path / file / name / "model", FILES[file][name]), backend="numpy")
        model.save(tmp_path / file / name / "saved")
        for path, content in sorted(contents(tmp_path / file / name / "saved").items()):
            if path not in ("README.md", "tokenizer.json"):  # as copied; its text varies with the library
                digest.update(f"{file} {name} {path} {len(content)} ".encode() + content)
    assert digest.hexdigest() == VERIFIED


def test_the_old_spelling(tmp_path):
    Embedder.load(write_case(tmp_path / "model", STACKS["like LaBSE"])).save(tmp_path / "saved")
    read = {path: json.loads(content) for path, content in contents(tmp_path / "saved").items() if ".json" in path}
    assert [(m["path"], m["type"]) for m in read["modules.json"]] == [
        ("", "sentence_transformers.models.Transformer"),
        ("1_Pooling", "sentence_transformers.models.Pooling"),
        ("2_Dense", "sentence_transformers.models.Dense"),
        ("3_Normalize", "sentence_transformers.models.Normalize"),
    ]
    assert [(m["idx"], m["name"]) for m in read["modules.json"]] == [(i, str(i)) for i in range(4)]
    assert read["1_Pooling/config.json"] == {
        "word_embedding_dimension": 32,
        "pooling_mode_cls_token": True,
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    assert read["sentence_bert_config.json"] == {"max_seq_length": 32, "do_lower_case": False}
    assert read["2_Dense/config.json"] == {
        "in_features": 32,
        "out_features": 32,
        "bias": True,
        "activation_function": "torch.nn.modules.activation.Tanh",
    }
    with safe_open(tmp_path / "saved" / "model.safetensors", framework="np") as file:
        assert file.metadata() == {"format": "pt"}


def test_settings_that_are_kept(source, tmp_path):
    Embedder.load(source, max_seq_length=9).save(tmp_path / "a" / "b" / "saved")  # folders on the way are made
    saved = tmp_path / "a" / "b" / "saved"
    before, after = read_checkpoint(source), read_checkpoint(saved)
    for field in (
        "config",
        "family",
        "pooling",
        "prompts",
        "default_prompt_name",
        "similarity_fn_name",
        "truncate_dim",
    ):
        assert getattr(before, field) == getattr(after, field), field
    assert after.max_seq_length == 9 and after.dimension == before.dimension == 7
    np.testing.assert_array_equal(encode(saved), encode(source, max_seq_length=9))
    assert (saved / "LICENSE").read_text() == "Apache"


def test_the_card(source, tmp_path):
    Embedder.load(source).save(tmp_path / "my model")
    card = (tmp_path / "my model" / "README.md").read_text()
    head = card.split("---\n")[1]
    assert "library_name: sentence-transformers\n" in head and "license: apache-2.0\n" in head
    for words in ("# my model", "32 tokens", "7 numbers", "SentenceTransformer(", "Embedder.load(", '"the query "'):
        assert words in card, words
    assert "{" not in card.replace("{#", "")


def test_the_tensors_keep_their_names(tmp_path):
    tensors = {f"bert.{k}": v for k, v in read_tensors(write_tiny_checkpoint(tmp_path / "x")).items()}
    tensors |= {"bert.embeddings.position_ids": np.arange(64)[None], "bert.pooler.dense.bias": np.ones(32, np.float32)}
    model = write_tiny_checkpoint(tmp_path / "model", tensors=tensors)
    Embedder.load(model).save(tmp_path / "saved")
    saved = load_file(tmp_path / "saved" / "model.safetensors")
    assert set(saved) == set(tensors) - {"bert.embeddings.position_ids"}  # numbered by every release itself
    for name, array in saved.items():
        np.testing.assert_array_equal(array, tensors[name], strict=True)
    np.testing.assert_array_equal(encode(tmp_path / "saved"), encode(model))


def read_tensors(folder):
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("key", ["dtype", "torch_dtype"])
def test_half_precision_becomes_single(tmp_path, key):
    tensors = {k: v.astype(np.float16) for k, v in read_tensors(write_tiny_checkpoint(tmp_path / "x")).items()}
    model = write_tiny_checkpoint(tmp_path / "model", tensors=tensors, config={key: "float16"})
    Embedder.load(model).save(tmp_path / "saved")
    assert json.loads((tmp_path / "saved" / "config.json").read_text())[key] == "float32"
    assert {array.dtype for array in read_tensors(tmp_path / "saved").values()} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(encode(tmp_path / "saved"), encode(model))


def test_shards_become_one_file(tmp_path):
    model = write_tiny_checkpoint(tmp_path / "model")
    tensors = read_tensors(model)
    names = sorted(tensors)
    halves = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for shard, part in halves.items():
        save_file({name: tensors[name] for name in part}, model / shard)
    write_json(
        model / "model.safetensors.index.json",
        {"metadata": {}, "weight_map": {name: shard for shard, part in halves.items() for name in part}},
    )
    (model / "model.safetensors").unlink()
    Embedder.load(model).save(tmp_path / "saved")
    for name, array in read_tensors(tmp_path / "saved").items():
        np.testing.assert_array_equal(array, tensors[name])
    assert not list((tmp_path / "saved").glob("*.index.json"))


@pytest.mark.filterwarnings("ignore::minembed.errors.ModelWarning")
def test_a_plain_folder_says_its_pooling_when_saved(tmp_path):
    model = write_tiny_checkpoint(tmp_path / "model", modules=[])
    Embedder.load(model).save(tmp_path / "saved")
    assert (tmp_path / "saved" / "modules.json").exists()
    np.testing.assert_array_equal(encode(tmp_path / "saved"), encode(model))


def test_other_weights(source, tmp_path):
    """What training does: the same checkpoint with weights that were changed."""
    checkpoint = read_checkpoint(source)
    tensors = {name: array * np.float64(1.5) for name, array in read_tensors(source).items()}
    modules = list(read_module_params(source, checkpoint.modules))
    modules[1].linear.bias[:] += 1
    save_checkpoint(checkpoint, tensors, tmp_path / "saved", modules)
    for name, array in read_tensors(tmp_path / "saved").items():
        np.testing.assert_array_equal(array, tensors[name].astype(np.float32))
    np.testing.assert_array_equal(
        load_file(tmp_path / "saved" / "3_Dense" / "model.safetensors")["linear.bias"], modules[1].linear.bias
    )
    assert len(encode(tmp_path / "saved")) == len(TEXTS)


def test_code_is_copied_for_those_who_run_it_and_links_that_lead_out_are_not(tmp_path):
    model = write_tiny_checkpoint(tmp_path / "model", config={"auto_map": {"AutoModel": "modeling_x.X"}})
    (model / "modeling_x.py").write_text("raise SystemExit('run')")
    Embedder.load(model).save(tmp_path / "saved")
    assert (tmp_path / "saved" / "modeling_x.py").read_text() == "raise SystemExit('run')"
    (tmp_path / "secret").write_text("secret")
    (model / "vocab.txt").symlink_to(tmp_path / "secret")
    loaded = Embedder.load(model)
    with pytest.raises(ConfigError, match=r"vocab\.txt.*leads out"):
        loaded.save(tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_tensors_in_any_form(tmp_path):
    strided = np.arange(12, dtype=np.float32).reshape(3, 4).T
    tensors = {"f64": np.ones(3), "f16": np.ones((2, 2), np.float16), "strided": strided, "scalar": np.float32(3)}
    tensors |= {"empty": np.zeros((0, 5), np.float32), "ß 文 🙂": np.ones(1, np.float32), "big": np.ones(2, ">f4")}
    write_tensors(tmp_path / "x" / "model.safetensors", tensors)
    for name, array in load_file(tmp_path / "x" / "model.safetensors").items():
        assert array.dtype == np.float32 and array.shape == np.shape(tensors[name])
        np.testing.assert_array_equal(array, tensors[name])
    assert int.from_bytes((tmp_path / "x" / "model.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_one_tensor_in_memory_at_a_time(tmp_path):
    alive, most = set(), [0]

    class Big(np.ndarray):
        def __del__(self):
            alive.discard(self.number)

    class Tensors(dict):
        def __getitem__(self, name):
            array = np.zeros(1000, np.float32).view(Big)
            array.number = len(alive) + random.random()
            alive.add(array.number)
            most[0] = max(most[0], len(alive))
            return array

    write_tensors(tmp_path / "x.safetensors", Tensors.fromkeys(map(str, range(50))))
    assert most[0] <= 3


# ---- what is refused ----


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e39])
def test_weights_that_are_no_numbers(source, tmp_path, bad):
    tensors = {name: array.astype(np.float64) for name, array in read_tensors(source).items()}
    tensors["embeddings.LayerNorm.bias"][3] = bad
    with pytest.raises(WeightsError, match=r"embeddings\.LayerNorm\.bias.*NaN"):
        save_checkpoint(read_checkpoint(source), tensors, tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "empty", "file", "link", "dangling"])
def test_what_exists_is_left_alone(source, tmp_path, kind):
    place, other = tmp_path / "saved", tmp_path / "other"
    other.mkdir()
    (other / "mine.txt").write_text("mine")
    if kind == "folder":
        shutil.copytree(other, place)
    elif kind == "empty":
        place.mkdir()
    elif kind == "file":
        place.write_text("mine")
    else:
        place.symlink_to(other if kind == "link" else tmp_path / "nowhere")
    before = contents(tmp_path)
    with pytest.raises(InputError, match="exists already"):
        Embedder.load(source).save(place)
    assert contents(tmp_path) == before and len(list(other.iterdir())) == 1


def test_int8_folders_are_refused(tmp_path):
    write_tiny_checkpoint(tmp_path / "model")
    small = Embedder.load(write_int8(tmp_path / "model", tmp_path / "int8"))
    with pytest.raises(InputError, match="copy that folder as it is"):
        small.save(tmp_path / "saved")
    lower = Embedder.load(tmp_path / "model", dtype="int8")  # its folder still has the weights
    lower.save(tmp_path / "saved")
    np.testing.assert_array_equal(encode(tmp_path / "saved"), encode(tmp_path / "model"))


def test_a_folder_that_has_changed(source, tmp_path):
    model = shutil.copytree(source, tmp_path / "model")
    loaded = Embedder.load(model)
    config = json.loads((model / "config.json").read_text())
    write_json(model / "config.json", config | {"layer_norm_eps": 1e-5})
    with pytest.raises(ConfigError, match="has changed"):
        loaded.save(tmp_path / "saved")
    shutil.rmtree(model)
    with pytest.raises(MinembedError, match=r"model\.safetensors"):
        loaded.save(tmp_path / "saved")
    assert nothing_left(tmp_path)


# ---- disks that fail ----


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small checkpoint, loaded."""
    return Embedder.load(write_tiny_checkpoint(tmp_path_factory.mktemp("small"), **SMALL), backend="numpy", threads=1)


CALLS = [(os, "mkdir"), (os, "rename"), (shutil, "copyfile"), (Path, "write_text"), (Path, "open")]
FAILURES = [(*call, errno.ENOSPC) for call in CALLS]
FAILURES += [(os, "fsync", code) for code in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EACCES, errno.EINTR)]


@pytest.mark.parametrize(("owner", "name", "code"), FAILURES)
def test_the_nth_call_fails(small, tmp_path, monkeypatch, owner, name, code, amount):
    if sys.version_info < (3, 11) and name in ("rename", "mkdir"):
        pytest.skip("pathlib of Python 3.10 calls the functions of os that were there when it was imported")
    real, place = getattr(owner, name), tmp_path / "saved"
    for n in range(200):
        fail, calls = faults.failing(real, n, code, lambda args: name == "fsync" or ".minembed-" in str(args))

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            try:
                small.save(place)
            except SourceError as error:
                assert error.errno == code and str(place) in str(error) and os.strerror(code) in str(error)
        if place.exists():  # and so it is whole; only the last fsync, of the folder above, comes so late
            assert len(encode(place)) == len(TEXTS)
            shutil.rmtree(place)
        assert list(tmp_path.iterdir()) == []
        if len(calls) <= n:
            break
    assert 0 < n < 199
    amount.did(n)


@pytest.mark.skipif(sys.platform == "win32", reason="needs resource limits")
def test_a_full_disk(small, tmp_path):
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from minembed import Embedder\n"
        "model = Embedder.load(sys.argv[1], backend='numpy')\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try: model.save(sys.argv[2])\n"
        "except OSError as e: print(type(e).__name__, e.errno, e)\n"
    )
    command = [sys.executable, "-c", script, small.info()["folder"], str(tmp_path / "saved")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.startswith(f"SourceError {errno.EFBIG} cannot save to {tmp_path / 'saved'}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_is_read_only(small, tmp_path):
    tmp_path.chmod(0o555)
    try:
        with pytest.raises(SourceError, match="cannot save to"):
            small.save(tmp_path / "saved")
    finally:
        tmp_path.chmod(0o755)
    assert list(tmp_path.iterdir()) == []


def test_places_that_cannot_be(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SourceError, match="cannot save to"):
        small.save(tmp_path / "file" / "saved")
    with pytest.raises(SourceError, match="cannot save to"):
        small.save(tmp_path / ("x" * 300))
    for bad in ("", ".", "a\0b", "a\ud800"):
        with pytest.raises(InputError):
            small.save(bad)


def test_a_card_of_gigabytes(small, tmp_path):
    """Its licence is looked for at the beginning alone."""
    place = tmp_path / "model"
    small.save(place)
    with (place / "README.md").open("w+b") as file:
        file.write(b"---\nlicense: mit\n---\n")
        file.truncate(3 << 30)  # sparse
    Embedder.load(place, backend="numpy").save(tmp_path / "again")
    assert "license: mit" in (tmp_path / "again" / "README.md").read_text()


def test_an_interrupt_leaves_nothing(small, tmp_path, monkeypatch):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        small.save(tmp_path / "saved")
    assert list(tmp_path.iterdir()) == []


@needs_timer
@pytest.mark.parametrize(("times", "seed"), [(100, 1), pytest.param(5000, 2, marks=pytest.mark.slow)])
def test_interrupts_leave_a_whole_model_or_none(small, tmp_path, times, seed, amount):
    times, seed = amount.rounds(times), amount.seed(seed)
    place = tmp_path / "saved"
    small.save(place)
    expected = contents(place)
    shutil.rmtree(place)

    def check():
        assert list(tmp_path.iterdir()) in ([], [place])
        if place.exists():
            assert contents(place) == expected
            shutil.rmtree(place)

    seconds = seconds_of(lambda: (small.save(place), check()))
    interrupt_often(lambda: small.save(place), times, seed, check, seconds)


@pytest.mark.skipif(sys.platform == "win32", reason="no umask")
@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_who_may_read_it(small, tmp_path, mask):
    before = os.umask(mask)
    try:
        small.save(tmp_path / "saved")
    finally:
        os.umask(before)
    for path in [tmp_path / "saved", *(tmp_path / "saved").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o777 if path.is_dir() else 0o666) & ~mask


SAVER = """
import sys
from minembed import Embedder
model = Embedder.load(sys.argv[1], backend="numpy", threads=1)
print("ready", flush=True)
sys.stdin.readline()
try:
    model.save(sys.argv[2])
    print("saved", flush=True)
except Exception as e:
    print(type(e).__name__, flush=True)
"""


def kill_savers(model, folder, rounds, seed):
    dice, expected = random.Random(seed), encode(model.info()["folder"])
    outcomes = {True: 0, False: 0}
    for i in range(rounds):
        place = folder / f"saved-{i}"
        faults.kill_at_work(faults.start(SAVER, model.info()["folder"], place), dice, 0.04)
        outcomes[place.exists()] += 1
        if place.exists():
            np.testing.assert_array_equal(encode(place), expected)
    return outcomes


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_kills(small, tmp_path):
    kill_savers(small, tmp_path, 6, seed=1)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
def test_many_kills(small, tmp_path, amount):
    rounds = amount.rounds(200)
    outcomes = kill_savers(small, tmp_path, rounds, amount.seed(2))
    assert min(outcomes.values()) > rounds / 40 or rounds < 100, outcomes


def save_twice(model, folder, rounds):
    for i in range(rounds):
        processes = [faults.start(SAVER, model.info()["folder"], folder / f"saved-{i}") for _ in range(2)]
        for process in processes:
            faults.go(process)
        said = sorted(process.communicate(timeout=60)[0] for process in processes)
        assert said == ["InputError\n", "saved\n"]
        np.testing.assert_array_equal(encode(folder / f"saved-{i}"), encode(model.info()["folder"]))
        assert [p.name for p in folder.iterdir() if ".tmp" in p.name] == []


def test_two_processes_save_to_one_place(small, tmp_path):
    save_twice(small, tmp_path, 2)


@pytest.mark.slow
def test_two_processes_save_to_one_place_often(small, tmp_path):
    save_twice(small, tmp_path, 100)


def test_what_other_programs_left_is_not_read(tmp_path):
    """A half-written folder of a killed process has another name, and is swept an hour later."""
    model = Embedder.load(write_tiny_checkpoint(tmp_path / "model", **SMALL))
    old, young = (tmp_path / f".minembed-{name}.tmp" for name in ("old", "young"))
    for folder in (old, young):
        folder.mkdir()
    os.utime(old, (time.time() - 7200,) * 2)
    model.save(tmp_path / "saved")
    assert not old.exists() and young.exists()


def test_the_lazy_tensors(source):
    stored = StoredTensors(TensorFiles.open(source))
    assert len(stored) == len(list(stored)) == len(read_tensors(source))
    for name in stored:
        np.testing.assert_array_equal(stored[name], read_tensors(source)[name])


# ---- families ----


@pytest.mark.parametrize("name", [name for name in families.NAMES if families.family_of(name) in FAMILIES])
def test_every_family_goes_round(name, tmp_path):
    """Whatever the tensors are called and whatever else config.json says."""
    model = families.write_checkpoint(families.read(name), tmp_path / "model")
    loaded = Embedder.load(model, backend="numpy", threads=1)
    loaded.save(tmp_path / "saved")
    np.testing.assert_array_equal(encode(tmp_path / "saved"), encode(model))
    before, after = (json.loads((f / "config.json").read_text()) for f in (model, tmp_path / "saved"))
    assert before | {key: after[key] for key in ("dtype", "torch_dtype") if key in after} == after
    kept = {name: array for name, array in read_tensors(tmp_path / "saved").items() if array.size}
    assert set(kept) <= set(TensorFiles.open(model).stored)
