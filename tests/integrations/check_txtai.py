"""txtai, with an index that is saved and opened again by another process: run by `make test-integrations`."""

import json
import subprocess
import sys

import numpy as np
import pytest
from txtai import Embeddings

from minembed.integrations.txtai import MinembedVectors

METHOD = "minembed.integrations.txtai.MinembedVectors"
PREFIXES = {"query": "query: ", "document": "passage: "}
ROUNDING = 2**-23  # txtai divides by the lengths once more, in float32: of a number below 1, twice half a unit


def test_vectors_are_those_of_encode(model, passages):
    vectors = MinembedVectors({"path": "all-MiniLM-L6-v2", "vectors": {"prompts": PREFIXES}}, None, None)
    for category, prompt in (("query", "query: "), ("data", "passage: "), (None, "")):
        assert np.array_equal(vectors.encode(passages, category), model.encode(passages, prompt=prompt))


OPEN = """
import sys, json
from txtai import Embeddings
embeddings = Embeddings()
embeddings.load(sys.argv[1])
print(json.dumps(embeddings.search(sys.argv[2], 3)))
"""


def test_an_index_opens_again(model, passages, query, tmp_path):
    settings = {"prompts": PREFIXES, "truncate_dim": 64}
    embeddings = Embeddings(method=METHOD, path="all-MiniLM-L6-v2", vectors=settings)
    embeddings.index(passages)
    rows = model.encode(passages, prompt="passage: ", truncate_dim=64)
    asked = model.encode(query, prompt="query: ", truncate_dim=64)
    assert np.abs(embeddings.transform(query) - asked).max() <= ROUNDING
    similarity = model.similarity(asked, rows)[0]
    order = similarity.argsort()[::-1][:3].tolist()
    embeddings.save(str(tmp_path / "index"))
    done = subprocess.run(
        [sys.executable, "-c", OPEN, str(tmp_path / "index"), query], capture_output=True, text=True, check=True
    )
    for found in (embeddings.search(query, 3), json.loads(done.stdout)):
        assert [i for i, _ in found] == order
        assert [score for _, score in found] == pytest.approx(similarity[order], abs=1e-6)  # faiss sums in float32
    embeddings.close()


@pytest.mark.parametrize(
    ("settings", "message"), [({"trunc_dim": 3}, "did you mean 'truncate_dim'"), ({"dtype": "int7"}, "dtype 'int7'")]
)
def test_errors_are_ours_within(settings, message):
    """txtai says which backend failed; why, the error behind it says."""
    with pytest.raises(ImportError, match=METHOD) as caught:
        Embeddings(method=METHOD, path="all-MiniLM-L6-v2", vectors=settings)
    with pytest.raises(ValueError, match=message):
        raise caught.value.__cause__
