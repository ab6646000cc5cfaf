"""The facts about a model folder that the peers need."""

import hashlib
import json
from pathlib import Path

KNOWN = {"53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db": "all-MiniLM-L6-v2"}


def max_length(folder: Path) -> int:
    """The number of tokens the model reads, from sentence_bert_config.json."""
    return int(json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))["max_seq_length"])


def load_tokenizer(folder: Path):
    """The folder's tokenizer, with the model's true length and no padding (the file itself says 128 for both)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_length(folder))
    return tokenizer


def weights_digest(folder: Path) -> str:
    """The SHA-256 of the weights file, which names the model better than the folder does."""
    digest = hashlib.sha256()
    with (folder / "model.safetensors").open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def describe(folder: Path) -> dict:
    """The model for the record: without a path, which differs between machines."""
    digest = weights_digest(folder)
    return {
        "name": KNOWN.get(digest, folder.name),
        "weights_sha256": digest,
        "max_tokens": max_length(folder),
        "multiply_adds": multiply_adds(json.loads((folder / "config.json").read_text(encoding="utf-8"))),
    }


def multiply_adds(config: dict) -> int:
    """The operations of a BERT's linear layers per token, without the products of attention."""
    width = config["hidden_size"]
    return config["num_hidden_layers"] * (4 * width**2 + 2 * width * config["intermediate_size"])


def resolve(name: str) -> Path:
    """A folder as it is; any other name through minembed's own sources (cache, Hub, package mirror)."""
    if Path(name).is_dir():
        return Path(name).resolve()
    from minembed.weights.sources.locate import locate

    return Path(locate(name).folder).resolve()
