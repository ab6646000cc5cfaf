"""Adapters of peft: the tensors of a checkpoint with a LoRA merged into them, in float32, when they are read.

An adapter is beside full weights, or in its own folder with the name of its base.  Its tensors are named by the modules
of the model that it was trained on; unknown and missing tensors are errors.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from minembed.errors import ConfigError, MinembedError, SourceError, UnsupportedModelError, WeightsError
from minembed.types import Array
from minembed.weights.bases import FindBase, Located
from minembed.weights.folders import ADAPTER_FILES, missing
from minembed.weights.lora import MERGE, SETTINGS, Lora, read_lora
from minembed.weights.tensors import Change, Stored, TensorFiles, read_header

WEIGHTS = "adapter_model.safetensors"
PREFIX = "base_model.model."  # that peft puts in front of every name
PARTS = ("lora_A.weight", "lora_B.weight", "lora_B.bias", "lora_embedding_A", "lora_embedding_B")
BLOCK = 1 << 20  # numbers of a product in memory at once, in float64


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter, and the folder whose config.json and full weights it changes."""

    folder: Path  # holds adapter_config.json and adapter_model.safetensors
    base: Path
    base_source: str  # "beside the adapter", or a source of minembed.weights.sources.locate
    lora: Lora


def find_adapter(folder: Path, find_base: FindBase) -> Adapter | None:
    """Look for an adapter in the folder of a Transformer; `find_base` finds its base, if that is not in the folder.

    Raises ConfigError and UnsupportedModelError for settings that are malformed or not supported, WeightsError
    for missing tensors, and the errors of `find_base`.

    >>> find_adapter(Path("none"), lambda name: Located())
    """
    there = [name for name in ADAPTER_FILES if (folder / name).exists()]
    if not there:
        return None
    path = folder / SETTINGS
    if WEIGHTS not in there or SETTINGS not in there:
        what = (
            "only adapter_model.bin, a pickle, which is never opened" if ADAPTER_FILES[2] in there else "no " + WEIGHTS
        )
        what = what if SETTINGS in there else f"no {SETTINGS}"
        raise UnsupportedModelError(
            f"{folder / there[0]}: the adapter is not whole ({what}), and without it the vectors would be others; "
            f"{MERGE.format(folder=str(folder))}"
        )
    lora = read_lora(path)
    if (folder / "config.json").exists():
        return Adapter(folder, folder, "beside the adapter", lora)
    if not lora.base:
        raise ConfigError(f"{path}: base_model_name_or_path is missing, and there are no full weights beside it")
    found = _find(lora, path, find_base)
    if any((found.folder / name).exists() for name in ADAPTER_FILES):
        raise UnsupportedModelError(f"{path}: its base, {found.folder}, has an adapter too: merge that one first")
    if not (found.folder / "config.json").exists():
        raise ConfigError(f"{path}: its base: {missing(found.folder, 'config.json')}")
    return Adapter(folder, found.folder, found.source, lora)


def about_adapter(adapter: Adapter | None) -> dict[str, str] | None:
    """The entry of a merged adapter in `Embedder.info`.

    >>> about_adapter(None)
    """
    if adapter is None:
        return None
    merged_into = {"base": str(adapter.base), "base_source": adapter.base_source}
    return {"folder": str(adapter.folder), **merged_into}


def _find(lora: Lora, path: Path, find_base: FindBase) -> Located:
    try:
        return find_base(lora.base)
    except MinembedError as error:
        said = SourceError(f"{path}: its base, base_model_name_or_path = {lora.base!r}: {error}")
        said.errno = getattr(error, "errno", None)
        raise said from error


@dataclass(frozen=True, slots=True)
class Place:
    """Where a module's weight is stored: in its own tensor, or as one of several pieces of equal size.

    >>> Place("layers.0.self_attn.k_proj", "encoder.layers.0.attn.Wqkv", 1, 3).rows(12)
    slice(4, 8, None)
    """

    name: str  # in the reference's encoder
    module: str  # as it is stored, by its plain name
    piece: int = 0
    pieces: int = 1

    def rows(self, stored: int) -> slice:
        """The rows of the stored tensor that belong to the module."""
        size = stored // self.pieces
        return slice(self.piece * size, (self.piece + 1) * size)


