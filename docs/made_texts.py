"""Write any number of generated texts, and a small model without layers that turns them into vectors.

    python docs/made_texts.py FOLDER ROWS

FOLDER gets texts-000.parquet and so on, with the columns id and text, and model/, a StaticEmbedding of 384 random
numbers a token.  Same seeds, same bytes.  They say nothing: what they are good for is reading and writing ten million
rows with vectors in minutes, which a transformer would compute for a day.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from safetensors.numpy import save_file

from minembed import Embedder

DIMENSION, WORDS, LENGTH = 384, 20_000, 12
ROWS_A_FILE = 1_000_000
BLOCK = 50_000  # texts that are made at a time


def write_model(folder: Path) -> list[str]:
    """Write the model, with the tokenizer of all-MiniLM-L6-v2; returns words of its vocabulary, frequent ones first."""
    real = Embedder.load("all-MiniLM-L6-v2").checkpoint.root
    tokenizer = json.loads((real / "tokenizer.json").read_text(encoding="utf-8"))
    tokenizer["padding"] = tokenizer["truncation"] = None
    vocabulary = tokenizer["model"]["vocab"]
    table = np.random.default_rng(1).standard_normal((len(vocabulary), DIMENSION), np.float32)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    save_file({"embedding.weight": table}, folder / "model.safetensors")
    kind = "sentence_transformers.models.StaticEmbedding"
    modules = [{"idx": 0, "name": "0", "path": ".", "type": kind}]
    normalize = {"idx": 1, "name": "1", "path": "1_Normalize", "type": "sentence_transformers.models.Normalize"}
    (folder / "modules.json").write_text(json.dumps([*modules, normalize]), encoding="utf-8")
    (folder / "1_Normalize").mkdir(exist_ok=True)
    words = [word for word in vocabulary if word.isascii() and word.isalpha()]
    return words[:WORDS]


def made_texts(words: list[str], rows: int, seed: int = 2) -> Iterator[list[str]]:
    """Texts of twelve words each, rare words more seldom than frequent ones, in blocks."""
    dice, known = np.random.default_rng(seed), np.array(words, object)
    for start in range(0, rows, BLOCK):
        some = dice.random((min(BLOCK, rows - start), LENGTH))
        yield [" ".join(text) for text in known[(some**2 * len(words)).astype(np.int64)]]


def write_texts(folder: Path, blocks: Iterable[list[str]]) -> list[Path]:
    """Write the files."""
    files, number = list[Path](), 0
    schema = pa.schema([("id", pa.int64()), ("text", pa.string())])
    with ExitStack() as opened:
        for texts in blocks:
            if number >= len(files) * ROWS_A_FILE:
                opened.close()
                files.append(folder / f"texts-{len(files):03}.parquet")
                writer = opened.enter_context(pyarrow.parquet.ParquetWriter(files[-1], schema))
            ids = np.arange(number, number + len(texts))
            writer.write_table(pa.table({"id": ids, "text": texts}, schema))
            number += len(texts)
    return files


def main(folder: Path, rows: int) -> None:
    """Write the model and the files."""
    files = write_texts(folder, made_texts(write_model(folder / "model"), rows))
    print(f"{rows:,} texts in {len(files)} files, and a model, in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
