"""Save a cross-encoder: copy its folder with the current limit and activation, and merge its adapter."""

import json
import shutil
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError
from minembed.runtime.json_files import optional_json
from minembed.runtime.new_folder import new_folder
from minembed.weights.cross_encoder import CrossEncoder, read_cross_encoder
from minembed.weights.saving import stored_tensors, write_tensors

KINDS = ("*.json", "*.txt", "*.model", "*.safetensors", "*.jinja", "LICENSE*", "NOTICE*", "README.md")
OVERALL = "config_sentence_transformers.json"


def saved_prompts(folder: Path) -> dict[str, str]:
    """The prompts that a folder defines.

    >>> saved_prompts(Path("no-such-folder"))
    {}
    """
    found: dict[str, str] = optional_json(folder / OVERALL).get("prompts") or {}
    return found


def save_folder(model: CrossEncoder, target: Path, activation: str, with_card: bool) -> None:
    """Copy the folder that a model was loaded from, completely or not at all; merges an adapter into the weights.

    Raises InputError if `target` is not empty, ConfigError if the copy would load as another model.
    """
    root, source = model.checkpoint.root, model.checkpoint.folder
    inside = source.relative_to(root) if source.is_relative_to(root) else Path()  # an adapter's base may be a subfolder
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()
    with new_folder(target) as staged:
        for folder, place in {source: staged / inside, root: staged}.items():  # the root's files replace the base's
            place.mkdir(parents=True, exist_ok=True)
            for path in (found for kind in KINDS for found in folder.glob(kind)):
                shutil.copyfile(path, place / path.name)
        if model.checkpoint.adapter is not None:
            _merge(model, staged / inside)
        limit, place = model.checkpoint.max_seq_length, staged / inside
        _update(place / "tokenizer_config.json", "model_max_length", limit, add=True)
        _update(place / "sentence_bert_config.json", "max_seq_length", limit, add=False)
        full = f"torch.nn.modules.{'linear' if activation == 'Identity' else 'activation'}.{activation}"
        _update(staged / OVERALL, "activation_fn", full, add=False)
        _update(place / "config.json", "sentence_transformers", {"activation_fn": full}, add=True)
        if not with_card:
            (staged / "README.md").unlink(missing_ok=True)
        again = read_cross_encoder(staged)
        if (again.checkpoint.max_seq_length, again.activation) != (limit, activation):
            raise ConfigError(f"{root} cannot be copied with max_seq_length {limit} and activation {activation}")


def _merge(model: CrossEncoder, place: Path) -> None:
    """Replace an adapter's weights by the merged ones."""
    for pattern in ("adapter_*", "*.safetensors", "*.safetensors.index.json"):
        for path in place.glob(pattern):
            path.unlink()
    shutil.copyfile(model.checkpoint.weights / "config.json", place / "config.json")
    write_tensors(place / "model.safetensors", stored_tensors(model.checkpoint))


def _update(path: Path, key: str, value: Any, add: bool) -> None:
    """Change a setting; with `add`, also add it if it is missing."""
    settings = optional_json(path)
    if add or key in settings:
        path.write_text(json.dumps({**settings, key: value}, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