@dataclass(frozen=True, slots=True)
class Base:
    """The tensors that an adapter changes, and the names of their family."""

    files: TensorFiles
    place: Callable[[str], Place]  # of a module, by its name in the trained model
    places: Callable[[str], Sequence[Place]]  # of the modules that are stored under a plain name
    plain_name: Callable[[str], str]  # of a tensor
    shapes: Mapping[str, tuple[int, ...]]  # of the tensors that the encoder reads, by plain name
    tables: Collection[str]  # those that are embeddings
    heads: tuple[str, ...]  # prefixes of plain names that the encoder does not use

    def plain(self, tensor: str) -> str:
        """The plain name of a tensor that is stored whole."""
        module, _, kind = self.plain_name(tensor).rpartition(".")
        return f"{self.place(module).module}.{kind}"


@dataclass(frozen=True, slots=True)
class _Own:
    """The tensors of an adapter: parts of adapted modules, and whole tensors, by their names in its file."""

    files: TensorFiles
    modules: Mapping[str, Mapping[str, str]]  # module -> part -> name
    whole: Mapping[str, str]  # tensor of the model -> name


def merged(base: Base, adapter: Adapter) -> TensorFiles:
    """The tensors of a base with an adapter merged into them; only headers are read yet.

    Raises WeightsError, which lists every tensor of the adapter that is missing, unknown or of another shape.
    """
    own = _sort(TensorFiles(read_header(adapter.folder / WEIGHTS)))
    stored = {base.plain(name): name for name in base.files.stored}
    entries, changes = dict(base.files.stored), dict[str, tuple[Change, ...]]()
    faults = [*_missing(adapter.lora, own, base)]
    for tensor, name in own.whole.items():
        found = list(_whole_faults(adapter.lora, own, base, stored, tensor))
        faults += found
        if not found:
            entries[stored.get(base.plain(tensor), tensor)] = replace(own.files.stored[name], name=name)
    for module, parts in own.modules.items():
        place = base.place(module)
        weight = stored.get(f"{place.module}.weight")
        if weight is None and place.module.startswith(base.heads):
            continue  # a head that the base was saved without
        found = list(_faults(adapter.lora, own, base, module, None if weight is None else entries[weight]))
        bias = stored.get(f"{place.module}.bias")
        if "lora_B.bias" in parts and bias is None:
            found.append(f"{parts['lora_B.bias']}: {module} has no bias that it could be added to")
        faults += found
        if found or weight is None:
            continue
        rows = place.rows(entries[weight].shape[0])
        scale = adapter.lora.scale(module)
        changes[weight] = (*changes.get(weight, ()), partial(_merge, own.files, parts, scale, rows))
        if bias is not None and "lora_B.bias" in parts:
            changes[bias] = (*changes.get(bias, ()), partial(_add_bias, own.files, parts, scale, rows))
    if faults:
        raise WeightsError(
            f"{adapter.folder / WEIGHTS} does not fit {SETTINGS} and the base, {adapter.base} ({len(faults)} faults): "
            + "; ".join(faults)
        )
    return TensorFiles(entries, changes)


def _sort(files: TensorFiles) -> _Own:
    modules: dict[str, dict[str, str]] = {}
    whole = {}
    for name in files.stored:
        plain = name.removeprefix(PREFIX)
        part = next((part for part in PARTS if plain.endswith(f".{part}")), None)
        if part is None:
            module, _, kind = plain.rpartition(".")
            whole[f"{module.removesuffix('.base_layer')}.{kind}"] = name
        else:
            modules.setdefault(plain.removesuffix(f".{part}"), {})[part] = name
    return _Own(files, modules, whole)


