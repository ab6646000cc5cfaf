"""Checkpoint families: how each one's config.json and tensor names map onto the one encoder.

A closed table: nothing is imported or chosen by a string from a file beyond a look-up here.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minembed.config import Config
from minembed.errors import UnsupportedModelError, WeightsError
from minembed.params import Array, Params
from minembed.weights import quantized
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import bert
from minembed.weights.files import read_json, typed
from minembed.weights.tensors import TensorFiles

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Family:
    """One row of the table."""

    read_config: Callable[[Mapping[str, Any], Path], Config]
    shapes: Callable[[Config], dict[str, Shape]]  # every tensor that is needed, by its plain name
    plain_name: Callable[[str], str]  # a stored name without prefixes and old spellings
    ignored: Callable[[str], bool]  # plain names that the encoder has no use for
    build: Callable[[Config, Callable[[str], Array]], Params]


FAMILIES = {
    "bert": Family(bert.read_config, bert.shapes, bert.plain_name, bert.ignored, bert.build),
}


def read_config(path: Path) -> tuple[str, Config, str]:
    """Read config.json: the family's name, the architecture, and how the weights are stored.

    Raises ConfigError for a malformed file, UnsupportedModelError for a family that is not computed here.
    """
    raw = read_json(path)
    model_type = typed(raw, "model_type", str, "", path)
    if model_type not in FAMILIES:
        raise UnsupportedModelError(
            f"{path}: model_type {model_type!r} is not computed here; known: {', '.join(sorted(FAMILIES))}"
        )
    return model_type, FAMILIES[model_type].read_config(raw, path), quantized.stored_dtype(raw, path)


def read_params(checkpoint: Checkpoint) -> Params:
    """Read all tensors of a checkpoint, tensor by tensor, and turn them into the layout that the arithmetic wants.

    Raises WeightsError that lists every tensor that is missing, unknown or of another shape.
    """
    if checkpoint.stored_dtype == "int8":
        return quantized.read(checkpoint.folder, checkpoint.config)
    family, files = FAMILIES[checkpoint.family], TensorFiles.open(checkpoint.folder)
    names = match(checkpoint, files, family)
    return family.build(checkpoint.config, lambda plain: files.read(names[plain]))


def match(checkpoint: Checkpoint, files: TensorFiles, family: Family) -> dict[str, str]:
    """Map each needed plain name to its stored name; every tensor must be needed or known to be of no use."""
    wanted = family.shapes(checkpoint.config)
    found: dict[str, str] = {}
    faults: list[str] = []
    for stored, entry in files.stored.items():
        plain = family.plain_name(stored)
        if plain in found:
            faults.append(f"{stored} and {found[plain]} are the same tensor")
        elif plain in wanted:
            found[plain] = stored
            if entry.shape != wanted[plain]:
                faults.append(f"{stored} has shape {entry.shape}, expected {wanted[plain]}")
        elif not family.ignored(plain):
            faults.append(f"{stored} is unknown")
    faults += [f"{plain} is missing" for plain in wanted if plain not in found]
    if faults:
        raise WeightsError(
            f"{checkpoint.folder}: the tensors do not fit config.json ({len(faults)} faults): " + "; ".join(faults)
        )
    return found
