"""The identity of a job's model: the bytes of its files, so that another copy is the same model."""

import re
from collections.abc import Iterator
from pathlib import Path

from minembed.models.embedder import Embedder
from minembed.runtime.checksums import hash_file

ENDINGS = (".json", ".safetensors", ".txt", ".model")
MODULE = re.compile(r"\d+_\w+")  # a folder of a module, such as 1_Pooling


def digest_of(model: Embedder) -> str:
    """The SHA-256 of all files of a model: names and bytes of settings, tokenizer and tensors."""
    import hashlib

    checkpoint = model.checkpoint
    folders = dict.fromkeys((checkpoint.root, checkpoint.folder, checkpoint.weights))
    total = hashlib.sha256()
    for number, folder in enumerate(folders):
        for path in _files(folder):
            with path.open("rb") as file:
                total.update(f"{number}/{path.relative_to(folder).as_posix()} {hash_file(file)}\n".encode())
    return total.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and MODULE.fullmatch(path.name):
            yield from _files(path)
        elif path.suffix in ENDINGS and path.is_file():
            yield path
