"""The backward pass of every family against torch's, on the goldens' checkpoints."""

import golden_families as goldens
import numpy as np
import pytest
from examples import thinned
from tiers import TIERS

from minembed.train.backward.tape import Tape
from minembed.train.backward.trees import Rows
from minembed.train.backward.vjp import Pass, encode_vjp
from minembed.train.step import Method, operations_for
from minembed.transformer.encoder import encode
from minembed.transformer.positions import attention_patterns
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import FAMILIES, match, read_params
from minembed.weights.layout import map_named, tensors
from minembed.weights.tensors import TensorFiles

FILE = goldens.FOLDER.parent / "gradients.npz"
KEPT = 40
CLOSE = 1e-5  # the contract, of the norm of all gradients: torch too is some 1e-6 away from float64


def golden_gradients(name):
    with np.load(FILE) as file:
        found = {key: file[key] for key in file.files if key.startswith(f"{name}/")}
    names = {key.split("/")[1] for key in found}
    return {key: (found[f"{name}/{key}/norm"], found[f"{name}/{key}/kept"]) for key in names}


with np.load(FILE) as file:
    NAMES = sorted({key.split("/")[0] for key in file.files if "/" in key})


@pytest.mark.parametrize(
    ("backend", "recompute"), thinned([(backend, again) for again in (False, True) for backend in TIERS], 3)
)
@pytest.mark.parametrize("name", [name for name in NAMES if FAMILIES[goldens.family_of(name)].fold is None])
def test_gradients_are_torchs(name, backend, recompute, tmp_path):
    golden = goldens.read(name)
    checkpoint = read_checkpoint(goldens.write_checkpoint(golden, tmp_path / "model"))
    params, config, family = read_params(checkpoint), checkpoint.config, FAMILIES[checkpoint.family]
    tokens, (ops, back) = goldens.tokens_of(golden), operations_for(Method(backend=backend))
    tape, seen = (
        Tape(recompute=recompute, post_norms=params.layers[0].output_post_norm is not None),
        attention_patterns(params, config),
    )
    encode(tokens, params, config, tape, tape.watch(ops), seen)
    gradients = encode_vjp(params, seen, Pass(tokens, config, ops, back, tape), goldens.slopes(golden))
    stored = match(checkpoint, TensorFiles.open(checkpoint.folder), family)
    found = {stored[plain]: g for plain, g in tensors(dense(params, gradients), config, family.names).items()}
    wanted = golden_gradients(name)
    assert len(wanted) >= 0.4 * len(found)  # transformers keeps some tensors in other pieces
    whole = np.sqrt(sum(norm**2 for norm, _ in wanted.values()))
    for key, (norm, kept) in wanted.items():
        if key not in found:
            continue  # of a head, or a pooler
        got = found[key].reshape(-1)[goldens.places(key, found[key].size, KEPT)]
        assert np.linalg.norm(got - kept) <= CLOSE * whole, key
        assert abs(np.linalg.norm(found[key].astype(np.float64)) - norm) <= CLOSE * whole, key


def dense(params, gradients):
    """The gradients with whole tables; what several layers share is the sum over them."""
    from minembed.train.backward.trees import first_names, flat_gradients

    names, flat = first_names(params), flat_gradients(params, gradients)

    def whole(path, array):
        gradient = flat[names[path]]
        if isinstance(gradient, Rows):
            table = np.zeros_like(array)
            table[gradient.indices] = gradient.values
            return table
        return gradient

    return map_named(whole, params)
