"""The arguments of constructors: each is used, or refused with an error that says what to do."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from minembed.errors import InputError, InputTypeError, SourceError, UnsupportedCallError
from minembed.sentence_transformers.refusals import EXPORT, PARTS
from minembed.sentence_transformers.tensors import check_device

DTYPES = {"float32": "float32", "bfloat16": "bfloat16", "int8": "int8", "auto": "stored"}  # and their names here
SAME_NUMBERS = ("eager", "sdpa")  # ways to compute attention
TAKEN = tuple(
    (key, value)
    for key, values in {
        "padding": (True, False, "longest", "max_length"),
        "truncation": (True, "longest_first"),
        "return_tensors": ("pt",),
    }.items()
    for value in values
)
NO_NUMBERS = ("low_cpu_mem_usage", "use_safetensors", "trust_remote_code")  # they affect only loading

# encoders that the reference finds by a bare name although they belong to other organisations
PLAIN = {
    name: organisation
    for organisation, names in {
        "albert": "albert-base-v1 albert-base-v2 albert-large-v1 albert-large-v2 albert-xlarge-v1 albert-xlarge-v2 "
        "albert-xxlarge-v1 albert-xxlarge-v2",
        "google-bert": "bert-base-cased bert-base-uncased bert-large-cased bert-large-uncased bert-base-chinese "
        "bert-base-german-cased bert-base-multilingual-cased bert-base-multilingual-uncased "
        "bert-large-cased-whole-word-masking bert-large-uncased-whole-word-masking",
        "almanach": "camembert-base",
        "distilbert": "distilbert-base-cased distilbert-base-uncased distilbert-base-german-cased "
        "distilbert-base-multilingual-cased distilroberta-base",
        "FacebookAI": "roberta-base roberta-large roberta-large-mnli xlm-roberta-base xlm-roberta-large",
    }.items()
    for name in names.split()
}


@dataclass(frozen=True, slots=True)
class Request:
    """The checked arguments of a constructor."""

    name: str
    load: dict[str, Any]  # for `load` of Embedder and Reranker
    padding_side: str | None = None


def read_request(given: Mapping[str, Any], organisation: str = "sentence-transformers") -> Request:
    """Check the arguments that all constructors share.

    Raises UnsupportedCallError, InputError and InputTypeError for unsupported arguments, with what to write instead.

    >>> read_request({"model_name_or_path": "all-MiniLM-L6-v2", "device": "cpu"}).load
    {'revision': None, 'local_files_only': False, 'token': None}
    """
    name = given.get("model_name_or_path")
    if given.get("modules") is not None:
        raise UnsupportedCallError(f"modules= is not supported: {PARTS}")
    if name is None:
        raise InputTypeError('model_name_or_path is missing: give a folder, "org/name" or a bare name')
    check_device(given.get("device"))
    backend = given.get("backend", "torch")
    if backend != "torch":
        raise UnsupportedCallError(f"backend={backend!r} is not supported: {EXPORT}")
    if given.get("model_card_data") is not None:
        raise UnsupportedCallError("model_card_data= is not supported: edit the README.md of the saved folder")
    token = given.get("token")
    if given.get("use_auth_token") is not None:
        if token is not None:
            raise InputError("token= and use_auth_token= are the same: give token=")
        token = given["use_auth_token"]
    revision, offline = given.get("revision"), bool(given.get("local_files_only"))
    load = {"revision": revision, "local_files_only": offline, "token": token}
    load |= _model_settings(given.get("model_kwargs"))
    processor, side = _tokenizer_settings(given.get("processor_kwargs"))
    for key in _mapping("config_kwargs", given.get("config_kwargs")):
        if key != "num_labels":
            _unknown("config_kwargs", key, "edit config.json of the model's folder")
    where = folder_of(name, given.get("cache_folder"), revision, offline, token, organisation)
    return Request(where, load | processor, side)


def _mapping(name: str, given: Any) -> Mapping[str, Any]:
    """Settings by name, none for None; raises InputTypeError for something else."""
    if not isinstance(given, Mapping | None):
        raise InputTypeError(f"{name} must map names to values, not {given!r}")
    return given or {}


def _unknown(group: str, key: str, remedy: str) -> NoReturn:
    raise UnsupportedCallError(f"{group}={{{key!r}: ...}} is not supported: {remedy}")


def _model_settings(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The keyword arguments of the reference's model: its compute type, and settings that change no number."""
    load: dict[str, Any] = {}
    for key, value in _mapping("model_kwargs", given).items():
        if key in ("torch_dtype", "dtype"):
            named = str(value).removeprefix("torch.")
            if value is not None and named not in DTYPES:
                known = ", ".join(DTYPES)
                raise UnsupportedCallError(
                    f"model_kwargs={{{key!r}: {named}}} is not supported: minembed computes in {known}; "
                    "bfloat16 is the nearest to float16"
                )
            load["dtype"] = DTYPES[named] if value is not None else None
        elif key == "attn_implementation" and value in (*SAME_NUMBERS, None):
            continue  # they differ only in speed
        elif key == "device_map" and value in ("cpu", "auto", None):
            continue
        elif key not in NO_NUMBERS:
            _unknown("model_kwargs", key, "leave it out; dtype is 'float32', 'bfloat16' or 'int8'")
    return load


