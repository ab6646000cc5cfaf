"""What sentence-transformers makes of all-mpnet-base-v2, for `make test-mpnet` to compare with; nothing that is kept.

    python tests/goldens/make/make_mpnet_goldens.py MODEL_FOLDER FILE.npz [FOLDER with dev.csv, test.csv]

The vectors of one text at a time, so that no padding comes in; of the STS benchmark the cosines, in batches.
"""

import csv
import sys
from pathlib import Path

import corpus
import numpy as np
from sentence_transformers import SentenceTransformer

MODEL, OUT, *STSB = map(Path, sys.argv[1:])
EVERY = 3  # of the corpus: 367 texts, of which some are longer than the model reads


def read_pairs(path: Path) -> list[list[str]]:
    """Read the rows of a file without a heading: two sentences and a score."""
    with path.open(encoding="utf-8", newline="") as file:
        return [row for row in csv.reader(file) if row]


model = SentenceTransformer(str(MODEL), device="cpu", model_kwargs={"dtype": "float32"})
texts = corpus.texts()[::EVERY] + corpus.NAUGHTY
ids = [model.preprocess([text])["input_ids"][0].tolist() for text in texts]
arrays = {
    "digest": np.array(corpus.digest(texts)),
    "vectors": model.encode(texts, batch_size=1, show_progress_bar=False),
    "ids": np.concatenate(ids),
    "cu_seqlens": np.cumsum([0, *map(len, ids)]),
}
for path in sorted(file for folder in STSB for file in folder.glob("*.csv") if file.stem in ("dev", "test")):
    rows = read_pairs(path)
    sides = [model.encode([row[i] for row in rows], show_progress_bar=False).astype(np.float64) for i in (0, 1)]
    arrays[f"cosines_{path.stem}"] = np.einsum(
        "ij,ij->i", *(side / np.linalg.norm(side, axis=1)[:, None] for side in sides)
    )
np.savez_compressed(OUT, **arrays)
print(f"{OUT}: {', '.join(f'{name} {array.shape}' for name, array in arrays.items())}")
