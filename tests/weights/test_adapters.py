"""Adapters: LoRAs that peft saved, merged when weights are read, against what transformers and peft compute with them."""

import json

import numpy as np
import oracle
import pytest
from adapter_cases import CASES
from golden_adapters import read, write_adapter
from golden_families import VECTOR, about, tokens_of, write_checkpoint
from golden_families import read as read_family

from minembed import Embedder


def vectors(model, golden):
    """The vectors of a golden's texts, of length 1."""
    hidden = model.forward(tokens_of(golden)).astype(np.float64)
    return oracle.l2_normalize(oracle.pool(hidden, golden["cu_seqlens"], about(golden)["pooling"]))


@pytest.mark.parametrize("place", ["alone", "beside"])
@pytest.mark.parametrize("name", CASES)
def test_the_vectors_of_the_reference(name, place, tmp_path):
    golden = read_family(CASES[name].base)
    base = write_checkpoint(golden, tmp_path / "base")
    folder = base if place == "beside" else tmp_path / "adapter"
    write_adapter(read(name), folder, base)
    model = Embedder.load(folder, backend="numpy")
    np.testing.assert_allclose(vectors(model, golden), read(name)["vectors"], rtol=0, atol=VECTOR)
