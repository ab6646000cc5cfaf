"""The folder of a cross-encoder, as written by transformers, or by sentence-transformers since release 5.4."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from minembed.errors import ConfigError, MissingHeadError, UnsupportedModelError
from minembed.runtime.json_files import optional_json, read_json, read_json_value, typed
from minembed.transformer.heads import SCORE_ACTIVATIONS
from minembed.weights.bases import FindBase, find_here
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.directory import LENGTH_FILES, check_folder, read_limit, read_place, safe_path
from minembed.weights.families import read_config
from minembed.weights.modules import TORCH, class_name, refuse_unknown

INSTEAD = "for vectors of texts, load it with Embedder.load"
MOST_LABELS = 1 << 16  # far above any real model: refuses a damaged config before memory is allocated
# settings of the Transformer module, and the supported values
SETTINGS: dict[str, tuple[Any, ...]] = {
    "transformer_task": ("sequence-classification",),
    "module_output_name": (None, "scores"),
    "modality_config": (None, {"text": {"method": "forward", "method_output_name": "logits"}}),
    "processing_kwargs": (None, {}),
    **{
        f"{kind}_{end}": (None, {})
        for kind in ("model", "tokenizer", "processor", "config")
        for end in ("args", "kwargs")
    },
}
HARMLESS = ("max_seq_length", "do_lower_case", "unpad_inputs")
ACTIVATIONS = {**TORCH, **{f"torch.nn.{middle}Softmax": "Softmax" for middle in ("", "modules.activation.")}}


@dataclass(frozen=True, slots=True)
class CrossEncoder:
    """The content of a cross-encoder's folder except its tensors; made by `read_cross_encoder`."""

    checkpoint: Checkpoint  # its `pooling` is the input of the head: "cls" or "mean"
    labels: tuple[str, ...]
    activation: str  # of the scores: a row of minembed.transformer.heads.SCORE_ACTIVATIONS


def read_cross_encoder(folder: Path, find_base: FindBase = find_here) -> CrossEncoder:
    """Read everything except the tensors and the tokenizer, and check it; `find_base` as in `read_checkpoint`.

    Raises SourceError if the folder does not exist, MissingHeadError for a model that cannot score pairs, ConfigError
    for malformed files, UnsupportedModelError for anything that is not supported.
    """
    check_folder(folder)
    overall = folder / "config_sentence_transformers.json"
    inside, own = _read_modules(folder, optional_json(overall), overall)
    place, path, adapter = read_place(folder / inside, find_base)
    raw = read_json(path)
    family, config, stored_dtype = read_config(path)
    _check_architecture(raw, path)
    labels = _labels(raw, path)
    checkpoint = Checkpoint(
        folder=place,
        family=family,
        config=config,
        pooling=(_pooling(raw, family, path),),
        max_seq_length=read_limit(place, config, own, place),
        root=folder,
        stored_dtype=stored_dtype,
        do_lower_case=typed(own, "do_lower_case", bool, False, place),
        adapter=adapter,
    )
    named = _named_activation(raw, own, path)
    return CrossEncoder(checkpoint, labels, named or ("Sigmoid" if len(labels) == 1 else "Identity"))


def _read_modules(folder: Path, overall: Mapping[str, Any], overall_path: Path) -> tuple[str, dict[str, Any]]:
    """The folder of the encoder, and the settings that only count if there is a modules.json."""
    path = folder / "modules.json"
    if not path.exists():
        return "", {}
    entries = read_json_value(path)
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise ConfigError(f"{path} must hold a list of objects")
    kinds = [typed(entry, "type", str, "", path) for entry in entries]
    names = [kind.rpartition(".")[2] for kind in kinds]
    kind = typed(overall, "model_type", str, "SentenceTransformer", overall_path)
    if kind == "SentenceTransformer":
        raise MissingHeadError(f"{folder} is not a cross-encoder but a {kind} ({' -> '.join(names)}); {INSTEAD}")
    if kind != "CrossEncoder" or names != ["Transformer"]:
        raise UnsupportedModelError(
            f"{path}: a {kind} of the modules {' -> '.join(names)} is not supported; "
            "known: a CrossEncoder of Transformer alone, with a sequence-classification head"
        )
    class_name(kinds[0], path)
    inside = safe_path(typed(entries[0], "path", str, "", path), path)
    lengths = next((folder / inside / name for name in LENGTH_FILES if (folder / inside / name).exists()), None)
    settings = read_json(lengths) if lengths else {"transformer_task": "sequence-classification"}
    refuse_unknown(settings, [*SETTINGS, *HARMLESS], lengths or path)
    for key, allowed in SETTINGS.items():
        if settings.get(key) not in allowed:
            raise UnsupportedModelError(
                f"{lengths}: {key} = {settings.get(key)!r} is not supported; known: {allowed[-1]!r}"
            )
    _refuse_prompt(overall, overall_path)
    return inside, {**settings, "activation_fn": overall.get("activation_fn")}


def _refuse_prompt(overall: Mapping[str, Any], path: Path) -> None:
    """Refuse a default prompt, which would be put in front of every pair; prompts that must be named are fine."""
    default = typed(overall, "default_prompt_name", str, "", path)
    if default and typed(overall, "prompts", dict, {}, path).get(default) != "":
        raise UnsupportedModelError(f"{path}: default_prompt_name = {default!r} is not computed for pairs here")


def _check_architecture(raw: Mapping[str, Any], path: Path) -> None:
    named = raw.get("architectures")
    if isinstance(named, list) and named and not any(str(name).endswith("ForSequenceClassification") for name in named):
        raise MissingHeadError(
            f"{path}: the architecture {', '.join(map(str, named))} gives no scores of pairs, "
            f"...ForSequenceClassification does; {INSTEAD}"
        )


def _labels(raw: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """The names of the labels: from id2label, else as many as num_labels says, else two, as in transformers."""
    by_id = raw.get("id2label")
    if by_id is None:
        number = typed(raw, "num_labels", int, 2, path)
        if not 1 <= number <= MOST_LABELS:
            raise ConfigError(f"{path}: num_labels must be a whole number from 1 to {MOST_LABELS}, not {number}")
        return tuple(f"LABEL_{i}" for i in range(number))
    if not isinstance(by_id, dict) or not by_id or set(by_id) != {str(i) for i in range(len(by_id))}:
        raise ConfigError(f'{path}: id2label must name every label, "0", "1", ...; not {by_id!r}')
    return tuple(str(by_id[str(i)]) for i in range(len(by_id)))


def _pooling(raw: Mapping[str, Any], family: str, path: Path) -> str:
    if family != "modernbert":
        return "cls"
    named = typed(raw, "classifier_pooling", str, "cls", path)
    if named not in ("cls", "mean"):
        raise UnsupportedModelError(f"{path}: classifier_pooling {named!r} is not supported; known: cls, mean")
    return named


def _named_activation(raw: Mapping[str, Any], own: Mapping[str, Any], path: Path) -> str | None:
    """The activation that the files name, as written by sentence-transformers 5.4, 4 and earlier releases."""
    named = own.get("activation_fn")
    if named is None:
        named = typed(raw, "sentence_transformers", dict, {}, path).get("activation_fn")
    if named is None:
        named = raw.get("sbert_ce_default_activation_function")
    if named is None:
        return None
    if not isinstance(named, str) or named not in ACTIVATIONS:
        raise UnsupportedModelError(
            f"{path}: the activation {named!r} of the scores is not supported, and nothing is imported by name; "
            f"known: {', '.join(SCORE_ACTIVATIONS)} of torch.nn"
        )
    return ACTIVATIONS[named]
