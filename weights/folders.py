"""Folders that are not checkpoints: a training run, a model in another format, several adapters.

Error messages say what such a folder is and what to do, not only which file is missing.
"""

from pathlib import Path

OTHER_FORMATS: dict[str, tuple[str, ...]] = {  # format -> the files by which it is recognised
    "ONNX": ("*.onnx", "onnx/*.onnx"),
    "OpenVINO": ("openvino*.xml", "openvino/*.xml"),
    "GGUF": ("*.gguf",),
}
TOKENIZER_FILES: tuple[str, ...] = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
TOKENIZER_FILES += ("added_tokens.json", "vocab.txt", "vocab.json", "merges.txt", "sentencepiece.bpe.model")
TOKENIZER_FILES += ("spiece.model", "tokenizer.model", "chat_template.jinja")
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")


def missing(folder: Path, name: str) -> str:
    """Say that a file is missing, and what the folder contains instead, if that is recognised.

    >>> missing(Path("none"), "config.json")
    'none has no config.json: not a checkpoint folder, or not fully downloaded'
    """
    lacks = f"{folder} has no {name}: "
    if formats := [kind for kind, patterns in OTHER_FORMATS.items() if _any(folder, patterns)]:
        kind = " and ".join(formats)
        return lacks + f"its weights are in {kind}, which is not read; fetch the model.safetensors of the same model"
    if inside := _models_inside(folder):
        return lacks + f"the model of this training run is in {inside}; pass that folder"
    if adapters := sorted(str(path.parent) for path in folder.glob("*/adapter_config.json")):
        return lacks + f"it has adapters in {', '.join(adapters)}; pass the folder of one"
    return lacks + "not a checkpoint folder, or not fully downloaded"


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def _models_inside(folder: Path) -> str:
    """The folder with the model of a training run: `model` or `final` if it is finished, else the last checkpoint-N."""
    named = [folder / name for name in ("model", "final")]
    numbered = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    for path in (*named, *sorted(numbered, key=lambda path: -int(path.name[11:]))):
        if (path / "modules.json").is_file() or (path / "config.json").is_file():
            return str(path)
    return ""
