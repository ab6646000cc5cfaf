"""Files of the release before this one, which docs/support.md promises to read: see make_earlier_goldens.py.

Vectors are computed in NumPy there and here, so they differ by what its BLAS does on another machine: some 1e-7.
"""

import json

import make_earlier_goldens as earlier
import numpy as np
import pytest
from places import GOLDENS_FOLDER

from minembed import Embedder, Index
from minembed.version import __version__

FILES = sorted((GOLDENS_FOLDER / "earlier").glob("*.npz"))
BLAS = 2e-6


@pytest.fixture(scope="module", params=FILES, ids=[path.stem for path in FILES])
def kept(request, tmp_path_factory):
    """A folder with the files of an earlier release, and what that release read from them."""
    folder = tmp_path_factory.mktemp("earlier")
    with np.load(request.param) as arrays:
        for name in (name for name in arrays.files if name.startswith("file/")):
            path = folder / name.removeprefix("file/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(arrays[name].tobytes())
        said = {n.removeprefix("expected/"): arrays[n] for n in arrays.files if n.startswith("expected/")}
        return folder, said, json.loads(str(arrays["about"]))


def test_the_minor_release_before_this_one_is_here():
    """A new minor release needs the files of the last one: make_earlier_goldens.py writes them."""
    major, minor, _ = __version__.split(".")
    assert [path.stem for path in FILES if path.stem.startswith(f"{major}.{int(minor) - 1}.")]


def test_the_files_are_of_the_release_that_they_are_named_after(kept):
    folder, said, about = kept
    assert about["minembed"] in {path.stem for path in FILES} and about["minembed"] != __version__
    made = {path.name for path in folder.iterdir()}
    assert made == {name.split("/")[0] for name in said} and len(made) == 4 + len(earlier.METRICS) * 3


@pytest.mark.parametrize("name", ["model", "model-int8"])
def test_a_folder_of_a_model(name, kept):
    folder, said, _ = kept
    vectors = Embedder.load(folder / name, backend="numpy").encode(earlier.TEXTS)
    assert np.abs(vectors - said[name]).max() < BLAS


@pytest.mark.parametrize("precision", earlier.PRECISIONS)
@pytest.mark.parametrize("metric", earlier.METRICS)
def test_an_index(metric, precision, kept, tmp_path):
    folder, said, _ = kept
    name = f"index-{metric}-{precision}"
    model = Embedder.load(folder / "model", backend="numpy")
    for index in (Index.load(folder / name, model, verify=True), Index.load(folder / name, model)):
        assert (index.metric, index.precision, index.metadata) == (metric, precision, {"of": name})
        assert index.texts == earlier.TEXTS and index.fields[1] == {"number": 1, "word": "the"}
        hits = index.search(earlier.QUERIES, k=4)
        assert [[str(hit.id) for hit in row] for row in hits] == said[f"{name}/ids"].tolist()
        scores = np.array([[hit.score for hit in row] for row in hits])
        assert np.abs(scores - said[f"{name}/scores"]).max() < 1e-5  # sums of eight differences
    index.add(["another text"])  # and it can be changed and saved, here and now
    index.save(tmp_path / "index")
    assert Index.load(tmp_path / "index", model).search("another text", k=1)[0].text == "another text"


@pytest.mark.parametrize("kind", ["contrastive", "masked"])
def test_a_training_goes_on(kind, kept):
    """From the step of its checkpoint, to the vectors that the earlier release ended with."""
    folder, said, _ = kept
    place, steps = folder / f"training-{kind}", []
    trained = earlier.train(kind, folder / "model", place, True, lambda line: steps.append(line["step"]))
    assert steps[0] == earlier.TRAINING["save_every"] + 1
    vectors = trained.embedder("numpy").encode(earlier.TEXTS)
    assert np.abs(vectors - said["model"]).max() > 0.05  # what was learned
    assert np.abs(vectors - said[place.name]).max() < 1e-4  # small gradients, divided by their size, keep less digits
