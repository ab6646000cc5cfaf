"""Write the goldens of the modules: what sentence-transformers computes of the folders of module_cases.py.

    python tests/goldens/make/make_module_goldens.py tests/goldens/modules

Each folder is read in the old spelling, saved by sentence-transformers in its new one, and read again; the golden
holds the vectors, and the files that it wrote.
"""

import hashlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from module_cases import FILES, TEXTS, write_case
from sentence_transformers import SentenceTransformer


def compute(folder, case):
    """What each call of a case gives; one text at a time, so that no padding comes in."""
    model = SentenceTransformer(str(folder), device="cpu")
    assert model.max_seq_length == 32
    return model, [getattr(model, method)(TEXTS, batch_size=1, **options) for method, options in case.calls]


def make(name, case):
    """The arrays of one case."""
    with tempfile.TemporaryDirectory() as work:
        old, new = Path(work) / "old", Path(work) / "new"
        model, vectors = compute(write_case(old, case), case)
        model.save(str(new), create_model_card=False)
        for a, b in zip(vectors, compute(new, case)[1], strict=True):
            np.testing.assert_array_equal(a, b)
        texts = {
            path.relative_to(new).as_posix(): path.read_text(encoding="utf-8")
            for path in sorted(new.rglob("*.json"))
            if path.name not in ("tokenizer.json", "config.json") or path.parent != new
        }
        arrays = {f"{name}/texts": np.array(json.dumps(texts))}
        for path in sorted(new.glob("*/model.safetensors")):
            key = f"{name}/weights/{path.relative_to(new).as_posix()}"
            arrays[key] = np.frombuffer(path.read_bytes(), np.uint8)
    return arrays | {f"{name}/{i}": array for i, array in enumerate(vectors)}


def main():
    """Write every file."""
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same sums in the same order at every run
    libraries = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
    about = {"versions": {p: version(p) for p in libraries}, "python": sys.version.split()[0]}
    about["texts_sha256"] = hashlib.sha256(json.dumps(TEXTS).encode()).hexdigest()
    for file, cases in FILES.items():
        arrays = {"about": np.array(json.dumps(about))}
        for name, case in cases.items():
            arrays |= make(name, case)
        path = out / f"{file}.npz"
        np.savez_compressed(path, **arrays)
        print(f"{path.name}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
