"""The sentence-transformers folder: modules.json and the files that it names, in old and new spellings."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from minembed.errors import ConfigError, ModelWarning, SourceError, UnsupportedModelError, warn
from minembed.runtime.json_files import optional_json, read_json, read_json_value, typed
from minembed.runtime.paths import can_be_named, is_too_long
from minembed.transformer.config import Config
from minembed.transformer.pooling import POOLING
from minembed.weights.bases import FindBase, find_here
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import read_config
from minembed.weights.folders import ADAPTER_FILES, missing
from minembed.weights.modules import AFTER_POOLING, class_name, read_modules, refuse_unknown
from minembed.weights.static import MODULE, model2vec_entries, read_static

if TYPE_CHECKING:
    from minembed.weights.adapters import Adapter

SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
LENGTH_FILES = tuple(
    f"sentence_{name}_config.json"
    for name in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
TOKENIZERS: tuple[str, ...] = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "spiece.model",
)  # files of an adapter's own tokenizer
TOKENIZERS += ("sentencepiece.bpe.model", "tokenizer.model")


def safe_path(relative: str, source: Path) -> str:
    """Check that a path given in a file stays below the folder of that file.

    Raises ConfigError for anything but plain names joined by "/", and for links that lead elsewhere (links into the
    blobs beside the snapshots of the Hugging Face cache are fine).

    >>> safe_path("1_Pooling", Path("model/modules.json"))
    '1_Pooling'
    """
    parts = PurePosixPath(relative).parts
    odd = any(c in "\\:\0" or "\ud800" <= c <= "\udfff" for c in relative)
    if relative.startswith("/") or ".." in parts or odd:
        raise ConfigError(f"{source}: path {relative!r} must be a plain path below the folder")
    if is_too_long(source.parent / relative / max(LENGTH_FILES, key=len)):
        raise ConfigError(f"{source}: path {relative!r} is too long for this system")
    root = source.parent.resolve()
    target = (root / relative).resolve()
    if not any(target.is_relative_to(allowed) for allowed in (root, root.parent.parent / "blobs")):
        raise ConfigError(f"{source}: path {relative!r} leads out of the folder, to {target}")
    return relative


def check_folder(folder: Path) -> None:
    """Raise SourceError unless it is a folder.

    >>> check_folder(Path("none"))
    Traceback (most recent call last):
    minembed.errors.SourceError: the folder none does not exist
    """
    if not can_be_named(folder) or is_too_long(folder) or not folder.exists():
        raise SourceError(f"the folder {folder} does not exist")
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a folder")


def _read_entries(folder: Path) -> list[tuple[str, str]]:
    """List the modules of modules.json as (class, folder): Transformer, Pooling, and the modules after them."""
    path = folder / "modules.json"
    if not path.exists():
        if (entries := model2vec_entries(folder)) is not None:
            return entries
        if any((folder / name).exists() for name in ("config.json", "adapter_config.json")):
            warn(f"{folder} has no modules.json: mean pooling, not normalised, is assumed", ModelWarning)
        return [("Transformer", "")]
    raw = read_json_value(path)
    if not isinstance(raw, list) or not all(isinstance(entry, dict) for entry in raw):
        raise ConfigError(f"{path} must hold a list of objects")
    entries = [
        (class_name(typed(entry, "type", str, "", path), path), safe_path(typed(entry, "path", str, "", path), path))
        for entry in raw
    ]
    names = [name for name, _ in entries]
    after_pooling = (
        names[1:] if names[:1] == [MODULE] else names[2:] if names[:2] == ["Transformer", "Pooling"] else [""]
    )
    if not set(after_pooling) <= set(AFTER_POOLING):
        raise UnsupportedModelError(
            f"{path}: the modules {' -> '.join(names) or '(none)'} are not supported; "
            f"known: Transformer -> Pooling, or {MODULE}, and then any of {', '.join(AFTER_POOLING)} in any order"
            + ("; a cross-encoder is loaded with Reranker.load" if names == ["Transformer"] else "")
        )
    return entries


FLAGS = {  # in the order in which they are concatenated
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


POOLING_SETTINGS = ("word_embedding_dimension", "embedding_dimension", "pooling_mode", "include_prompt", *FLAGS)


def _read_pooling(path: Path, config: Config) -> tuple[tuple[str, ...], bool]:
    raw = read_json(path)
    refuse_unknown(raw, POOLING_SETTINGS, path)
    width = raw.get("embedding_dimension", raw.get("word_embedding_dimension"))
    if width not in (None, config.hidden_size):
        raise ConfigError(f"{path}: the width {width!r} is not the hidden_size {config.hidden_size} of config.json")
    if raw.get("pooling_mode") is not None:
        named = raw["pooling_mode"]
        modes: Sequence[Any] = [named] if isinstance(named, str) else named
        if not isinstance(modes, list) or not modes:
            raise ConfigError(f"{path}: pooling_mode must be a name or a list of names, not {named!r}")
    else:
        modes = [mode for key, mode in FLAGS.items() if typed(raw, key, bool, False, path)] or ["mean"]
    for mode in modes:
        if isinstance(mode, str) and modes.count(mode) > 1:
            raise UnsupportedModelError(f"{path}: pooling mode {mode!r} is named more than once")
        if not isinstance(mode, str) or mode not in POOLING:
            raise UnsupportedModelError(f"{path}: pooling mode {mode!r} is not supported; known: {', '.join(POOLING)}")
    return tuple(modes), typed(raw, "include_prompt", bool, True, path)


def read_limit(folder: Path, config: Config, length_config: Mapping[str, Any], path: Path) -> int:
    """The maximum length: an explicit max_seq_length, else the tokenizer's limit, and at most the number of positions.

    Raises ConfigError for a limit below 1 or of another type; warns (ModelWarning) about one above the positions.

    >>> config = Config(9, 4, 1, 2, 8, 16, 0, "gelu", 1e-5)
    >>> read_limit(Path("model"), config, {"max_seq_length": 8}, Path("model/sentence_bert_config.json"))
    8
    """
    positions = config.max_tokens
    explicit = typed(length_config, "max_seq_length", int, 0, path)
    if length_config.get("max_seq_length") is not None and explicit < 1:
        raise ConfigError(f"{path}: max_seq_length {explicit} must be from 1 to max_position_embeddings, {positions}")
    if explicit > positions:
        warn(
            f"{path}: max_seq_length {explicit} is beyond the positions of the model, so {positions} tokens are read; "
            f"write {positions} there",
            ModelWarning,
        )
    if explicit:
        return min(explicit, positions)
    place = folder / "tokenizer_config.json"
    settings = optional_json(place)
    key = "model_max_length" if "model_max_length" in settings else "max_len"  # the latter is older
    limit = settings.get(key)
    if limit is None:
        return positions
    if not isinstance(limit, int | float) or isinstance(limit, bool) or not limit >= 1:
        raise ConfigError(f"{place}: {key} {limit!r} must be a number of tokens, 1 or more; remove or mend it")
    return int(min(limit, positions))  # it may be 1e30


# settings of the Transformer module that change the vectors, and the supported values
FIXED: dict[str, tuple[Any, ...]] = {
    "transformer_task": (None, "feature-extraction"),
    "module_output_name": (None, "token_embeddings"),
    "query_length": (None,),
    "document_length": (None,),
    "query_expansion": (None,),
    "processing_kwargs": (None, {}),
}
ARGUMENTS = {  # for the libraries that sentence-transformers uses; the named ones do not change the vectors
    "model": ("attn_implementation", "add_pooling_layer", "torch_dtype", "dtype", "device_map", "low_cpu_mem_usage"),
    "tokenizer": ("padding_side", "use_fast", "clean_up_tokenization_spaces"),
    "processor": ("padding_side", "use_fast", "clean_up_tokenization_spaces"),
    "config": (),
}


TRANSFORMER_SETTINGS = ("max_seq_length", "do_lower_case", "modality_config", "unpad_inputs", *FIXED)
TRANSFORMER_SETTINGS += tuple(f"{kind}_{end}" for kind in ARGUMENTS for end in ("args", "kwargs"))


def _check_transformer(raw: Mapping[str, Any], path: Path) -> None:
    refuse_unknown(raw, TRANSFORMER_SETTINGS, path)
    for key, allowed in FIXED.items():
        if raw.get(key) not in allowed:
            raise UnsupportedModelError(f"{path}: {key} = {raw[key]!r} is not supported")
    text = typed(raw, "modality_config", dict, {}, path).get("text")
    if text not in (None, {"method": "forward", "method_output_name": "last_hidden_state"}):
        raise UnsupportedModelError(f"{path}: modality_config for text = {text!r} is not supported")
    for kind, harmless in ARGUMENTS.items():
        for key in (f"{kind}_args", f"{kind}_kwargs"):
            others = set(typed(raw, key, dict, {}, path)) - {*harmless, "trust_remote_code"}  # remote code is never run
            if others:
                raise UnsupportedModelError(f"{path}: {key} with {', '.join(sorted(others))} is not supported")


def _read_overall(raw: Mapping[str, Any], path: Path) -> dict[str, Any]:
    kind = typed(raw, "model_type", str, "SentenceTransformer", path)
    if kind != "SentenceTransformer":
        raise UnsupportedModelError(f"{path}: model_type {kind!r} is not supported; known: SentenceTransformer")
    prompts = typed(raw, "prompts", dict, {}, path)
    if not all(isinstance(prompt, str | None) for prompt in prompts.values()):
        raise ConfigError(f"{path}: prompts must map names to texts")
    prompts = {name: prompt or "" for name, prompt in prompts.items()}
    default = typed(raw, "default_prompt_name", str, "", path) or None
    if default is not None and default not in prompts:
        raise ConfigError(f"{path}: default_prompt_name {default!r} is not among the prompts {sorted(prompts)}")
    similarity = typed(raw, "similarity_fn_name", str, "cosine", path)
    if similarity not in SIMILARITIES:
        raise UnsupportedModelError(
            f"{path}: similarity_fn_name {similarity!r} is unknown; known: {', '.join(SIMILARITIES)}"
        )
    return {
        "prompts": prompts,
        "default_prompt_name": default,
        "similarity_fn_name": similarity,
        "truncate_dim": None if raw.get("truncate_dim") is None else typed(raw, "truncate_dim", int, 0, path),
    }


def read_checkpoint(folder: Path, find_base: FindBase = find_here) -> Checkpoint:
    """Read everything except the tensors and the tokenizer, and check it.

    `find_base` finds the base of an adapter by its name, if it is not in the folder.  Raises SourceError if the folder
    does not exist, ConfigError for malformed files, UnsupportedModelError for modules or settings that are not
    supported.
    """
    check_folder(folder)
    entries = _read_entries(folder)
    is_static = entries[0][0] == MODULE
    checkpoint = read_static(folder, entries) if is_static else _read_encoder(folder, entries, find_base)
    overall = folder / "config_sentence_transformers.json"
    checkpoint = replace(checkpoint, **_read_overall(optional_json(overall), overall))
    if checkpoint.truncate_dim is not None and not 1 <= checkpoint.truncate_dim <= checkpoint.dimension:
        width = checkpoint.dimension
        raise ConfigError(f"{overall}: truncate_dim {checkpoint.truncate_dim} must be from 1 to the width, {width}")
    return checkpoint


def read_place(transformer: Path, find_base: FindBase) -> "tuple[Path, Path, Adapter | None]":
    """The folder of the tokenizer of a Transformer, the path of its config.json, and its adapter, if there is one.

    Raises ConfigError if there is no config.json, and the errors of `find_adapter`.

    >>> read_place(Path("none"), find_here)
    Traceback (most recent call last):
    minembed.errors.ConfigError: none has no config.json: not a checkpoint folder, or not fully downloaded
    """
    adapter = None
    if any((transformer / name).exists() for name in ADAPTER_FILES):
        from minembed.weights.adapters import find_adapter  # late: few folders have one

        adapter = find_adapter(transformer, find_base)
    if adapter is not None:
        own = any((transformer / name).exists() for name in TOKENIZERS)
        return transformer if own else adapter.base, adapter.base / "config.json", adapter
    if not (transformer / "config.json").exists():
        raise ConfigError(missing(transformer, "config.json"))
    return transformer, transformer / "config.json", None


def _read_encoder(folder: Path, entries: Sequence[tuple[str, str]], find_base: FindBase) -> Checkpoint:
    """Read the settings in the folder of an encoder: Transformer, Pooling, and the modules after them."""
    (_, inside), *others = entries
    transformer = folder / inside
    place, path, adapter = read_place(transformer, find_base)
    family, config, stored_dtype = read_config(path)
    if adapter is not None and stored_dtype != "float32":
        raise UnsupportedModelError(
            f"{path}: an adapter cannot be merged into {stored_dtype} weights: name their source"
        )
    pooling, include_prompt = (
        _read_pooling(folder / others[0][1] / "config.json", config) if others else (("mean",), True)
    )
    lengths = next((transformer / name for name in LENGTH_FILES if (transformer / name).exists()), None)
    length_config = read_json(lengths) if lengths else {}
    _check_transformer(length_config, lengths or transformer)
    return Checkpoint(
        folder=place,
        family=family,
        config=config,
        pooling=pooling,
        max_seq_length=read_limit(place, config, length_config, lengths or transformer / LENGTH_FILES[0]),
        include_prompt=include_prompt,
        modules=read_modules(folder, others[1:], config.hidden_size * len(pooling)),
        root=folder,
        stored_dtype=stored_dtype,
        do_lower_case=typed(length_config, "do_lower_case", bool, False, lengths or transformer),
        adapter=adapter,
    )
