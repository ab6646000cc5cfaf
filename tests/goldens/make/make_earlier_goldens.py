"""Write the goldens of the release before this one: files that it wrote, and what it read from them.

    python tests/goldens/make/make_earlier_goldens.py tests/goldens/earlier REVISION

REVISION is the last one of that version: `git log -S'"0.1' -- minembed/version.py` names the commit after it.
Its package is taken from git, and run with the libraries of this Python, in NumPy: model folders in float32 and int8,
an index of each metric and precision, and trainings that were stopped between two checkpoints.  The file has each of
theirs as bytes, `file/PATH`, and as `expected/...` the vectors and hits that the earlier release gave.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

ROOT = Path(__file__).resolve().parents[3]
SIZES = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 12}
SIZES |= {"max_position_embeddings": 24, "max_seq_length": 20}
TEXTS = ["a cat and a dog", "the sun is on the tree", "Query the index.", "中文 ß² 🙂", "bread in the oven", ""]
QUERIES = ["the cat", "rain"]
METRICS, PRECISIONS = ("cosine", "dot", "euclidean", "manhattan"), ("float32", "int8", "binary")
TRAINING = {"epochs": 2, "batch_size": 4, "learning_rate": 1e-2, "dropout": 0.1, "threads": 1, "save_every": 3}
STOPPED = 5  # a step after the checkpoint, so that a resumed training computes it anew


class Stopped(Exception):
    """Raised between two steps, as if the power were cut."""


def stop(line: dict) -> None:
    """Stop a training after the step that is said."""
    if line["step"] >= STOPPED:
        raise Stopped


def untrained(kind: str, model: Path) -> object:
    """What a training of a kind begins with."""
    from minembed.train.model import Trainee

    return Trainee.load(model, head=kind == "masked", make_head=kind == "masked")


def train(kind: str, model: Path, folder: Path, resume: bool, on_step: object = None) -> object:
    """A training of pairs, or of hidden words; returns what was trained."""
    from minembed.data.examples import Examples
    from minembed.train import contrastive, masked_lm, settings

    options = settings.Settings(**TRAINING, backend="numpy")
    options_of = {"resume": resume, "show_progress_bar": False, "on_step": on_step}
    trainee = untrained(kind, model)
    texts = tuple(f"the {word} is here" for word in "cat dog sun tree rain book code oven".split() * 2)
    if kind == "masked":
        masked_lm.train_masked_lm(trainee, texts, options, folder, **options_of)
    else:
        pairs = Examples((texts, tuple(f"{text} {i}" for i, text in enumerate(texts))), np.linspace(0, 1, len(texts)))
        contrastive.train_contrastive(trainee, pairs, options, folder, **options_of)
    return trainee


def write_models(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """A folder as Embedder.save writes it, and one in int8."""
    import tiny

    from minembed import Embedder

    made = tiny.write_tiny_checkpoint(folder.with_name("made"), **SIZES)
    Embedder.load(made).save(folder / "model")
    subprocess.run([sys.executable, "-m", "minembed", "quantize", made, folder / "model-int8"], check=True)
    for name in ("model", "model-int8"):
        expected[name] = Embedder.load(folder / name, backend="numpy").encode(TEXTS)


def write_indexes(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """An index of each metric and precision, of texts, with ids of both kinds and fields."""
    from minembed import Embedder, Index

    model = Embedder.load(folder / "model", backend="numpy")
    ids = [f"ß{i}" if i % 2 else i for i in range(len(TEXTS))]
    fields = [{"number": i, "word": text[:3]} for i, text in enumerate(TEXTS)]
    for metric in METRICS:
        for precision in PRECISIONS:
            name = f"index-{metric}-{precision}"
            index = Index.build(
                model, TEXTS, ids=ids, fields=fields, metric=metric, precision=precision, metadata={"of": name}
            )
            index.save(folder / name)
            hits = Index.load(folder / name, model).search(QUERIES, k=4)
            expected[f"{name}/ids"] = np.array([[str(hit.id) for hit in row] for row in hits])
            expected[f"{name}/scores"] = np.array([[hit.score for hit in row] for row in hits])


def write_trainings(folder: Path, expected: dict[str, np.ndarray]) -> None:
    """Trainings that were stopped; the vectors are those after the same release resumed a copy.

    Not the weights: the gradients of keys' biases are zero but for rounding, which AdamW makes as large as any other.
    """
    for kind in ("contrastive", "masked"):
        place, copy = folder / f"training-{kind}", folder.with_name(f"ended-{kind}")
        try:
            train(kind, folder / "model", place, False, stop)
        except Stopped:
            shutil.copytree(place, copy)
        expected[place.name] = train(kind, folder / "model", copy, True).embedder("numpy").encode(TEXTS)


def write(folder: Path, target: Path) -> None:
    """All of it, by the package that is imported; into one file."""
    import minembed

    assert Path(minembed.__file__).is_relative_to(Path.cwd()), "this is not the package of the revision"
    expected: dict[str, np.ndarray] = {}
    for part in (write_models, write_indexes, write_trainings):
        part(folder, expected)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    arrays = {f"file/{path.relative_to(folder).as_posix()}": np.fromfile(path, np.uint8) for path in files}
    about = {"minembed": minembed.__version__, "numpy": np.__version__}
    arrays |= {f"expected/{name}": array for name, array in expected.items()}
    np.savez_compressed(target / f"{about['minembed']}.npz", about=np.array(json.dumps(about)), **arrays)


def main() -> None:
    """Take the package of a revision from git, and run this script with it."""
    target, revision = Path(sys.argv[1]).absolute(), sys.argv[2]
    target.mkdir(exist_ok=True)
    if revision == "here":
        with TemporaryDirectory() as place:
            (Path(place) / "files").mkdir()
            write(Path(place) / "files", target)
        return
    with TemporaryDirectory() as place:
        archive = subprocess.run(["git", "-C", ROOT, "archive", revision], capture_output=True, check=True).stdout
        tarfile.open(fileobj=io.BytesIO(archive)).extractall(place, filter="data")
        for name in ("kernels", "weights"):  # where pyproject.toml puts them
            (Path(place) / name).rename(Path(place) / "minembed" / name)
        (Path(place) / "tests/support").rename(Path(place) / "support")
        paths = f"{place}{os.pathsep}{place}/support"
        settings = {"env": os.environ | {"PYTHONPATH": paths, "PYTHONSAFEPATH": "1"}, "cwd": place}
        subprocess.run([sys.executable, Path(__file__).resolve(), target, "here"], check=True, **settings)


if __name__ == "__main__":
    main()
