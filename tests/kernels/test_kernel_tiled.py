"""The encoder on tiles, whichever this process has: any architecture, near NumPy and near float64, and its bits."""

import os
import pickle

import numpy as np
import pytest
from any_encoder import (
    any_architecture,
    architecture_of,
    assert_pooled,
    on_tiles_exactly,
    pack_on_tiles,
    params_of,
    tokens_of,
    whole,
)
from batchings import texts_of
from emulated import needs_tiles, python_emulated, slow_without_tiles
from examples import examples, heavy
from hypothesis import given
from hypothesis import strategies as st
from processes import python
from same_bits import texts
from tiled_digests import digests

from minembed import Embedder
from minembed.kernels.encoder.tiled import tiled_encoder
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.encoder import encode
from minembed.transformer.params import tree_map
from minembed.transformer.tier import OPERATIONS

pytestmark = slow_without_tiles
# distance from float64 of the same weights, root of the mean square, over that of the NumPy tier in bfloat16: which
# keeps attention in float32, and rounds otherwise in the same places.  The largest of 1,200 random encoders was 2.2.
AS_EXACT = 3.0
# the same of float32 against NumPy in float32; the largest of 1,000 random encoders was 0.9, the median 0.65
FLOATS_AS_EXACT, LAST_PLACE = 1.5, 2.0**-24
ROUNDING = 2.0**-8  # of bfloat16: where a few numbers decide it all, so much of them may be lost once more
DTYPES = ["bfloat16", "int8"]
LENGTHS = st.lists(st.integers(1, 70), min_size=1, max_size=6)


@st.composite
def architectures(draw):
    return any_architecture(lambda options: draw(st.sampled_from(list(options))))


def size(x):
    return np.sqrt(np.mean(np.square(x, dtype=np.float64)))


@pytest.mark.parametrize("dtype", DTYPES)
@examples(500, usual=50)
@given(architecture=architectures(), lengths=LENGTHS, seed=st.integers(0, 99))
def test_any_encoder_is_as_exact_as_in_numpy(dtype, architecture, lengths, seed):
    config, params = architecture.config, params_of(architecture, seed)
    tokens, weights = tokens_of(lengths, config, seed), on_tiles_exactly(params, dtype)
    with single_threaded_blas():
        exact = encode(tokens, tree_map(lambda a: a.astype(np.float64), weights), config)
        by_numpy = encode(tokens, weights, config, ops=OPERATIONS["bfloat16"])
    found = pack_on_tiles(architecture, dtype, seed)(tokens)
    assert size(found - exact) <= AS_EXACT * size(by_numpy - exact) + ROUNDING * size(exact)


@examples(500, usual=50)
@given(architecture=architectures(), lengths=LENGTHS, seed=st.integers(0, 99))
def test_any_encoder_in_float32_is_as_exact_as_in_numpy(architecture, lengths, seed):
    architecture = whole(architecture)
    config, params = architecture.config, params_of(architecture, seed)
    tokens = tokens_of(lengths, config, seed)
    with single_threaded_blas():
        exact = encode(tokens, tree_map(lambda a: a.astype(np.float64), params), config)
        by_numpy = encode(tokens, params, config, ops=OPERATIONS["float32"])
    found = pack_on_tiles(architecture, "float32", seed)(tokens)
    assert size(found - exact) <= FLOATS_AS_EXACT * size(by_numpy - exact) + LAST_PLACE * size(exact)


@pytest.mark.parametrize("dtype", [*DTYPES, "float32"])
@examples(200, usual=25)
@given(architecture=architectures(), lengths=LENGTHS)
def test_any_encoder_gives_a_text_the_same_bits_alone(dtype, architecture, lengths):
    architecture = whole(architecture) if dtype == "float32" else architecture
    model, tokens = pack_on_tiles(architecture, dtype), tokens_of(lengths, architecture.config)
    together, first, last = model(tokens), tokens.cu_seqlens[:-1], tokens.cu_seqlens[1:]
    for i, (start, stop) in enumerate(zip(first, last, strict=True)):
        np.testing.assert_array_equal(model(tokens.select([i])), together[start:stop])
    assert_pooled(model, tokens, together)


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
@pytest.mark.parametrize("seed", [*range(10), *heavy(range(10, 200))])
def test_what_lies_in_buffers_does_not_matter(seed, dtype):
    """They are used again by other calls, for other texts, and hold what those left, NaN included."""
    architecture = whole(architecture_of(seed))
    model, tokens = pack_on_tiles(architecture, dtype), tokens_of([9, 1, 40, 17], architecture.config)
    expected = model(tokens)
    (room,) = model.idle
    for array in (room.floats, *room.own):
        array.fill(np.nan)
    np.testing.assert_array_equal(model(tokens), expected)
    assert len(model.idle) == 1 and model.idle[0] is room