def _tokenizer_settings(given: Mapping[str, Any] | None) -> tuple[dict[str, Any], str | None]:
    load: dict[str, Any] = {}
    side = None
    for key, value in _mapping("processor_kwargs", given).items():
        if key == "model_max_length":
            load["max_seq_length"] = value
        elif key == "max_length":
            _unknown("processor_kwargs", key, "the reference ignores it, too; use model_max_length")
        elif key == "padding_side" and value in ("left", "right"):
            side = value  # the encoder sees no padding; `tokenize` shows it
        elif key == "use_fast" and value is True:
            continue
        else:
            _unknown("processor_kwargs", key, "edit tokenizer_config.json of the model's folder")
    return load, side


def folder_of(
    name: Any,
    cache_folder: Any,
    revision: str | None,
    local_files_only: bool,
    token: bool | str | None,
    organisation: str = "sentence-transformers",
) -> str:
    """The name itself or, with `cache_folder`, its snapshot in there, which is downloaded if that is allowed.

    >>> folder_of("all-MiniLM-L6-v2", None, None, False, None)
    'all-MiniLM-L6-v2'
    """
    name = os.fspath(name) if isinstance(name, os.PathLike) else name
    if not isinstance(name, str):
        raise InputTypeError(f"model_name_or_path must be a str or a path, not {type(name).__name__}")
    if name.lower() in PLAIN and not Path(name).is_dir():
        name = f"{PLAIN[name.lower()]}/{name}"
    if cache_folder is None or Path(name).is_dir():
        return name
    from minembed.weights.sources import cache, hub

    repo = name if "/" in name else f"{organisation}/{name}"
    store = Path(cache_folder).expanduser().absolute()
    try:
        return str(cache.find_in_hub_cache(store, repo, revision or "main").folder)
    except SourceError:
        if local_files_only:
            raise
    return str(hub.fetch(repo, revision, token, store=store).folder)


def call_limit(processing: Mapping[str, Any] | None) -> int | None:
    """The limit in tokens that `processing_kwargs` set for one call; padding is accepted, as it changes no number.

    Raises UnsupportedCallError for other settings.

    >>> call_limit({"text": {"padding": "max_length", "max_length": 256, "truncation": True}})
    256
    """
    limit = None
    for group, settings in _mapping("processing_kwargs", processing).items():
        for key, value in _mapping(f"processing_kwargs[{group!r}]", settings).items():
            if group == "text" and key == "max_length":
                limit = value
            elif group not in ("text", "common") or (key, value) not in TAKEN:
                _unknown(f"processing_kwargs[{group!r}]", key, "text: max_length is used, padding changes nothing")
    return limit
