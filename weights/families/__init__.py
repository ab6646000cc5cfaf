"""Checkpoint families: how the config.json and tensor names of each map to the one encoder.

A fixed table: names from files are only looked up here, and nothing else is imported because of them.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from minembed.errors import UnsupportedModelError, WeightsError
from minembed.runtime.json_files import read_json, typed
from minembed.transformer.config import Config
from minembed.transformer.params import Params
from minembed.types import Array, Dtype
from minembed.weights import quantized, static
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families.family import Family, Raw
from minembed.weights.layout import build, layout, shapes
from minembed.weights.tensors import TensorFiles

ROWS = {  # by the model_type of config.json: the module here, and the row in it
    "albert": "albert:ALBERT",
    "bert": "bert:BERT",
    "camembert": "bert:ROBERTA",
    "distilbert": "distilbert:DISTILBERT",
    "electra": "bert:ELECTRA",
    "gemma3_text": "gemma:GEMMA",
    "gte": "gte:GTE",
    "jina_bert": "jina:JINA",  # "bert" in config.json
    "modernbert": "modernbert:MODERNBERT",
    "mpnet": "mpnet:MPNET",
    "new": "gte:GTE",
    "nomic_bert": "nomic:NOMIC",
    "qwen3": "qwen:QWEN3",
    "roberta": "bert:ROBERTA",
    "xlm-roberta": "bert:ROBERTA",
}


class Families(Mapping[str, Family]):
    """The table.  A row is imported on access, since most processes need only one."""

    def __getitem__(self, name: str) -> Family:
        module, _, row = ROWS[name].partition(":")
        family: Family = getattr(import_module(f"{__name__}.{module}"), row)
        return family

    def __contains__(self, name: object) -> bool:
        return name in ROWS

    def __iter__(self) -> Iterator[str]:
        return iter(ROWS)

    def __len__(self) -> int:
        return len(ROWS)


FAMILIES: Mapping[str, Family] = Families()


def find_family(raw: Raw, path: Path) -> str:
    """Name the family of a config.json; raises UnsupportedModelError for one that is not supported."""
    model_type = typed(raw, "model_type", str, "", path)
    if model_type not in FAMILIES:
        raise UnsupportedModelError(
            f"{path}: model_type {model_type!r} is not supported; known: {', '.join(sorted(FAMILIES))}"
        )
    return "jina_bert" if model_type == "bert" and raw.get("position_embedding_type") == "alibi" else model_type


def read_config(path: Path) -> tuple[str, Config, Dtype]:
    """Read config.json: the family's name, the architecture, and how the weights are stored.

    Raises ConfigError for a malformed file, UnsupportedModelError for a family that is not supported.
    """
    raw = read_json(path)
    family = find_family(raw, path)
    return family, FAMILIES[family].read_config(raw, path), quantized.stored_dtype(raw, path)


def read_params(checkpoint: Checkpoint, as_stored: bool = False, threads: int = 1) -> Params:
    """Read all tensors of a checkpoint, one by one, and convert them to the layout for computing.

    With `as_stored`, the linear weights of layers are transposed views of (out, in), as the files store them: kernels
    pack these faster, and NumPy computes slower with them.  Then several threads can read.
    Raises WeightsError, which lists every tensor that is missing, unknown or of another shape.
    """
    if checkpoint.family in (static.STATIC, static.MODEL2VEC):
        return static.read_table(checkpoint)
    family, config = FAMILIES[checkpoint.family], checkpoint.config
    if checkpoint.stored_dtype == "int8":
        return quantized.read(checkpoint.folder, layout(config, family.names))
    files = open_tensors(checkpoint)
    names = match(checkpoint, files, family)

    def read(plain: str, out: Array | None = None) -> Array:
        return files.read(names[plain], out)

    params = build(config, family.names, read, as_stored, threads)
    return params if family.fold is None else family.fold(params, config)


def open_tensors(checkpoint: Checkpoint) -> TensorFiles:
    """The tensors of an encoder's checkpoint, with its adapter (if any) merged into them; nothing is read yet.

    Raises WeightsError for files that are missing or damaged, and for an adapter that does not fit.

    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> open_tensors(Checkpoint(Path("nowhere"), "bert", config, ("mean",), 256))
    Traceback (most recent call last):
    minembed.errors.WeightsError: nowhere has no model.safetensors: not a checkpoint folder, or not fully downloaded
    """
    files, family = TensorFiles.open(checkpoint.weights), FAMILIES[checkpoint.family]
    if checkpoint.adapter is None:
        return files
    from minembed.weights.adapters import Base, merged  # late: few folders have one

    tables = {name for names in family.names.values() for name in names if name.endswith(".weight")}
    wanted = shapes(checkpoint.config, family.names)
    base = Base(files, family.place, family.places, family.plain_name, wanted, tables, family.ignored)
    return merged(base, checkpoint.adapter)


def wrapper(stored: Sequence[str], wanted: Collection[str], family: Family) -> str:
    """The prefix of all stored names without which they would fit; "" if there is none.

    >>> wrapper(["module.a.weight", "module.a.bias"], {"a.weight", "a.bias"}, Family(None, {}))
    'module.'
    """
    first = stored[0] if stored else ""
    for prefix in (first[: i + 1] for i, letter in enumerate(first) if letter == "."):
        plain = {family.plain_name(name.removeprefix(prefix)) for name in stored if name.startswith(prefix)}
        if len(plain) == len(stored) and set(wanted) <= plain:
            return prefix
    return ""


def match(checkpoint: Checkpoint, files: TensorFiles, family: Family) -> dict[str, str]:
    """Map each needed plain name to its stored name; every other tensor must be known to be unused."""
    wanted = shapes(checkpoint.config, family.names)
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
        elif not plain.startswith(family.ignored):
            faults.append(f"{stored} is unknown")
    faults += [f"{plain} is missing" for plain in wanted if plain not in found]
    if faults and (prefix := wrapper(list(files.stored), wanted, family)):
        raise WeightsError(
            f"{checkpoint.folder}: the names of all tensors begin with {prefix!r}, which a wrapper has put there "
            "(DataParallel, torch.compile, a module of your own): save the model inside it (model.module, "
            "model._orig_mod), or take the prefix away from the names in model.safetensors"
        )
    if faults:
        raise WeightsError(
            f"{checkpoint.folder}: the tensors do not fit config.json ({len(faults)} faults): " + "; ".join(faults)
        )
    return found
