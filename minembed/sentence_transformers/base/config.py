"""The object behind `model.config`: the settings of config.json."""

from pathlib import Path
from typing import Any

from minembed.errors import UnsupportedAttributeError
from minembed.runtime.json_files import read_json


class ModelConfig:
    """The settings of config.json as attributes; the keys of labels are their numbers."""

    def __init__(self, path: Path, labels: tuple[str, ...] = ()) -> None:
        settings = read_json(path) if path.exists() else {}
        if labels:
            settings["num_labels"] = len(labels)
            settings["id2label"] = dict(enumerate(labels))
            settings["label2id"] = {label: i for i, label in enumerate(labels)}
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._settings:
            raise UnsupportedAttributeError(f"config.json says nothing of {name!r}")
        return self._settings[name]

    def to_dict(self) -> dict[str, Any]:
        """All settings."""
        return dict(self._settings)

    def __repr__(self) -> str:
        return f"ModelConfig({self._settings})"
