"""One text in few steps: the bits of the usual way, which takes what is out of the ordinary."""

import dataclasses

import numpy as np
import pytest
from embedder_texts import LONG, TEXTS, same

from minembed.errors import TruncationWarning
from minembed.models.alone import encode_alone, scaled
from minembed.models.options import Options
from minembed.transformer.modules import Normalize
from minembed.transformer.vectors import l2_normalize


@pytest.fixture
def engine(tiny_model_as, tier):
    """The tiny checkpoint, loaded with each backend in turn."""
    found = tiny_model_as(tier).engine
    return dataclasses.replace(found, checkpoint=dataclasses.replace(found.checkpoint, modules=(Normalize(),)))


def test_the_bits_of_the_usual_way(engine):
    for text in TEXTS:
        usual = engine.encode([text], Options())[0]
        assert same(engine.encode(text, Options()), usual)
        alone = encode_alone(engine, text, "", Options())
        assert (alone is None) == engine.compute.needs_blas
        assert alone is None or same(alone, usual)


@pytest.mark.parametrize(
    "options",
    [
        Options(normalize_embeddings=True),
        Options(truncate_dim=8),
        Options(precision="ubinary"),
        Options(output_value="token_embeddings"),
        Options(show_progress_bar=True),
    ],
)
def test_other_options_go_the_usual_way(engine, options):
    assert encode_alone(engine, TEXTS[0], "", options) is None


@pytest.mark.parametrize("text", ["a" * 5000, "a \ud83d"])
def test_texts_to_be_repaired_or_read_in_parts_go_the_usual_way(engine, text):
    assert engine.tokenizer.alone(text) is None
    assert same(
        engine.encode(text, Options(truncation="silent")), engine.encode([text], Options(truncation="silent"))[0]
    )


def test_a_text_that_is_cut_is_told(engine):
    assert engine.tokenizer.alone(LONG) is None
    with pytest.warns(TruncationWarning):
        engine.encode(LONG, Options())


def test_a_prompt_is_put_in_front(engine):
    options = Options(prompt="query: ")
    assert same(engine.encode("why", options), engine.encode(["query: why"], Options())[0])


def test_lengths_are_those_of_rows():
    rng = np.random.default_rng(1)
    for width in (1, 5, 32, 384, 1000):
        for size in (1e-18, 1.0, 1e15):
            x = (rng.standard_normal((20, width)) * size).astype(np.float32)
            for row, expected in zip(x, l2_normalize(x), strict=True):
                found = scaled(row)
                assert found is None or same(found, expected)
                assert found is not None or size != 1.0
    assert scaled(np.float32([0, 0])) is None and scaled(np.float32([np.nan, 1])) is None
    assert scaled(np.float32([np.inf, 1])) is None
