"""Static embeddings, a row of numbers for each token: sentence-transformers' StaticEmbedding, and model2vec's folders.

The table is `embedding.weight`, or model2vec's `embeddings` with a row for each token or, with `mapping`, for several
tokens, each scaled by its entry in `weights`.

The same files may mean two things: model2vec leaves out unknown tokens and reads 512 tokens, sentence-transformers does
neither.  A folder with modules.json is read as sentence-transformers does, one without as model2vec does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import ConfigError, TokenizationError, WeightsError
from minembed.runtime.json_files import optional_json, read_json, typed
from minembed.transformer.config import LARGEST_SIZE, Config
from minembed.transformer.params import Embeddings, Params
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.modules import read_modules
from minembed.weights.tensors import FLOATS, TensorFiles

MODULE = "StaticEmbedding"
STATIC, MODEL2VEC = "static", "model2vec"  # families
TENSOR = {STATIC: "embedding.weight", MODEL2VEC: "embeddings"}  # the name by which each saves a folded table
UNLIMITED = LARGEST_SIZE  # tokens
KINDS = {  # tensors of model2vec: the types in which they are stored
    "embeddings": (*FLOATS, "I8"),
    "weights": FLOATS,
    "mapping": ("I64", "I32", "I16", "U32", "U16", "U8"),
}


def model2vec_entries(folder: Path) -> list[tuple[str, str]] | None:
    """The modules of a folder of model2vec, which has no modules.json; None for any other folder.

    It is recognised by the model_type of config.json or, if that is missing, by its tensors.

    >>> model2vec_entries(Path("nowhere"))
    """
    path = folder / "config.json"
    raw = optional_json(path)
    if raw.get("model_type") is None and (folder / "model.safetensors").exists() and path.exists():
        stored = set(TensorFiles.open(folder).stored)
        if "embeddings" not in stored or not stored <= set(KINDS):
            return None
    elif raw.get("model_type") != MODEL2VEC:
        return None
    return [(MODULE, ""), ("Normalize", "")] if typed(raw, "normalize", bool, False, path) else [(MODULE, "")]


def read_static(folder: Path, entries: Sequence[tuple[str, str]]) -> Checkpoint:
    """Read everything except the table; the first module is a StaticEmbedding.

    Raises ConfigError, TokenizationError and WeightsError for files that are malformed, missing, or do not fit.
    """
    inside = folder / entries[0][1]
    family = STATIC if (folder / "modules.json").exists() else MODEL2VEC
    vocab_size, width = _sizes(inside, family)
    limit = _limit_of_config(inside) if family == MODEL2VEC else _limit_of_tokenizer(inside)
    try:
        config = Config(
            vocab_size=vocab_size,
            hidden_size=width,
            num_hidden_layers=0,
            num_attention_heads=1,
            intermediate_size=1,
            max_position_embeddings=UNLIMITED,
            type_vocab_size=0,
            hidden_act="gelu",
            layer_norm_eps=1e-12,
            position_embedding_type="none",
        )
    except ConfigError as e:
        raise WeightsError(f"{inside / 'model.safetensors'}: the table is {vocab_size} x {width}: {e}") from None
    return Checkpoint(
        folder=inside,
        family=family,
        config=config,
        pooling=("mean",),
        max_seq_length=limit,
        modules=read_modules(folder, entries[1:], width),
        root=folder,
    )


def _limit_of_config(folder: Path) -> int:
    """The max_length of model2vec: 512 unless config.json has another; null means no limit."""
    path = folder / "config.json"
    raw = read_json(path)
    if "max_length" in raw and raw["max_length"] is None:
        return UNLIMITED
    return _checked(typed(raw, "max_length", int, 512, path), "max_length", path)


def _limit_of_tokenizer(folder: Path) -> int:
    """The limit of sentence-transformers: the truncation of tokenizer.json, which usually has none."""
    path = folder / "tokenizer.json"
    truncation = typed(read_json(path, TokenizationError), "truncation", dict, {}, path)
    return _checked(typed(truncation, "max_length", int, UNLIMITED, path), "truncation.max_length", path)


def _checked(limit: int, name: str, path: Path) -> int:
    if limit < 1:
        raise ConfigError(f"{path}: {name} must be a whole number from 1, not {limit}")
    return min(limit, UNLIMITED)


def _sizes(folder: Path, family: str) -> tuple[int, int]:
    """The numbers of rows and columns of the table, from the headers of the tensors."""
    stored = TensorFiles.open(folder).stored
    if family == STATIC and set(stored) == {TENSOR[STATIC]}:
        wanted: dict[str, tuple[str, ...]] = {TENSOR[STATIC]: (*FLOATS, "I8")}
        first = TENSOR[STATIC]
    else:
        wanted, first = KINDS, "embeddings"
    faults = [] if first in stored else [f"{first} is missing"]
    faults += [f"{name} is unknown" for name in stored if name not in wanted]
    for name, kinds in wanted.items():
        if name in stored and stored[name].dtype not in kinds:
            faults.append(f"{name} is {stored[name].dtype}, expected {' or '.join(kinds)}")
    shapes = {name: entry.shape for name, entry in stored.items()}
    if len(shapes.get(first, (0, 0))) != 2:
        faults.append(f"{first} has shape {shapes[first]}, expected a table")
    ids = shapes.get("mapping", shapes.get(first, (0,)))[:1]  # as many as there are tokens
    for name in ("mapping", "weights"):
        if name in shapes and shapes[name] != ids:
            faults.append(f"{name} has shape {shapes[name]}, expected {ids}")
    if faults:
        raise WeightsError(
            f"{folder / 'model.safetensors'} is no table of static embeddings ({len(faults)} faults): "
            + "; ".join(faults)
        )
    return ids[0], shapes[first][1]


def read_table(checkpoint: Checkpoint) -> Params:
    """Read the table, (V, D) float32, with mapping and weights applied, as parameters of an encoder without layers.

    Raises WeightsError for tensors that contain NaN, or a mapping to rows that do not exist.
    """
    files, name = TensorFiles.open(checkpoint.folder), TENSOR[STATIC]
    if name in files.stored:
        table = files.take(name, (*FLOATS, "I8"))
    else:
        name = "embeddings"
        table = _folded({name: files.take(name, kinds) for name, kinds in KINDS.items() if name in files.stored}, files)
    with np.errstate(over="ignore"):
        word = np.ascontiguousarray(table, dtype=np.float32)
    if word.shape != (checkpoint.config.vocab_size, checkpoint.config.hidden_size):
        raise WeightsError(
            f"{checkpoint.folder / 'model.safetensors'} has changed since it was looked at: load it anew"
        )
    if word.size and not (np.isfinite(word.min()) and np.isfinite(word.max())):
        raise WeightsError(f"{files.stored[name].file}: the rows times their weights overflow float32")
    return Params(Embeddings(word, None, None, None), ())


def _folded(tensors: Mapping[str, Array], files: TensorFiles) -> Array:
    """One row for each token."""
    table = tensors["embeddings"]
    if "mapping" in tensors:
        mapping = tensors["mapping"]
        if mapping.size and not (mapping.min() >= 0 and mapping.max() < len(table)):
            file = files.stored["mapping"].file
            raise WeightsError(
                f"{file}: mapping goes from {mapping.min()} to {mapping.max()}, but embeddings has {len(table)} rows"
            )
        table = table[mapping]
    if "weights" in tensors:
        with np.errstate(over="ignore"):
            table = table.astype(np.promote_types(table.dtype, np.float32)) * tensors["weights"][:, None]
    return table


def write_settings(checkpoint: Checkpoint, staged: Path) -> None:
    """Write the tokenizer and config.json of a static checkpoint, with its maximum length."""
    import shutil  # late: it takes 2 ms, and only writing needs it

    limit = None if checkpoint.max_seq_length == UNLIMITED else checkpoint.max_seq_length
    path = checkpoint.folder / "tokenizer.json"
    if checkpoint.family == MODEL2VEC:
        config = read_json(checkpoint.folder / "config.json") | {"max_length": limit, "embedding_dtype": "float32"}
        config.pop("vocabulary_quantization", None)  # the saved table has a row for each token
        _write(staged / "config.json", config)
    elif _limit_of_tokenizer(checkpoint.folder) != checkpoint.max_seq_length:
        layout = read_json(path, TokenizationError)
        usual = {"direction": "Right", "strategy": "LongestFirst", "stride": 0}
        kept: dict[str, Any] = layout.get("truncation") or usual
        _write(staged / "tokenizer.json", layout | {"truncation": kept | {"max_length": limit} if limit else None})
        return
    shutil.copyfile(path, staged / "tokenizer.json")


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
