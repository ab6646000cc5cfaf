"""Folders of int8 weights, made by `minembed quantize`: written atomically, read by memory map.

The folder is a checkpoint like any other, but for two files: config.json has a quantization_config of the method
"minembed", and model.safetensors holds the tree of parameters by its own field names: `layers.0.qkv.levels` (int8),
`.scales`, `.bias`, `embeddings.word.levels`, and so on, as minembed/quantization.py defines them.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from minembed.config import Config
from minembed.errors import InputError, UnsupportedModelError, WeightsError
from minembed.params import Array, Embeddings, Layer, Norm, Params
from minembed.quantization import QuantizedLinear, QuantizedRows, group_size, pad_to
from minembed.weights.cache import publish, staging
from minembed.weights.files import read_json
from minembed.weights.tensors import Stored, TensorFiles

SETTINGS = {"quant_method": "minembed", "dtype": "int8", "version": 1}
KINDS = {"I8": np.int8, "F32": np.float32}


def stored_dtype(raw: Mapping[str, Any], path: Path) -> str:
    """What config.json says of how weights are stored: "float32" (or what becomes it), or "int8".

    Raises UnsupportedModelError for the quantisations of others.

    >>> stored_dtype({"quantization_config": SETTINGS}, Path("config.json"))
    'int8'
    """
    settings = raw.get("quantization_config")
    if settings is None:
        return "float32"
    if settings != SETTINGS:
        raise UnsupportedModelError(f"{path}: quantization_config = {settings!r} is not computed here")
    return "int8"


def save(params: Params, source: Path, transformer: Path, target: Path) -> None:
    """Write a folder like `source`, whose weights (in its folder `transformer`) are these quantised parameters.

    The folder appears whole or not at all.  Raises InputError where `target` exists.
    """
    from safetensors.numpy import save_file

    if target.exists():
        raise InputError(f"{target} exists already: name a folder that does not")
    inside = transformer.relative_to(source)
    with staging(target.absolute().parent) as work:
        staged = work / "model"
        shutil.copytree(source, staged, ignore=_weights, copy_function=shutil.copyfile)
        config = staged / inside / "config.json"
        changed = read_json(config) | {"quantization_config": SETTINGS}
        config.write_text(json.dumps(changed, ensure_ascii=False, indent=2), encoding="utf-8")
        tensors = {name: np.ascontiguousarray(array) for name, array in named(params)}
        save_file(tensors, staged / inside / "model.safetensors", metadata={"format": "minembed"})
        for path in staged.rglob("*"):
            if path.is_file():
                path.chmod(config.stat().st_mode)  # safetensors makes files that others cannot read
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
        publish(staged, target.absolute())


def _weights(folder: str, names: list[str]) -> set[str]:
    """What is not copied: weights in whatever format, and what other programs left there."""
    endings = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".h5", ".msgpack", ".onnx", ".ot", ".tmp")
    return {name for name in names if name.endswith(endings) or name in (".git", "onnx", "openvino", ".cache")}


def named(tree: Any, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Every array of a tree of parameters, by the names of the fields that lead to it.

    >>> [name for name, _ in named(Norm(np.ones(1), np.ones(1)), "norm.")]
    ['norm.weight', 'norm.bias']
    """
    if isinstance(tree, np.ndarray):
        yield prefix.removesuffix("."), tree
    elif isinstance(tree, tuple):
        for i, branch in enumerate(tree):
            yield from named(branch, f"{prefix}{i}.")
    elif is_dataclass(tree):
        for field in fields(tree):
            yield from named(getattr(tree, field.name), f"{prefix}{field.name}.")


def read(folder: Path, config: Config) -> Params:
    """Map the parameters of a quantised folder into memory, checked against the architecture.

    Raises WeightsError that lists every tensor that is missing, unknown, or of another type or shape.
    """
    stored = TensorFiles.open(folder).stored
    wanted = dict(shapes(config))
    faults = [f"{name} is unknown" for name in stored if name not in wanted]
    for name, (kind, shape) in wanted.items():
        if name not in stored:
            faults.append(f"{name} is missing")
        elif (stored[name].dtype, stored[name].shape) != (kind, shape):
            faults.append(f"{name} is {stored[name].dtype} {stored[name].shape}, expected {kind} {shape}")
    if faults:
        raise WeightsError(f"{folder}: the tensors do not fit config.json ({len(faults)} faults): " + "; ".join(faults))
    return _build(config, {name: _map(stored[name], name) for name in wanted})


def shapes(config: Config) -> Iterator[tuple[str, tuple[str, tuple[int, ...]]]]:
    """The stored type and shape of every tensor, by name."""
    D, F = config.hidden_size, config.intermediate_size
    yield "embeddings.word.levels", ("I8", (config.vocab_size, D))
    yield "embeddings.word.scales", ("F32", (config.vocab_size,))
    yield "embeddings.position", ("F32", (config.max_position_embeddings, D))
    yield "embeddings.token_type", ("F32", (config.type_vocab_size, D))
    norms = ["embeddings.norm"]
    for i in range(config.num_hidden_layers):
        linears = {"qkv": (D, 3 * D), "attention_output": (D, D), "intermediate": (D, F), "output": (F, D)}
        for name, (n_in, n_out) in linears.items():
            group = group_size(n_in)
            K = pad_to(n_in, group)
            yield f"layers.{i}.{name}.levels", ("I8", (K, n_out))
            yield f"layers.{i}.{name}.scales", ("F32", (K // group, n_out))
            yield f"layers.{i}.{name}.bias", ("F32", (n_out,))
        norms += [f"layers.{i}.attention_norm", f"layers.{i}.output_norm"]
    for name in norms:
        yield f"{name}.weight", ("F32", (D,))
        yield f"{name}.bias", ("F32", (D,))


def _map(stored: Stored, name: str) -> Array:
    kind = KINDS[stored.dtype]
    try:
        array = np.memmap(stored.file, kind, "r", stored.offset, stored.shape).view(np.ndarray)
    except (OSError, ValueError) as e:
        raise WeightsError(f"{stored.file}: tensor {name!r} cannot be mapped ({e})") from e
    if kind is np.float32 and not np.isfinite(array).all():
        raise WeightsError(f"{stored.file}: tensor {name!r} holds NaN or infinity; the file is damaged")
    return array


def _build(config: Config, arrays: Mapping[str, Array]) -> Params:
    def norm(name: str) -> Norm:
        return Norm(arrays[f"{name}.weight"], arrays[f"{name}.bias"])

    def linear(name: str) -> Any:
        return QuantizedLinear(*(arrays[f"{name}.{part}"] for part in ("levels", "scales", "bias")))

    def layer(name: str) -> Layer:
        return Layer(
            qkv=linear(f"{name}.qkv"),
            attention_output=linear(f"{name}.attention_output"),
            attention_norm=norm(f"{name}.attention_norm"),
            intermediate=linear(f"{name}.intermediate"),
            output=linear(f"{name}.output"),
            output_norm=norm(f"{name}.output_norm"),
        )

    word: Any = QuantizedRows(arrays["embeddings.word.levels"], arrays["embeddings.word.scales"])
    tables = arrays["embeddings.position"], arrays["embeddings.token_type"]
    embeddings = Embeddings(word, *tables, norm("embeddings.norm"))
    return Params(embeddings, tuple(layer(f"layers.{i}") for i in range(config.num_hidden_layers)))
