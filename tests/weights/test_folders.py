"""Folders as people have them that are no checkpoint of their own: each is named for what it is, with what to do."""

import shutil

import pytest

from minembed import Embedder, Reranker
from minembed.errors import ConfigError, MinembedError, TokenizationError, UnsupportedModelError, WeightsError
from minembed.weights.directory import read_checkpoint

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 466247\n"


@pytest.fixture
def folder(tiny_checkpoint, tmp_path):
    """A copy of the tiny checkpoint."""
    return shutil.copytree(tiny_checkpoint, tmp_path / "model")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"])
def test_half_an_adapter_is_never_left_out_in_silence(folder, name, alone):
    (folder / name).write_text('{"peft_type": "LORA"}', encoding="utf-8")
    if alone:
        (folder / "model.safetensors").unlink()
        (folder / "config.json").unlink()
    for load in (Embedder.load, Reranker.load):
        with pytest.raises(UnsupportedModelError, match=rf"{name}: the adapter is not whole.*merge_and_unload"):
            load(folder)
        (folder / "modules.json").unlink(missing_ok=True)  # the reranker's folder has none


def test_an_adapter_beside_the_transformer_in_a_folder_of_its_own(folder):
    inside = folder / "0_Transformer"
    inside.mkdir()
    for path in list(folder.glob("*.*")):
        if path.is_file() and path.name not in ("modules.json", "config_sentence_transformers.json"):
            path.rename(inside / path.name)
    listed = folder / "modules.json"
    listed.write_text(listed.read_text(encoding="utf-8").replace('"path": ""', '"path": "0_Transformer"'), "utf-8")
    read_checkpoint(folder)
    (inside / "adapter_config.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UnsupportedModelError, match=r"0_Transformer.adapter_config\.json"):
        read_checkpoint(folder)


@pytest.mark.parametrize(
    ("file", "kind"),
    [
        ("onnx/model.onnx", "ONNX"),
        ("model_quantized.onnx", "ONNX"),
        ("openvino/openvino_model.xml", "OpenVINO"),
        ("all-MiniLM-L6-v2-Q8_0.gguf", "GGUF"),
    ],
)
def test_weights_in_another_format_only(folder, file, kind):
    (folder / "model.safetensors").unlink()
    (folder / file).parent.mkdir(exist_ok=True)
    (folder / file).write_bytes(b"")
    with pytest.raises(WeightsError, match=rf"no model\.safetensors: its weights are in {kind}, which is not read"):
        Embedder.load(folder)
    (folder / "config.json").unlink()
    with pytest.raises(ConfigError, match=rf"no config\.json: its weights are in {kind}"):
        Embedder.load(folder)


def test_the_folder_of_a_run(folder, tmp_path):
    run = tmp_path / "run"
    for name in ("checkpoint-90", "checkpoint-1000", "checkpoint-best"):
        shutil.copytree(folder, run / name)
    for load in (Embedder.load, Reranker.load):
        with pytest.raises(ConfigError, match=r"this training run is in \S+checkpoint-1000; pass that folder"):
            load(run)
    shutil.copytree(folder, run / "model")
    with pytest.raises(ConfigError, match=r"this training run is in \S+run.model; pass that folder"):
        Embedder.load(run)


@pytest.mark.parametrize("name", ["config.json", "modules.json", "tokenizer.json", "tokenizer_config.json"])
def test_pointers_web_pages_and_marks_in_place_of_a_file(folder, name):
    path = folder / name
    whole = path.read_bytes()
    (folder / "sentence_bert_config.json").unlink()  # so that the tokenizer's settings are asked for a length
    for content, what in (
        (POINTER, "is a Git LFS pointer, not the file itself: run `git lfs pull` there"),
        (b"\xef\xbb\xbf" + whole, "begins with a byte-order mark, which an editor put there: save it as UTF-8"),
        (b"<!DOCTYPE html><html></html>", "is a web page: the download went wrong"),
    ):
        path.write_bytes(content)
        with pytest.raises((ConfigError, TokenizationError)) as caught:
            Embedder.load(folder)
        assert f"{path} {what}" in str(caught.value)
        assert isinstance(caught.value, MinembedError)
