"""The modules after the pooling, as their folders describe them: 2_Dense/, 3_LayerNorm/, 4_Normalize/.

A module is identified by its class name in modules.json, and an activation by that in its config.json, using fixed
tables: nothing is imported by a name from a file.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import ConfigError, UnsupportedModelError, WeightsError
from minembed.runtime.json_files import optional_json, read_json, typed
from minembed.transformer.config import LARGEST_SIZE
from minembed.transformer.modules import ACTIVATIONS, Dense, DenseParams, LayerNorm, Module, ModuleParams, Normalize
from minembed.transformer.params import Linear, Norm
from minembed.types import Array
from minembed.weights.tensors import CONVERT, TensorFiles

AFTER_POOLING = ("Dense", "LayerNorm", "Normalize", "Dropout")
FEATURES = ("module_input_name", "module_output_name")
DENSE_SETTINGS = ("in_features", "out_features", "bias", "activation_function", "use_residual", *FEATURES)
KNOWN = ("Transformer", "Pooling", *AFTER_POOLING, "StaticEmbedding")
SNAKE = {"LayerNorm": "layer_norm", "StaticEmbedding": "static_embedding"}
SPELLINGS = ("models.", "base.modules.", "sentence_transformer.modules.")  # old, and since release 5.4
TORCH = {  # both names of each class in torch
    prefix + name: name
    for name in ACTIVATIONS
    for prefix in ("torch.nn.", f"torch.nn.modules.{'linear' if name == 'Identity' else 'activation'}.")
}


def class_name(kind: str, path: Path) -> str:
    """The class that a `type` in modules.json names, in any spelling.

    Raises UnsupportedModelError for an unsupported class.

    >>> class_name("sentence_transformers.base.modules.dense.Dense", Path("modules.json"))
    'Dense'
    >>> class_name("sentence_transformers.models.Dense", Path("modules.json"))
    'Dense'
    """
    middle, _, name = kind.removeprefix("sentence_transformers.").rpartition(".")
    files = {name, name.lower(), SNAKE.get(name, name)}
    known = {spelling[:-1] for spelling in SPELLINGS} | {spelling + file for spelling in SPELLINGS for file in files}
    if kind.startswith("sentence_transformers."):
        if name in KNOWN and middle in known:
            return name
        advice = "load this checkpoint with sentence-transformers, or choose one that is made of the known modules"
    else:
        advice = "code that comes with a checkpoint is never run: choose one that is made of the known modules"
    raise UnsupportedModelError(
        f"{path}: module {kind!r} is not supported; known: {', '.join(KNOWN)} of sentence_transformers; {advice}"
    )


def read_modules(root: Path, entries: Sequence[tuple[str, str]], width: int) -> tuple[Module, ...]:
    """Read the settings of the modules after the pooling, given as (class, folder), and check their widths.

    Dropout does nothing outside of training, and is left out.  Raises ConfigError for malformed files and widths that
    do not fit, UnsupportedModelError for settings that are not supported.

    >>> read_modules(Path("model"), [("Dropout", "2_Dropout"), ("Normalize", "3_Normalize")], 384)
    (Normalize(),)
    """
    modules: list[Module] = []
    for name, folder in entries:
        path = root / folder / "config.json"
        if name == "Dense":
            modules.append(_read_dense(path, folder, width))
            width = modules[-1].out_features if isinstance(modules[-1], Dense) else width
        elif name == "LayerNorm":
            raw = read_json(path)
            refuse_unknown(raw, ["dimension"], path)
            _check_width(_size(raw, "dimension", path), "dimension", width, path)
            modules.append(LayerNorm(folder, width))
        elif name == "Normalize":
            _check_features(optional_json(path), path)  # its folder is empty, and often left out
            modules.append(Normalize())
    return tuple(modules)


def refuse_unknown(raw: Mapping[str, Any], known: Collection[str], path: Path) -> None:
    """Raise UnsupportedModelError for unknown settings, since they might change the vectors.

    >>> refuse_unknown({"dimension": 384}, ["dimension"], Path("config.json"))
    """
    if unknown := [key for key in raw if key not in known]:
        raise UnsupportedModelError(
            f"{path}: the setting {', '.join(map(repr, unknown))} is not known here; known: {', '.join(known)}"
        )


def _read_dense(path: Path, folder: str, width: int) -> Dense:
    raw = read_json(path)
    refuse_unknown(raw, DENSE_SETTINGS, path)
    _check_features(raw, path)
    _check_width(_size(raw, "in_features", path), "in_features", width, path)
    return Dense(
        folder=folder,
        in_features=width,
        out_features=_size(raw, "out_features", path),
        activation=_activation(raw.get("activation_function", "torch.nn.modules.activation.Tanh"), path),
        bias=typed(raw, "bias", bool, True, path),
        use_residual=typed(raw, "use_residual", bool, False, path),
    )


def _activation(named: Any, path: Path) -> str:
    if not isinstance(named, str):
        raise ConfigError(f"{path}: activation_function must be the name of a class, not {named!r}")
    if named in TORCH:
        return TORCH[named]
    message = f"{path}: activation_function {named!r} is not supported; known: {', '.join(ACTIVATIONS)} of torch.nn"
    if not named.startswith("torch."):  # the reference computes Tanh there, and only logs it
        message += "; nothing is imported by name. If what sentence-transformers takes instead is meant, write Tanh"
    raise UnsupportedModelError(message)


def _size(raw: dict[str, Any], key: str, path: Path) -> int:
    size = typed(raw, key, int, 0, path)
    if not 1 <= size <= LARGEST_SIZE:
        raise ConfigError(f"{path}: {key} must be a whole number from 1 to {LARGEST_SIZE}, not {raw.get(key)!r}")
    return size


def _check_width(stated: int, key: str, width: int, path: Path) -> None:
    if stated != width:
        raise ConfigError(f"{path}: {key} is {stated}, but vectors of {width} numbers come from the module before it")


def _check_features(raw: dict[str, Any], path: Path) -> None:
    for key in FEATURES:
        name = raw.get(key)
        if name not in (None, "sentence_embedding"):
            raise UnsupportedModelError(
                f"{path}: {key} {name!r} is not supported; known: 'sentence_embedding', the vector of the text"
            )


def read_module_params(root: Path, modules: Sequence[Module]) -> tuple[ModuleParams, ...]:
    """Read the weights of the modules, as float32.

    Raises WeightsError, which lists every tensor that is missing, unknown or of another shape.

    >>> read_module_params(Path("model"), [Normalize()])
    (None,)
    """
    return tuple(_read_params(root, module) for module in modules)


def shapes(module: Dense | LayerNorm) -> dict[str, tuple[int, ...]]:
    """The tensors of a module by stored name; linear weights are (out, in), as stored.

    >>> shapes(Dense("2_Dense", 3, 2, bias=False, use_residual=True))
    {'linear.weight': (2, 3), 'residual.weight': (2, 3)}
    """
    if isinstance(module, LayerNorm):
        return {"norm.weight": (module.dimension,), "norm.bias": (module.dimension,)}
    matrix = module.out_features, module.in_features
    wanted: dict[str, tuple[int, ...]] = {"linear.weight": matrix}
    if module.bias:
        wanted["linear.bias"] = (module.out_features,)
    if module.use_residual and module.in_features != module.out_features:
        wanted["residual.weight"] = matrix
    return wanted


def _read_params(root: Path, module: Module) -> ModuleParams:
    if isinstance(module, Normalize):
        return None
    folder, wanted = root / module.folder, shapes(module)
    if not (folder / "model.safetensors").exists():
        raise WeightsError(
            f"{folder} has no model.safetensors. Old revisions of checkpoints may have only pytorch_model.bin there, "
            f"a pickle, which minembed never opens: take a newer revision, or {CONVERT}"
        )
    files = TensorFiles.open(folder)
    faults = [f"{name} is unknown" for name in files.stored if name not in wanted]
    for name, shape in wanted.items():
        if name not in files.stored:
            faults.append(f"{name} is missing")
        elif files.stored[name].shape != shape:
            faults.append(f"{name} has shape {files.stored[name].shape}, expected {shape}")
    if faults:
        raise WeightsError(f"{folder}: the tensors do not fit config.json ({len(faults)} faults): " + "; ".join(faults))
    return from_tensors(module, {name: files.read(name) for name in wanted})


def from_tensors(module: Dense | LayerNorm, tensors: dict[str, Array]) -> ModuleParams:
    """Convert stored tensors to the layout for computing.

    >>> from_tensors(LayerNorm("2_LayerNorm", 1), {"norm.weight": np.ones(1), "norm.bias": np.zeros(1)})
    Norm(weight=array([1.]), bias=array([0.]))
    """
    if isinstance(module, LayerNorm):
        return Norm(tensors["norm.weight"], tensors["norm.bias"])
    none = np.zeros(module.out_features, np.float32)
    weights = {name: np.ascontiguousarray(tensor.T) for name, tensor in tensors.items()}
    residual = Linear(weights["residual.weight"], none) if "residual.weight" in weights else None
    return DenseParams(Linear(weights["linear.weight"], weights.get("linear.bias", none)), residual)


def to_tensors(module: Module, params: ModuleParams) -> dict[str, Array]:
    """Convert the weights of a module back to stored tensors: the inverse of `from_tensors`.

    >>> list(to_tensors(LayerNorm("2_LayerNorm", 1), Norm(np.ones(1), np.zeros(1))))
    ['norm.weight', 'norm.bias']
    """
    tensors: dict[str, Array | None] = {}
    if isinstance(params, Norm):
        tensors = {"norm.weight": params.weight, "norm.bias": params.bias}
    elif params is not None:
        tensors = {"linear.weight": params.linear.weight.T, "linear.bias": params.linear.bias}
        tensors["residual.weight"] = None if params.residual is None else params.residual.weight.T
    wanted = {} if isinstance(module, Normalize) else shapes(module)
    return {name: tensor for name, tensor in tensors.items() if name in wanted and tensor is not None}
