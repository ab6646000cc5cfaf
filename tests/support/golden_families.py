"""The goldens of the checkpoint families, read back: checkpoint folders, tokens, and the expected results."""

import json
import re
from functools import cache

import numpy as np
from places import GOLDENS_FOLDER
from safetensors.numpy import save_file
from tiny import MODULES, tiny_tokenizer, write_json

from minembed.transformer.tokens import Tokens

VECTOR = 2e-6  # the contract
COSINE = {"bfloat16": 0.9999, "int8": 0.999}  # the contract of trained weights, on the mean
FOLDER = GOLDENS_FOLDER / "families"
NAMES = sorted(path.stem for path in FOLDER.glob("*.npz"))
# config.json as the checkpoints on the Hub have it ("hub"), and as transformers 5 writes it ("new")


@cache
def read(name):
    """The arrays of one golden file."""
    with np.load(FOLDER / f"{name}.npz") as file:
        return dict(file)


def family_of(name):
    """The family of a golden, which may be a variant of it: "electra+base"."""
    return name.partition("+")[0]


def about(golden):
    """The versions, the reference and the pooling mode of a golden."""
    return json.loads(str(golden["about"]))


def spellings(golden):
    """The spellings of config.json that a golden has."""
    return [key.removeprefix("config/") for key in golden if key.startswith("config/")]


def config_of(golden, spelling="hub"):
    """config.json in one of its spellings."""
    return json.loads(str(golden[f"config/{spelling}"]))


def tensors_of(golden, dtype=np.float32):
    """The tensors by the names that they have on the Hub; they are float16 numbers, whatever the dtype."""
    names = [key.removeprefix("tensors/") for key in golden if key.startswith("tensors/")]
    return {name: tensor(golden[f"tensors/{name}"], name, dtype) for name in names}


def tensor(array, name, dtype):
    """One tensor as a checkpoint has it."""
    if name.endswith("position_ids"):
        return np.arange(array.size, dtype=np.int64).reshape(array.shape)
    return array.astype(dtype)


def write_checkpoint(golden, folder, spelling="hub", config=None, tensors=None):
    """Write the sentence-transformers folder of a golden and return it.

    `config` adds to or replaces entries of config.json (None removes one), `tensors` those of model.safetensors.
    """
    whole = {**config_of(golden, spelling), **(config or {})}
    removed = [key for key, value in (config or {}).items() if value is None]
    write_json(folder / "config.json", {key: value for key, value in whole.items() if key not in removed})
    stored = {**tensors_of(golden), **(tensors or {})}
    save_file(
        {name: array for name, array in stored.items() if array is not None},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    tiny_tokenizer().save(str(folder / "tokenizer.json"))
    own = {"model_max_length": int(1e30), "tokenizer_class": "PreTrainedTokenizerFast"}  # whatever the family's builds
    write_json(folder / "tokenizer_config.json", own)
    write_json(folder / "modules.json", MODULES)
    width = golden["hidden"].shape[-1]
    pooling = {"word_embedding_dimension": width, f"pooling_mode_{OLD_NAMES[about(golden)['pooling']]}": True}
    write_json(folder / "1_Pooling" / "config.json", pooling)
    return folder


OLD_NAMES = {"mean": "mean_tokens", "cls": "cls_token", "lasttoken": "lasttoken"}


def tokens_of(golden):
    """The packed texts of a golden."""
    return Tokens(
        ids=golden["ids"].astype(np.int32), types=golden["types"].astype(np.int32), cu_seqlens=golden["cu_seqlens"]
    )


def is_unused(stored):
    """Whether a tensor belongs to a head, or is no weight at all."""
    return bool(re.search(r"pooler|position_ids|\bcls\.|\b(lm_)?head\.|\bdecoder\.|predictions|\bvocab_", stored))


def slopes(golden):
    """The slope of the loss by the last hidden states, in the goldens of gradients."""
    width = golden["hidden"].shape[-1]
    return np.random.default_rng(11).standard_normal((len(golden["ids"]), width)).astype(np.float32)


def places(name, size, count):
    """Which entries of a gradient are kept."""
    return np.sort(np.random.default_rng(list(name.encode())).permutation(size)[:count])
