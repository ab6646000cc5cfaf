"""Write the goldens of static embeddings: what sentence-transformers and model2vec compute of static_cases.py.

    python tests/goldens/make/make_static_goldens.py tests/goldens/static

Each folder is also saved by its library and read again, and must give the same.
"""

import hashlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import static_cases as cases
import torch
from model2vec import StaticModel
from sentence_transformers import SentenceTransformer


def by_sentence_transformers(name):
    """The vectors of a folder with modules.json, with a prompt too."""
    with tempfile.TemporaryDirectory() as work:
        model = SentenceTransformer(str(cases.write_static(Path(work) / "old", name)), device="cpu")
        found = {"vectors": model.encode(cases.TEXTS), "queries": model.encode_query(cases.TEXTS)}
        model.save(str(Path(work) / "new"), create_model_card=False)
        again = SentenceTransformer(str(Path(work) / "new"), device="cpu").encode(cases.TEXTS)
        np.testing.assert_array_equal(again, found["vectors"])
    return found


def by_model2vec(name):
    """The vectors of a folder without modules.json."""
    with tempfile.TemporaryDirectory() as work:
        model = StaticModel.from_pretrained(cases.write_model2vec(Path(work) / "old", name))
        found = {"vectors": model.encode(cases.TEXTS)}
        model.save_pretrained(Path(work) / "new")
        np.testing.assert_array_equal(
            StaticModel.from_pretrained(Path(work) / "new").encode(cases.TEXTS), found["vectors"]
        )
    return found


def main():
    """Write both files."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    libraries = ("torch", "sentence-transformers", "model2vec", "tokenizers", "numpy")
    about = {"versions": {p: version(p) for p in libraries}, "python": sys.version.split()[0]}
    about["texts_sha256"] = hashlib.sha256(json.dumps(cases.TEXTS).encode()).hexdigest()
    for file, names, compute in (
        ("sentence_transformers", cases.STATIC, by_sentence_transformers),
        ("model2vec", cases.MODEL2VEC, by_model2vec),
    ):
        arrays = {"about": np.array(json.dumps(about))}
        for name in names:
            arrays |= {f"{name}/{kind}": array for kind, array in compute(name).items()}
        path = out / f"{file}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
