"""What a folder is that is no checkpoint of its own: an adapter, a training run, a model in another format.

Such folders are named for what they are, with what to do, rather than by the file that they lack.
"""

from pathlib import Path

from minembed.errors import UnsupportedModelError

OTHER_FORMATS: dict[str, tuple[str, ...]] = {  # format -> the files by which it is known
    "ONNX": ("*.onnx", "onnx/*.onnx"),
    "OpenVINO": ("openvino*.xml", "openvino/*.xml"),
    "GGUF": ("*.gguf",),
}
ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
MERGE = (
    "merge it into its base once where peft is installed, and load the new folder: "
    "AutoPeftModelForFeatureExtraction.from_pretrained({folder!r}).merge_and_unload().save_pretrained('merged') "
    "(then copy the tokenizer's files, modules.json and 1_Pooling/ beside it)"
)


def refuse_adapter(folder: Path) -> None:
    """Raise UnsupportedModelError for a folder with an adapter of peft: the base's own weights give other vectors.

    >>> refuse_adapter(Path("none"))
    """
    if found := next((name for name in ADAPTER_FILES if (folder / name).exists()), None):
        raise UnsupportedModelError(
            f"{folder / found}: adapters are not applied here, and without it the vectors would be others; "
            f"{MERGE.format(folder=str(folder))}"
        )


def missing(folder: Path, name: str) -> str:
    """Say that a file is missing, and what the folder holds instead where that is known.

    >>> missing(Path("none"), "config.json")
    'none has no config.json: not a checkpoint folder, or not fully downloaded'
    """
    lacks = f"{folder} has no {name}: "
    if formats := [kind for kind, patterns in OTHER_FORMATS.items() if _any(folder, patterns)]:
        kind = " and ".join(formats)
        return lacks + f"its weights are in {kind}, which is not read; fetch the model.safetensors of the same model"
    if inside := _models_inside(folder):
        return lacks + f"the model of this training run is in {inside}; pass that folder"
    return lacks + "not a checkpoint folder, or not fully downloaded"


def _any(folder: Path, patterns: tuple[str, ...]) -> bool:
    return any(True for pattern in patterns for _ in folder.glob(pattern))


def _models_inside(folder: Path) -> str:
    """The folder that a run has its model in: `model` or `final` of a finished one, else the last checkpoint-N."""
    named = [folder / name for name in ("model", "final")]
    numbered = [path for path in folder.glob("checkpoint-*") if path.name[11:].isdecimal()]
    for path in (*named, *sorted(numbered, key=lambda path: -int(path.name[11:]))):
        if (path / "modules.json").is_file() or (path / "config.json").is_file():
            return str(path)
    return ""
