"""Folders with int8 weights, made by `minembed quantize`: written atomically, read by memory map.

The folder is a normal checkpoint except for two files: config.json has a quantization_config with the method
"minembed", and model.safetensors contains the parameter tree by its field names: `layers.0.qkv.levels` (int8),
`.scales`, `.bias`, `embeddings.word.levels`, and so on, as minembed/transformer/quantization.py defines them.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import UnsupportedModelError, WeightsError
from minembed.runtime.json_files import read_json
from minembed.runtime.paths import check_regular
from minembed.transformer.params import Linear, Params
from minembed.transformer.quantization import QuantizedLinear, QuantizedRows, group_size, pad_to, replace_weights
from minembed.types import Array, Dtype
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.folders import ADAPTER_FILES, TOKENIZER_FILES
from minembed.weights.layout import map_named, named
from minembed.weights.tensors import Stored, TensorFiles

LEFT = (".git", "onnx", "openvino", ".cache", *ADAPTER_FILES)
SETTINGS = {"quant_method": "minembed", "dtype": "int8", "version": 1}


def stored_dtype(raw: Mapping[str, Any], path: Path) -> Dtype:
    """How weights are stored, according to config.json: "float32" (or a type that is converted to it), or "int8".

    Raises UnsupportedModelError for the quantisation of other libraries.

    >>> stored_dtype({"quantization_config": SETTINGS}, Path("config.json"))
    'int8'
    """
    settings = raw.get("quantization_config")
    if settings is None:
        return "float32"
    if settings != SETTINGS:
        raise UnsupportedModelError(f"{path}: quantization_config = {settings!r} is not supported")
    return "int8"


def save(params: Params, checkpoint: Checkpoint, target: Path) -> None:
    """Write a copy of a checkpoint's folder with these quantised parameters as weights.

    An adapter, which is already merged into them, is left out.  The folder appears completely or not at all.  Raises
    InputError if `target` exists, and SourceError, an OSError with its errno, if the disk fails, or if the folder
    contains something that is not a regular file.
    """
    from minembed.runtime.new_folder import new_folder
    from minembed.runtime.safetensors_files import header_of, layout_of, write_safetensors

    transformer = checkpoint.folder if checkpoint.adapter is None else checkpoint.adapter.folder
    inside = transformer.relative_to(checkpoint.root)
    with new_folder(target) as staged:
        _copy(checkpoint.root, staged, transformer)
        if checkpoint.folder != transformer:  # the tokenizer is that of the adapter's base
            for path in (checkpoint.folder / name for name in TOKENIZER_FILES):
                if path.is_file():
                    _copy_file(path, staged / inside / path.name)
        changed = read_json(checkpoint.weights / "config.json") | {"quantization_config": SETTINGS}
        text = json.dumps(changed, ensure_ascii=False, indent=2)
        (staged / inside / "config.json").write_text(text, encoding="utf-8")
        tensors = dict(sorted(named(params), key=lambda item: (-item[1].itemsize, item[0])))  # so all are aligned
        place = staged / inside / "model.safetensors"
        write_safetensors(place, header_of(layout_of(tensors), {"format": "minembed"}), tensors.values())


def _copy(source: Path, target: Path, transformer: Path) -> None:
    """Copy a folder without the weights of its transformer."""
    found = [path for path in source.iterdir() if not path.name.startswith(".minembed-")]  # without this copy itself
    left = _weights(transformer, source, [path.name for path in found])
    for path in found:
        if path.name in left:
            continue
        if path.is_dir():
            (target / path.name).mkdir()
            _copy(path, target / path.name, transformer)
        else:
            check_regular(path)  # a pipe would block, and a device fill the disk
            _copy_file(path, target / path.name)


def _copy_file(path: Path, target: Path) -> None:
    import shutil  # late: it takes 2 ms, and only writing needs it

    shutil.copyfile(path, target)


def _weights(transformer: Path, folder: Path, names: Sequence[str]) -> set[str]:
    """What is not copied: the transformer's weights in any format, its adapter, and files of other programs."""
    endings = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".h5", ".msgpack", ".onnx", ".ot", ".tmp")
    left = {name for name in names if name.endswith(endings) or name in LEFT}
    return left if folder == transformer else left - {"model.safetensors"}  # that of a Dense module stays


def read(folder: Path, wanted: Params) -> Params:
    """Memory-map the parameters of a quantised folder, checked against the layout of the architecture.

    Raises WeightsError, which lists every tensor that is missing, unknown, or of another type or shape.
    """
    from minembed.runtime.safetensors_files import CODES

    stored, tree = TensorFiles.open(folder).stored, quantized_layout(wanted)
    expected = {name: (CODES[array.dtype], array.shape) for name, array in named(tree)}
    faults = [f"{name} is unknown" for name in stored if name not in expected]
    for name, (kind, shape) in expected.items():
        if name not in stored:
            faults.append(f"{name} is missing")
        elif (stored[name].dtype, stored[name].shape) != (kind, shape):
            faults.append(f"{name} is {stored[name].dtype} {stored[name].shape}, expected {kind} {shape}")
    if faults:
        raise WeightsError(f"{folder}: the tensors do not fit config.json ({len(faults)} faults): " + "; ".join(faults))
    files = {file: _open(file) for file in {entry.file for entry in stored.values()}}

    def array(name: str, empty: Array) -> Array:
        return _part(files[stored[name].file], stored[name], name, empty.dtype)

    params: Params = map_named(array, tree)
    return params


def quantized_layout(wanted: Params) -> Params:
    """The tree of a layout after `quantization.quantize`: arrays with a type and shape that take no memory."""

    def empty(kind: Any, *shape: int) -> Array:
        return np.broadcast_to(kind(0), shape)

    def linear(p: Linear) -> Any:
        n_in, n_out = p.weight.shape
        group = group_size(n_in)
        K = pad_to(n_in, group)
        return QuantizedLinear(empty(np.int8, K, n_out), empty(np.float32, K // group, n_out), p.bias)

    V, E = wanted.embeddings.word.shape
    word: Any = QuantizedRows(empty(np.int8, V, E), empty(np.float32, V))
    return replace_weights(wanted, linear, word)


def _open(file: Path) -> Array:
    try:
        return np.memmap(file, np.uint8, "r")  # only once: each call resolves the path, about 0.3 ms
    except (OSError, ValueError) as e:
        raise WeightsError(f"{file} cannot be mapped ({e})") from e


def _part(whole: Array, stored: Stored, name: str, kind: np.dtype[Any]) -> Array:
    size = math.prod(stored.shape) * kind.itemsize
    try:
        part = whole[stored.offset : stored.offset + size].view(np.ndarray).view(kind).reshape(stored.shape)
    except ValueError as e:
        raise WeightsError(f"{stored.file}: tensor {name!r} cannot be mapped ({e})") from e
    array: Array = part
    if kind == np.float32 and not np.isfinite(array).all():
        raise WeightsError(f"{stored.file}: tensor {name!r} holds NaN or infinity; the file is damaged")
    return array
