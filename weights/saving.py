"""Write a checkpoint as a folder that sentence-transformers and minembed load.

The spelling is the old one, which all releases since 2.0 read: `sentence_transformers.models.*` in modules.json, flags
in 1_Pooling/config.json, max_seq_length in sentence_bert_config.json.  Weights are safetensors, which those releases
read for the transformer, and since 3.1 for Dense and LayerNorm.  Settings that only later releases know (a residual,
pooling modes in another order) have the new spelling: earlier releases refuse it.

The folder is made under another name next to its place, and moved there in one step: it appears completely or not at
all.
"""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import ConfigError, InputError, WeightsError
from minembed.runtime.json_files import read_json
from minembed.runtime.new_folder import check_new, new_folder
from minembed.runtime.safetensors_files import Layout, header_of, write_safetensors
from minembed.transformer.modules import Dense, LayerNorm, ModuleParams, Normalize
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.directory import FLAGS, safe_path
from minembed.weights.families import open_tensors, read_config
from minembed.weights.folders import TOKENIZER_FILES
from minembed.weights.model_card import model_card
from minembed.weights.modules import read_module_params, to_tensors
from minembed.weights.static import MODEL2VEC, MODULE, STATIC, TENSOR, read_table, write_settings
from minembed.weights.tensors import FLOATS, TensorFiles

LICENCE_FILES = ("LICENSE", "LICENSE.txt", "LICENSE.md", "NOTICE")
PLACE = f"0_{MODULE}"  # not the root: the first releases with static embeddings would read it as a Transformer
LEGACY = "sentence_transformers.models."


class StoredTensors(Mapping[str, Array]):
    """The transformer's tensors in a checkpoint's folder, by stored name, each read from disk on access.

    Tensors that are not weights (`position_ids`) are left out.

    >>> len(StoredTensors(TensorFiles({})))
    0
    """

    def __init__(self, files: TensorFiles):
        self.files = files

    def __getitem__(self, name: str) -> Array:
        return self.files.read(name)

    def __iter__(self) -> Iterator[str]:
        return (name for name, stored in self.files.stored.items() if stored.dtype in FLOATS)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def stored_tensors(checkpoint: Checkpoint) -> Mapping[str, Array]:
    """The tensors of an unchanged checkpoint, for `save_checkpoint`.

    >>> from minembed.transformer.config import Config
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> stored_tensors(Checkpoint(Path("nowhere"), "bert", config, ("mean",), 256))
    Traceback (most recent call last):
    minembed.errors.WeightsError: nowhere has no model.safetensors: not a checkpoint folder, or not fully downloaded
    """
    if checkpoint.is_static:
        return {TENSOR[checkpoint.family]: read_table(checkpoint).embeddings.word}
    return StoredTensors(open_tensors(checkpoint))


def save_checkpoint(
    checkpoint: Checkpoint,
    tensors: Mapping[str, Array],
    folder: Path,
    modules: Sequence[ModuleParams] | None = None,
    notes: str = "",
) -> None:
    """Write a checkpoint to a new folder: its settings, its tokenizer, and these weights; `notes` go into its card.

    `tensors` are the transformer's, by their names in the checkpoint, in any float type; they are written as float32,
    one by one.  `modules` are the weights after the pooling (None: as in the checkpoint's folder).

    Raises InputError if `folder` exists or the checkpoint is quantised, WeightsError for tensors that cannot be saved,
    and SourceError, an OSError with its errno, if the disk fails; then nothing is left behind.

    >>> from minembed.transformer.config import Config
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> save_checkpoint(Checkpoint(Path("model"), "bert", config, ("mean",), 256), {}, Path("."))
    Traceback (most recent call last):
        ...
    minembed.errors.InputError: . exists already: name a folder that does not
    """
    check_new(folder)
    if checkpoint.stored_dtype != "float32":
        raise InputError(
            f"{checkpoint.folder} holds {checkpoint.stored_dtype} weights, from which nothing else can be made, and "
            "which only minembed reads: copy that folder as it is, or save the checkpoint that it was made from"
        )
    if modules is None:
        modules = read_module_params(checkpoint.root, checkpoint.modules)
    with new_folder(folder) as staged:
        (_write_table if checkpoint.is_static else _write_transformer)(checkpoint, tensors, staged)
        _write_modules(checkpoint, modules, staged)
        (staged / "README.md").write_text(model_card(checkpoint, folder.absolute().name, notes), encoding="utf-8")


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, indent=2)
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):  # UTF-8 cannot encode them
        text = json.dumps(value, indent=2)
    path.write_text(text + "\n", encoding="utf-8")


