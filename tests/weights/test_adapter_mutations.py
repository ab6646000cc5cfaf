"""Adapters changed at random: the reference's vectors, or a named error; never another exception or other vectors."""

import warnings

import numpy as np
import pytest
from adapter_mutations import mutated, mutation
from examples import FULL
from golden_adapters import read, settings_of, tensors_of, write_adapter
from golden_families import read as read_family
from golden_families import tokens_of, write_checkpoint
from places import GOLDENS_FOLDER

from minembed.errors import MinembedError
from minembed.transformer.encoder import encode
from minembed.weights.directory import read_checkpoint
from minembed.weights.families import read_params

NUMBER = 5000 if FULL else 20
NEAR = 1e-5  # of vectors of length 1: adapters larger than trained ones, in two orders of sums


def vector(folder, tokens):
    """The mean of the hidden states of a text, of length 1; or the error that says why there is none."""
    try:
        checkpoint = read_checkpoint(folder)
        mean = encode(tokens, read_params(checkpoint), checkpoint.config).mean(axis=0, dtype=np.float64)
    except MinembedError as error:
        assert len(str(error)) > 20
        return error
    return mean / np.linalg.norm(mean)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The golden BERT."""
    return write_checkpoint(read_family("bert"), tmp_path_factory.mktemp("mutations") / "base")


@pytest.mark.fuzz
def test_mutated_adapters(base, tmp_path, amount):
    with np.load(GOLDENS_FOLDER / "adapter_mutations.npz") as file:
        expected = file["vectors"]  # (N, D), NaN where the reference fails
    tokens = tokens_of(read_family("bert")).select([4])
    compared = computed = alone = 0
    seeds = amount.seeds(range(NUMBER))
    for seed in seeds:
        change = mutation(seed)
        golden = read(change[0])
        settings, tensors = mutated(settings_of(golden), tensors_of(golden), change)
        folder = write_adapter(golden, tmp_path / "adapter", base, whole=(settings, tensors))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = vector(folder, tokens)
        if isinstance(found, MinembedError):
            continue
        computed += 1
        if seed >= len(expected):
            continue
        if np.isnan(expected[seed]).any():
            alone += 1
            assert same_as_before(change, found, base, tmp_path, tokens), (seed, change)
            continue
        compared += 1
        np.testing.assert_allclose(found, expected[seed], rtol=0, atol=NEAR, err_msg=f"{seed}: {change}")
    print(
        f"{len(seeds)} adapters: {computed} computed, {compared} of them compared, {alone} that the reference refuses"
    )
    known = len(set(seeds) & set(range(len(expected))))  # 0 in the later pieces of `make proof`
    assert compared > 0.15 * known or not known
    assert computed > 0.15 * len(seeds)


def same_as_before(change, found, base, tmp_path, tokens):
    """Whether what the reference refuses has not changed the vector: a setting that means nothing to it."""
    before = vector(write_adapter(read(change[0]), tmp_path / "before", base), tokens)
    return np.abs(found - before).max() < NEAR