def test_every_choice_is_drawn():
    """What random architectures leave out is not tested."""
    found = [architecture_of(seed) for seed in range(300)]
    for name in ("head_norms", "post_norms", "bare"):
        assert {getattr(a, name) for a in found} == {False, True}, name
    choices = {
        "hidden_act": 5, "norm_type": 2, "pre_norm": 2, "gated": 2, "position_embedding_type": 4, "causal": 2,
        "local_attention": 3, "relative_attention_num_buckets": 2, "embedding_size": 2, "type_vocab_size": 2,
    }  # fmt: skip
    for name, count in choices.items():
        assert len({getattr(a.config, name) for a in found}) == count, name
    assert {name for a in found for name in a.config.without_bias} == {
        "qkv", "attention_output", "intermediate", "output", "norm",
    }  # fmt: skip
    assert any(a.config.key_value_heads < a.config.num_attention_heads for a in found)


# ---- the CPU's tiles and emulated ones ----


@needs_tiles
@pytest.mark.parametrize("seeds", heavy(["range(4)", "range(100, 200)"]))
def test_emulated_tiles_give_the_same_bits(seeds):
    found = python_emulated(f"from tiled_digests import digests\nprint(*digests({seeds}), sep='\\n')")
    assert found == digests(eval(seeds))


RECEIVE = """
    import pickle, sys, warnings
    from pathlib import Path
    received, vectors = Path(sys.argv[1]), Path(sys.argv[2])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        models, texts = pickle.loads(received.read_bytes())
    vectors.write_bytes(pickle.dumps([model.encode(texts, truncation="silent").tobytes() for model in models]))
    print(*(f"{warning.category.__name__} {warning.message}" for warning in caught), sep="\\n")
"""


@needs_tiles
@pytest.mark.slow
def test_models_travel_to_other_processes(tiny_checkpoint, tmp_path):
    """To one that may use tiles, and one that may not: which says so, and computes the same bits."""
    models = [Embedder.load(tiny_checkpoint, backend="numba", dtype=d) for d in DTYPES]
    sentences = texts_of(60, 40, seed=4)
    assert {type(model.engine.compute) for model in models} == {tiled_encoder.TiledEncoder}
    expected = [model.encode(sentences, truncation="silent").tobytes() for model in models]
    sent, vectors = tmp_path / "models", tmp_path / "vectors"
    sent.write_bytes(pickle.dumps((models, sentences)))
    assert python(RECEIVE, sent, vectors) == [""]
    assert pickle.loads(vectors.read_bytes()) == expected
    told = python_emulated(RECEIVE, sent, vectors)
    message = "BackendWarning this model was prepared for tiles (AMX), which this process may not use"
    assert len(told) == len(models) and all(line.startswith(message) for line in told)
    assert pickle.loads(vectors.read_bytes()) == expected


@needs_tiles
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_computes_on_tiles():
    found = python("""
        import os, sys
        import numpy as np
        from minembed.kernels.encoder import tier
        from minembed.kernels.encoder.selftest import SMALL, random_params
        from minembed.transformer.tokens import Tokens
        model = tier.prepare(random_params(SMALL), SMALL, "bfloat16")
        tokens = Tokens(np.arange(9), np.zeros(9, np.int64), np.array([0, 9]))
        expected = model(tokens).tobytes()
        child = os.fork()
        if not child:
            os._exit(0 if model(tokens).tobytes() == expected else 1)
        print(type(model).__name__, os.waitpid(child, 0)[1])
    """)
    assert found == ["TiledEncoder 0"]


# ---- the real model ----

FIDELITY = {"bfloat16": (0.99995, 0.9999), "int8": (0.9994, 0.998)}  # mean and least cosine to float32: the contract


@needs_tiles
@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
def test_fidelity_on_2000_texts(minilm_as, dtype):
    """Of Python's reference: paragraphs, sentences, words."""
    found = [minilm_as("numba", d).encode(texts(), truncation="silent") for d in ("float32", dtype)]
    cosines = (found[0].astype(np.float64) * found[1]).sum(axis=1)
    assert cosines.mean() >= FIDELITY[dtype][0] and cosines.min() >= FIDELITY[dtype][1], (cosines.mean(), cosines.min())