def _write_transformer(checkpoint: Checkpoint, tensors: Mapping[str, Array], staged: Path) -> None:
    source, place = checkpoint.folder, checkpoint.weights / "config.json"
    config = read_json(place)
    if read_config(place)[1] != checkpoint.config:
        raise ConfigError(f"{place} has changed since it was loaded: load the folder again")
    config |= {key: "float32" for key in ("dtype", "torch_dtype") if key in config}
    _write_json(staged / "config.json", config)
    for name in TOKENIZER_FILES:
        _copy(source, name, staged)
    if "auto_map" in config:  # code for other libraries; not run here
        for path in checkpoint.weights.glob("*.py"):
            _copy(checkpoint.weights, path.name, staged)
    for name in LICENCE_FILES:
        _copy(checkpoint.root, name, staged)
    lengths = {"max_seq_length": checkpoint.max_seq_length, "do_lower_case": checkpoint.do_lower_case}
    _write_json(staged / "sentence_bert_config.json", lengths)
    write_tensors(staged / "model.safetensors", tensors)


def _write_table(checkpoint: Checkpoint, tensors: Mapping[str, Array], staged: Path) -> None:
    inside = staged / (PLACE if checkpoint.family == STATIC else "")
    inside.mkdir(exist_ok=True)
    write_settings(checkpoint, inside)
    write_tensors(inside / "model.safetensors", tensors)
    for name in LICENCE_FILES:
        _copy(checkpoint.root, name, staged)


def _copy(source: Path, name: str, target: Path) -> None:
    if (source / name).is_file():
        safe_path(name, source / "config.json")  # a link out of the folder is not copied
        shutil.copyfile(source / name, target / name)


def write_tensors(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write a safetensors file in float32, one tensor in memory at a time.

    Raises WeightsError for NaN or infinity, which a failed training may leave.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     write_tensors(Path(folder) / "model.safetensors", {"a": np.ones((2, 3))})
    ...     TensorFiles.open(Path(folder)).stored["a"].shape
    (2, 3)
    """
    layout: Layout = {name: ("F32", tensors[name].shape) for name in sorted(tensors)}
    header = header_of(layout, {"format": "pt"}, aligned=8, separators=(", ", ": "))  # transformers insists on "pt"
    path.parent.mkdir(exist_ok=True)
    write_safetensors(path, header, (_float32(tensors[name], name) for name in layout))


def _float32(tensor: Array, name: str) -> Array:
    with np.errstate(over="ignore"):
        array = np.asarray(tensor, np.float32)
    if not np.isfinite(array).all():
        raise WeightsError(f"tensor {name!r} holds NaN or infinity (of float32); nothing was saved")
    return array


def _write_modules(checkpoint: Checkpoint, params: Sequence[ModuleParams], staged: Path) -> None:
    """Write modules.json, a folder for each module, and the overall settings."""
    if checkpoint.family == MODEL2VEC:
        return  # config.json says whether vectors are normalised
    entries = [("", "Transformer"), ("1_Pooling", "Pooling")]
    if checkpoint.is_static:
        entries = [(PLACE, MODULE)]
    else:
        _write_json(staged / "1_Pooling" / "config.json", _pooling(checkpoint))
    for i, (module, p) in enumerate(zip(checkpoint.modules, params, strict=True), len(entries)):
        name = type(module).__name__
        entries.append((f"{i}_{name}", name))
        place = staged / f"{i}_{name}"
        place.mkdir()
        if isinstance(module, Dense):
            _write_json(place / "config.json", _dense(module))
        elif isinstance(module, LayerNorm):
            _write_json(place / "config.json", {"dimension": module.dimension})
        if p is not None and not isinstance(module, Normalize):
            write_tensors(place / "model.safetensors", to_tensors(module, p))
    listed = [{"idx": i, "name": str(i), "path": path, "type": LEGACY + name} for i, (path, name) in enumerate(entries)]
    _write_json(staged / "modules.json", listed)
    overall: dict[str, Any] = {"__version__": {"sentence_transformers": "2.0.0"}}  # the first release that reads it
    overall |= {key: getattr(checkpoint, key) for key in ("prompts", "default_prompt_name", "similarity_fn_name")}
    if checkpoint.truncate_dim is not None:
        overall["truncate_dim"] = checkpoint.truncate_dim
    _write_json(staged / "config_sentence_transformers.json", overall)


def _pooling(checkpoint: Checkpoint) -> dict[str, Any]:
    modes, width = list(checkpoint.pooling), checkpoint.config.hidden_size
    if modes == [mode for mode in FLAGS.values() if mode in modes]:
        settings: dict[str, Any] = {"word_embedding_dimension": width}
        old = list(FLAGS)[:4]  # the others came later, and are unknown to the first releases
        settings |= {flag: mode in modes for flag, mode in FLAGS.items() if flag in old or mode in modes}
    else:
        settings = {"embedding_dimension": width, "pooling_mode": modes}
    return settings if checkpoint.include_prompt else settings | {"include_prompt": False}


def _dense(module: Dense) -> dict[str, Any]:
    place = "linear" if module.activation == "Identity" else "activation"
    settings: dict[str, Any] = {"in_features": module.in_features, "out_features": module.out_features}
    settings |= {"bias": module.bias, "activation_function": f"torch.nn.modules.{place}.{module.activation}"}
    return settings | ({"use_residual": True} if module.use_residual else {})
