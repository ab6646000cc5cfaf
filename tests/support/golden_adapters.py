"""The goldens of adapters, read back: folders as peft writes them."""

import json
from functools import cache

import numpy as np
from places import GOLDENS_FOLDER
from safetensors.numpy import save_file
from tiny import MODULES, take_tokenizer_as_it_is, tiny_tokenizer, write_json

FOLDER = GOLDENS_FOLDER / "adapters"


@cache
def read(name):
    """The arrays of one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def settings_of(golden):
    """adapter_config.json."""
    return json.loads(str(golden["settings"]))


def tensors_of(golden):
    """The tensors of an adapter, by name."""
    tensors = {key.removeprefix("tensors/"): array for key, array in golden.items() if key.startswith("tensors/")}
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def write_adapter(golden, folder, base, settings=None, tensors=None, whole=None):
    """Write an adapter into the folder of a Transformer, as sentence-transformers lays it out, and return the folder.

    `settings` adds to or replaces entries of adapter_config.json, `tensors` those of adapter_model.safetensors (None
    removes one); `whole` is both instead.
    """
    folder.mkdir(exist_ok=True)
    own, stored = whole or (settings_of(golden), tensors_of(golden))
    write_json(folder / "adapter_config.json", own | {"base_model_name_or_path": str(base)} | (settings or {}))
    stored = {**stored, **(tensors or {})}
    save_file(
        {name: array for name, array in stored.items() if array is not None},
        folder / "adapter_model.safetensors",
        metadata={"format": "pt"},
    )
    if folder != base:
        tiny_tokenizer().save(str(folder / "tokenizer.json"))
        take_tokenizer_as_it_is(folder)
        write_json(folder / "modules.json", MODULES)
        pooling = json.loads((base / "1_Pooling" / "config.json").read_text("utf-8"))
        write_json(folder / "1_Pooling" / "config.json", pooling)
    return folder
