"""The comparison of real checkpoints, with a reference that is made up."""

import numpy as np
import pytest
import verify_models as verify

from minembed import Embedder


@pytest.fixture
def reference(monkeypatch):
    """What is said to be the reference: the NumPy tier, and what a test does to its vectors and ids."""

    def pretend(change=lambda vectors, ids: None):
        def encode(place, pairs, trusted):
            model = Embedder.load(place, backend="numpy")
            vectors = model.encode(verify.TEXTS, truncation="silent").copy()
            ids = [model.tokenize([text]).ids.tolist() for text in verify.TEXTS]
            change(vectors, ids)
            return verify.Encoded(vectors, ids, 1.0)

        monkeypatch.setattr(verify, "by_reference", encode)

    return pretend


def shifted(vectors, ids):
    vectors[7, 3] += 2 * verify.DIFFERENCE


def forgotten(vectors, ids):
    ids[5] = ids[5][:-1]


def test_what_agrees(reference, tiny_checkpoint, capsys):
    reference()
    assert verify.main([str(tiny_checkpoint)]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["name", "family"]
    assert row.split()[1] == "bert" and " 100/100 " in row and row.endswith(" ok")


@pytest.mark.parametrize("change", [shifted, forgotten])
def test_what_differs(change, reference, tiny_checkpoint, capsys):
    reference(change)
    assert verify.main([str(tiny_checkpoint)]) == 1
    assert capsys.readouterr().out.splitlines()[1].endswith(" DIFFERS")


def test_what_fails_does_not_end_the_others(reference, tiny_checkpoint, tmp_path, capsys):
    reference()
    assert verify.main([str(tmp_path), str(tiny_checkpoint)]) == 1
    out, err = capsys.readouterr()
    assert [row.split()[-1] for row in out.splitlines()[1:]] == ["FAILED", "ok"] and "ConfigError" in err


def test_distance():
    a = np.array([[3.0, 4.0], [0.0, 0.0]], np.float32)
    assert verify.distance(a, 2 * a) == (0, 1)
    difference, cosine = verify.distance(a, np.array([[4.0, 3.0], [0.0, 0.0]], np.float32))
    assert abs(difference - 0.2) < 1e-12 and abs(cosine - 0.96) < 1e-12
    difference, cosine = verify.distance(np.float32([3, 4]), np.float32([4, 3]), pairs=True)  # scores
    assert abs(difference - 0.25) < 1e-12 and abs(cosine - 0.96) < 1e-12