def _missing(lora: Lora, own: _Own, base: Base) -> Iterator[str]:
    """The tensors that were trained according to the settings, but are missing in the adapter."""
    adapted = set(map(base.place, own.modules))
    wholly = {place.module for place in adapted if place.pieces == 1}
    whole = {base.plain(tensor) for tensor in own.whole}
    for tensor, shape in base.shapes.items():
        module, linear = tensor.rpartition(".")[0], tensor not in base.tables
        for place in base.places(module):
            if lora.is_saved(place.name):
                if tensor not in whole:
                    yield f"{tensor} is missing, though modules_to_save names {place.name}"
            elif len(shape) == 2 and lora.is_target(place.name, linear) and module not in wholly:
                if place not in adapted:
                    yield f"{place.name} is not adapted, though target_modules names it"


def _whole_faults(lora: Lora, own: _Own, base: Base, stored: Mapping[str, str], tensor: str) -> Iterator[str]:
    name, plain, (module, _, kind) = own.whole[tensor], base.plain(tensor), tensor.rpartition(".")
    trained = kind == "bias" and (lora.biases == "all" or (lora.biases == "lora_only" and module in own.modules))
    if not (trained or lora.is_saved(module) or plain in base.tables):
        yield f"{name} is unknown: no setting of {SETTINGS} says why it is there"
    elif base.place(module).pieces > 1:
        yield f"{name} is a piece of {plain}, of which the rest is not there"
    elif plain in stored:
        found, wanted = own.files.stored[name].shape, base.files.stored[stored[plain]].shape
        if found != wanted:
            yield f"{name} has shape {found}, expected {wanted}"
    elif not plain.startswith(base.heads):
        yield f"{name} is unknown: the base has no {plain}"


def _faults(lora: Lora, own: _Own, base: Base, module: str, entry: Stored | None) -> Iterator[str]:
    """The faults in the parts of an adapted module."""
    parts, place = own.modules[module], base.place(module)
    if entry is None:
        yield f"{module} is unknown: the base has no {place.module}.weight"
        return
    if len(entry.shape) != 2:
        yield f"{module} is no linear layer and no table of embeddings"
        return
    table = f"{place.module}.weight" in base.tables
    if not lora.is_target(module, not table):
        yield f"{module} is adapted, and is not one of target_modules"
    if not lora.is_target(place.name, not table) or _differs(lora, module, place.name):
        yield f"{module}: other settings would hold for {place.name}, which is its name in the encoder alone"
    r, (rows, columns) = lora.rank_of(module), (entry.shape[0] // place.pieces, entry.shape[1])
    wanted: dict[str, tuple[int, ...]] = {"lora_A.weight": (r, columns), "lora_B.weight": (rows, r)}
    if table:
        wanted = {"lora_embedding_A": (r, rows), "lora_embedding_B": (columns, r)}
    if lora.with_bias:
        wanted["lora_B.bias"] = (rows,)
    for part in {*wanted, *parts}:
        if part not in parts:
            yield f"{module}.{part} is missing"
        elif part not in wanted:
            yield f"{parts[part]} is unknown: no setting of {SETTINGS} says why it is there"
        elif (found := own.files.stored[parts[part]].shape) != wanted[part]:
            yield f"{parts[part]} has shape {found}, expected {wanted[part]}"


def _differs(lora: Lora, module: str, other: str) -> bool:
    return lora.scale(module) != lora.scale(other) or lora.rank_of(module) != lora.rank_of(other)


def _merge(own: TensorFiles, parts: Mapping[str, str], scale: float, rows: slice, weight: Array) -> None:
    """Add scale * B A to the rows of a weight, (out, in) or (words, in), in place, block by block."""
    target = weight[rows]
    if "lora_embedding_A" in parts:
        left, right = own.read(parts["lora_embedding_A"]).T, own.read(parts["lora_embedding_B"]).T
    else:
        left, right = own.read(parts["lora_B.weight"]), own.read(parts["lora_A.weight"])
    left, right = left.astype(np.float64), right.astype(np.float64)
    step = max(1, BLOCK // max(1, target.shape[1]))
    for i in range(0, len(target), step):
        target[i : i + step] += scale * (left[i : i + step] @ right)  # in float64, rounded once


def _add_bias(own: TensorFiles, parts: Mapping[str, str], scale: float, rows: slice, bias: Array) -> None:
    bias[rows] += scale * own.read(parts["lora_B.bias"]).astype(np.float64)
