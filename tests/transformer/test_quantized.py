"""int8 folders: written whole or not at all, read by memory map, the same bits as quantising at load."""

import errno
import json
import os
import shutil
import stat

import numpy as np
import pytest
from click.testing import CliRunner
from safetensors.numpy import load_file, save_file
from tiny import MODULES, write_int8, write_json

from minembed import Embedder
from minembed.cli import main
from minembed.errors import InputError, MinembedError, SourceError, UnsupportedModelError, WeightsError
from minembed.weights import quantized
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

TEXTS = ["a b c", "", "the quick brown fox", "a " * 30]


@pytest.fixture(scope="module")
def small(tiny_checkpoint, tmp_path_factory):
    """The tiny checkpoint in int8."""
    return write_int8(tiny_checkpoint, tmp_path_factory.mktemp("quantized") / "int8")


def test_the_folder_gives_the_bits_of_quantising_at_load(tier, small, tiny_checkpoint):
    stored = Embedder.load(small, backend=tier)
    at_load = Embedder.load(tiny_checkpoint, backend=tier, dtype="int8")
    assert stored.dtype == "int8" and stored.checkpoint.stored_dtype == "int8"
    np.testing.assert_array_equal(stored.encode(TEXTS, truncation="silent"), at_load.encode(TEXTS, truncation="silent"))


def test_quantising_again_changes_nothing(small, tmp_path):
    again = write_int8(small, tmp_path / "again")
    assert (again / "model.safetensors").read_bytes() == (small / "model.safetensors").read_bytes()


def test_tables_stay_mapped_and_others_may_read_the_file(small):
    word = read_params(read_checkpoint(small)).embeddings.word.levels
    assert not word.flags.writeable and not word.flags.owndata
    assert (small / "model.safetensors").stat().st_mode & stat.S_IRGRP == (
        small / "config.json"
    ).stat().st_mode & stat.S_IRGRP


def test_other_dtypes_need_the_original(small):
    for dtype in ("float32", "bfloat16"):
        with pytest.raises(InputError, match="original checkpoint"):
            Embedder.load(small, dtype=dtype)


def test_an_existing_folder_is_left_alone(tiny_checkpoint, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        write_int8(tiny_checkpoint, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_failed_write_leaves_nothing(tiny_checkpoint, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("minembed.runtime.safetensors_files.write_safetensors", full)
    with pytest.raises(OSError, match="No space"):
        write_int8(tiny_checkpoint, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("owner", "name"), [("shutil", "copyfile"), ("minembed.runtime.safetensors_files", "write_safetensors")]
)
def test_a_full_disk_is_named(tiny_checkpoint, tmp_path, monkeypatch, owner, name):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"{owner}.{name}", full)
    with pytest.raises(SourceError) as error:
        write_int8(tiny_checkpoint, tmp_path / "out")
    remedy = "free some space there, make it writable, or save elsewhere"
    assert str(error.value) == f"cannot save to {tmp_path / 'out'}: No space left on device; {remedy}"
    assert error.value.errno == errno.ENOSPC and list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_what_is_no_file_is_not_copied(tiny_checkpoint, tmp_path):
    """A pipe would be waited for, and a device fill the disk."""
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place)
    (place / "1_Pooling" / "zeros").symlink_to("/dev/zero")
    with pytest.raises(SourceError, match="it is no regular file"):
        write_int8(place, tmp_path / "out")
    assert list(tmp_path.iterdir()) == [place]


@pytest.mark.parametrize("bad", ["a\0", "a\ud800", "a" * 300])
def test_names_that_no_folder_has(tiny_checkpoint, tmp_path, bad):
    with pytest.raises(MinembedError, match="cannot"):
        write_int8(tiny_checkpoint, tmp_path / bad)


def test_a_copy_within_the_folder_itself(tiny_checkpoint, tmp_path):
    """Where the encoder lies deeper, the copy is made beside it."""
    place = tmp_path / "model"
    shutil.copytree(tiny_checkpoint, place / "0_Transformer")
    shutil.move(place / "0_Transformer" / "1_Pooling", place)
    modules = [{**module, "path": module["path"] or "0_Transformer"} for module in MODULES]
    write_json(place / "modules.json", modules)
    write_int8(place, place / "out")
    assert np.isfinite(Embedder.load(place / "out", backend="numpy").encode("a")).all()


def damaged(small, tmp_path, change):
    folder = shutil.copytree(small, tmp_path / "damaged")
    tensors = {name: array.copy() for name, array in load_file(folder / "model.safetensors").items()}
    change(tensors)
    save_file(tensors, folder / "model.safetensors")
    return folder


FAULTS = {
    "missing": (lambda t: t.pop("layers.0.qkv.scales"), "layers.0.qkv.scales is missing"),
    "unknown": (lambda t: t.update(extra=np.zeros(1, np.float32)), "extra is unknown"),
    "shape": (lambda t: t.update({"embeddings.position": np.zeros((1, 1), np.float32)}), "embeddings.position is F32"),
    "type": (
        lambda t: t.update({"layers.0.output.levels": t["layers.0.output.levels"].astype(np.int16)}),
        "layers.0.output.levels is I16",
    ),
    "NaN": (lambda t: t["layers.0.output.scales"].fill(np.nan), "layers.0.output.scales.*NaN"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_damaged_tensors_are_named(fault, small, tmp_path):
    change, message = FAULTS[fault]
    with pytest.raises(WeightsError, match=message):
        Embedder.load(damaged(small, tmp_path, change))


def test_a_cut_file_is_refused(small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "cut")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-100])
    with pytest.raises(WeightsError, match=r"model\.safetensors"):
        Embedder.load(folder)


@pytest.mark.parametrize("settings", [{"quant_method": "gptq"}, quantized.SETTINGS | {"version": 2}, "int8"])
def test_quantisations_of_others_are_refused(settings, small, tmp_path):
    folder = shutil.copytree(small, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    with pytest.raises(UnsupportedModelError, match="quantization_config"):
        Embedder.load(folder)


def test_the_command(tiny_checkpoint, tmp_path):
    out = tmp_path / "out"
    result = CliRunner().invoke(main, ["quantize", str(tiny_checkpoint), str(out)])
    assert result.exit_code == 0 and "MB, from" in result.output
    assert Embedder.load(out).dtype == "int8"
    result = CliRunner().invoke(main, ["quantize", str(tiny_checkpoint), str(out)])
    assert result.exit_code == 1 and "exists already" in result.output
