"""Edited models: the same numbers as an observer written by hand, the same bits in any batch, and what is refused."""

import golden_families as goldens
import numpy as np
import pytest
import static_cases
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed import Embedder
from minembed.errors import InputError, InputTypeError, NumericalError, TruncationWarning
from minembed.study import (
    ablate_head,
    ablate_layer,
    ablate_neuron,
    edit,
    mean_over,
    patch,
    replace_by,
    scale,
    trace,
    zero,
)

TEXTS = ["a cat and a dog", "river", "unbelievable bread in the oven", "a cat and the dog"]
WIDTH, HEADS, F = 32, 4, 48  # of the tiny checkpoint


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return Embedder.load(tiny_checkpoint, backend="numpy")


def by_hand(model, text, name, function):
    """The vector of a text in which a function is applied to what the observer shows by a name."""

    def observe(seen, x):
        return function(x.copy()) if seen == name else None

    hidden = model.forward(model.tokenize(text), observe=observe, observe_attention=True)
    mean = hidden.mean(axis=0, dtype=np.float64)
    return mean / np.linalg.norm(mean)


def put(value, *place):
    def function(x):
        x[place] = value
        return x

    return function


def times(factor, *place):
    def function(x):
        x[place] *= factor
        return x

    return function


ALL = slice(None)
SAME = {  # an edit, and the same by hand: the name that an observer of one text sees, and what is done to the array
    "zero a head": ({"layer.0.probabilities": zero(head=2)}, "layer.0.probabilities.0", put(0, 2)),
    "zero a key": ({"layer.1.probabilities": zero(key=0)}, "layer.1.probabilities.0", put(0, ALL, ALL, 0)),
    "zero all": ({"layer.1.attention": zero()}, "layer.1.attention", put(0)),
    "scale tokens": ({"layer.0": scale(-1.5, token=[0, -1])}, "layer.0", times(-1.5, [0, -1])),
    "scale values": ({"layer.0.value": scale(2, head=1, token=1)}, "layer.0.value.0", times(2, 1, 1)),
    "a neuron": (ablate_neuron(1, 17), "layer.1.activated", put(0, ALL, 17)),
    "a head": (ablate_head(1, 3), "layer.1.context", put(0, ALL, slice(24, 32))),
    "some of a head": ({"layer.1.context": scale(3, head=1, neuron=2)}, "layer.1.context", times(3, ALL, 10)),
    "a row": ({"embeddings": replace_by(np.arange(WIDTH), token=1)}, "embeddings", put(np.arange(WIDTH), 1)),
    "scores": ({"layer.0.scores": replace_by(7.0, head=0, key=-1)}, "layer.0.scores.0", put(7, 0, ALL, -1)),
    "words": ({"embeddings.word": scale(0.5, token=2)}, "embeddings.word", times(0.5, 2)),
}


@pytest.mark.parametrize("case", SAME)
def test_an_edit_is_what_an_observer_does_by_hand(model, case):
    changes, name, function = SAME[case]
    found = edit(model, changes).encode(TEXTS[0])
    # the mean of hidden states is taken in float64 by hand: one rounding to float32 apart
    np.testing.assert_allclose(found, by_hand(model, TEXTS[0], name, function), atol=1e-6, rtol=0)
    assert np.abs(found - model.encode(TEXTS[0])).max() > 1e-4


def test_a_head_without_probabilities_is_a_head_without_context(model):
    one, other = edit(model, ablate_head(0, 2)), edit(model, {"layer.0.probabilities": zero(head=2)})
    np.testing.assert_array_equal(one.encode(TEXTS), other.encode(TEXTS))


def test_a_layer_without_blocks_is_two_norms(model):
    t = edit(model, ablate_layer(1)).trace(TEXTS[0])
    np.testing.assert_array_equal(t["layer.1.attention.sum"], t["layer.0"])
    np.testing.assert_array_equal(t["layer.1.feed_forward.sum"], t["layer.1.attention_norm"])


def test_all_of_another_text_makes_it_that_text(model):
    other = trace(model, TEXTS[3])
    for name in ("embeddings", "layer.0", "layer.1", "pooled", "vector"):
        np.testing.assert_array_equal(edit(model, {name: patch(other)}).encode(TEXTS[0]), other["vector"])


def test_a_token_of_a_text_of_another_length(model):
    long, short = trace(model, TEXTS[2]), model.tokenize(TEXTS[1])
    edited = edit(model, {"layer.0": patch(long, token=1, from_token=4)})
    seen = {}
    edited.forward(short, observe=lambda name, x: seen.update({name: x.copy()}))
    np.testing.assert_array_equal(seen["layer.0"][1], long["layer.0"][4])
    np.testing.assert_array_equal(seen["layer.0"][2], trace(model, TEXTS[1])["layer.0"][2])
    np.testing.assert_array_equal(edited.forward(short), edited.forward(short, observe=lambda name, x: None))


def test_the_mean_of_reference_texts(model):
    found = edit(model, {"layer.*.context": mean_over(TEXTS, head=1), "pooled": mean_over(TEXTS)}).trace(TEXTS[1])
    for layer in range(2):
        rows = np.concatenate([trace(model, text)[f"layer.{layer}.context"] for text in TEXTS])
        mean = rows[:, 8:16].mean(axis=0, dtype=np.float64).astype(np.float32)
        np.testing.assert_array_equal(found[f"layer.{layer}.context"][:, 8:16], np.broadcast_to(mean, (3, 8)))
    pooled = np.stack([trace(model, text)["pooled"] for text in TEXTS]).mean(axis=0, dtype=np.float64)
    np.testing.assert_array_equal(found["pooled"], pooled.astype(np.float32))
    value = edit(model, {"layer.0.value": mean_over(TEXTS, head=1)}).trace(TEXTS[1])["layer.0.value"]
    assert (value[1] == value[1][0]).all() and not (value[0] == value[0][0]).all()


def test_several_changes_come_one_after_another(model):
    twice = edit(model, {"layer.0": [zero(neuron=3), replace_by(1.0, token=0, neuron=3)]}).trace(TEXTS[0])
    assert twice["layer.0"][:, 3].tolist() == [1.0] + [0.0] * 6
    both = edit(model, ablate_neuron(0, 1), ablate_neuron(0, 2)).trace(TEXTS[0])["layer.0.activated"]
    assert not both[:, 1:3].any() and both[:, 3].all()


def test_a_trace_of_an_edited_model_says_what_is_edited(model):
    edited = edit(model, {"layer.0.value": scale(2.0), "vector": scale(0.5)})
    t = edited.trace(TEXTS[0])
    assert t.changed == {"layer.0.value", "vector"} and t.verify() == len(t) - 2
    np.testing.assert_array_equal(t["vector"], edited.encode(TEXTS[0]))
    np.testing.assert_array_equal(t["layer.0.value"], 2 * trace(model, TEXTS[0])["layer.0.value"])
    assert list(edited.trace(TEXTS[0], names="vector")) == ["vector"]
    assert "layer.0.value: scale(), vector: scale()" in repr(edited)


NAMES = ("embeddings.sum", "layer.0.qkv", "layer.1.query", "layer.0.probabilities", "layer.1.activated", "layer.0")
CHANGE = st.one_of(
    st.builds(scale, st.floats(-2, 2), token=st.one_of(st.none(), st.integers(-3, 2))),
    st.builds(zero, token=st.integers(0, 2)),
)


@examples(60)
@given(
    changes=st.dictionaries(st.sampled_from((*NAMES, "layer.*.context", "pooled")), CHANGE, min_size=1, max_size=3),
    order=st.permutations(range(4)),
)
def test_a_text_has_the_same_bits_in_any_batch(model, changes, order):
    changes = {name: change if name != "pooled" else scale(2.0) for name, change in changes.items()}
    edited = edit(model, changes)
    together = edited.encode([TEXTS[i] for i in order])
    for row, i in zip(together, order, strict=True):
        np.testing.assert_array_equal(row, edited.encode(TEXTS[i]))


def test_threads_change_nothing(tiny_checkpoint):
    changes = ablate_head(0, 1) | {"layer.1.scores": scale(0.5, head=2), "vector": scale(2.0)}
    texts = [f"{text} {i}" for i in range(12) for text in TEXTS]  # several chunks on each thread
    one, three = (
        edit(Embedder.load(tiny_checkpoint, backend="numpy", threads=n), changes).encode(texts) for n in (1, 3)
    )
    np.testing.assert_array_equal(one, three)


def test_a_model_on_kernels_is_edited_on_the_numpy_tier(tiny_model, model):
    other = edit(tiny_model, ablate_head(0, 1))
    assert other.model.backend == "numpy"
    np.testing.assert_array_equal(other.encode(TEXTS), edit(model, ablate_head(0, 1)).encode(TEXTS))


@pytest.mark.parametrize("dtype", ["bfloat16", "int8"])
@pytest.mark.parametrize("name", ["modernbert", "gemma3_text", "mpnet"])
@pytest.mark.filterwarnings("ignore::minembed.errors.BackendWarning")  # these numbers may be emulated
def test_families_and_compute_types(tmp_path, name, dtype):
    model = Embedder.load(goldens.write_checkpoint(goldens.read(name), tmp_path / "m"), backend="numpy", dtype=dtype)
    edited = edit(model, ablate_head(1, 0), {"layer.0.scores": scale(0.5, head=0)}, ablate_neuron(0, 3))
    together = edited.encode(TEXTS)
    for text, row in zip(TEXTS, together, strict=True):
        np.testing.assert_array_equal(row, edited.encode(text))
        np.testing.assert_array_equal(row, edited.trace(text)["vector"])
    assert np.abs(together - model.encode(TEXTS)).max() > 1e-4
    nothing = edit(model, {"layer.*.scores": scale(1.0), "pooled": scale(1.0)})
    np.testing.assert_array_equal(nothing.encode(TEXTS), model.encode(TEXTS))


def test_options_are_those_of_encode(model):
    nothing = edit(model, {"layer.0": scale(1.0)})
    for options in ({"truncate_dim": 8}, {"truncate_dim": 8, "normalize_embeddings": False}, {"prompt": "bread "}):
        np.testing.assert_array_equal(nothing.encode(TEXTS, **options), model.encode(TEXTS, **options))
        np.testing.assert_array_equal(nothing.trace(TEXTS[0], **options)["vector"], model.encode(TEXTS[0], **options))
    assert nothing.encode([]).shape == (0, WIDTH)
    with pytest.warns(TruncationWarning, match=r"texts\[1\]"):
        nothing.encode(["a", "cat " * 500])


def test_static_models(tmp_path):
    model = Embedder.load(static_cases.write_static(tmp_path / "model", next(iter(static_cases.STATIC))))
    texts = ["hello world", "", "hello"]
    np.testing.assert_array_equal(edit(model, {"vector": scale(1.0)}).encode(texts), model.encode(texts))
    half = edit(model, {"vector": scale(0.5)}).encode(texts)
    np.testing.assert_array_equal(half, 0.5 * model.encode(texts))


REFUSED = {
    r"'layer\.9\.context' fits no step": {"layer.9.context": zero()},
    r"layer\.1\.context has no head 4: it has 4, 0 to 3": {"layer.1.context": zero(head=4)},
    r"layer\.1\.context has no neuron -33": {"layer.1.context": zero(neuron=-33)},
    r"layer\.1\.context has no key to choose": {"layer.1.context": zero(key=0)},
    r"pooled has no token to choose": {"pooled": zero(token=0)},
    r"layer\.0 is of shape \('N', 32\), but array is of shape \(31,\)": {"layer.0": replace_by(np.ones(31))},
    r"layer\.0\[neuron=3\] is of shape \('N', 1\)": {"layer.0": replace_by(np.ones(2), neuron=3)},
    r"layer\.0\.scores has no mean": {"layer.0.scores": mean_over(TEXTS)},
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_fits_no_text_is_refused_at_once(model, words):
    with pytest.raises(InputError, match=words):
        edit(model, REFUSED[words])


def test_what_does_not_fit_a_text_is_refused_before_anything_is_computed(model, monkeypatch):
    t = trace(model, TEXTS[0])
    cases = {
        r"texts\[1\], of 3 tokens: layer\.0 has no token 4": {"layer.0": zero(token=4)},
        r"texts\[1\], of 3 tokens: layer\.0 is of shape \(3, 32\), but a trace of 7 tokens": {"layer.0": patch(t)},
        r"texts\[1\].*layer\.0\.scores\[head=1\] is of shape \(1, 3, 3\)": {"layer.0.scores": patch(t, head=1)},
        r"texts\[1\].*layer\.0 is of shape \(3, 32\), but array": {"layer.0": replace_by(np.ones((7, 32)))},
        r"the trace's layer\.0 has no from_token 9": {"layer.0": patch(t, token=0, from_token=9)},
    }
    for words, changes in cases.items():
        edited = edit(model, changes)
        monkeypatch.setattr(type(edited.tier), "__call__", None)  # computing anything would end in a TypeError
        with pytest.raises(InputError, match=words):
            edited.encode(TEXTS)
        with pytest.raises(InputError, match=words):
            edited.forward(model.tokenize(TEXTS))
        monkeypatch.undo()
    with pytest.raises(InputError, match=r"texts\[0\], of 3 tokens"):
        edit(model, {"layer.0": zero(token=4)}).trace(TEXTS[1])


def test_other_things_are_refused(model):
    for words, call in {
        "edit takes an Embedder, not str": lambda: edit("m", {}),
        "changes are mappings": lambda: edit(model, [zero()]),
        r"a change is made by zero\(\), scale\(\), ..., not int": lambda: edit(model, {"layer.0": 3}),
        "patch takes a Trace": lambda: patch({}),
        r"head must be a whole number, or a sequence of them, not 'a'": lambda: edit(model, ablate_head(0, "a")),
        r"token must be a whole number, or a sequence of them, not \[\]": lambda: edit(
            model, {"layer.0": zero(token=[])}
        ),
    }.items():
        with pytest.raises(InputTypeError, match=words):
            call()
    for words, call in {
        "factor must be a finite number, not inf": lambda: scale(float("inf")),
        "array must hold finite numbers": lambda: replace_by([np.nan]),
        "needs at least one text": lambda: mean_over([]),
        "layer must be a whole number": lambda: ablate_head(-1, 0),
        "from_token=1 needs one token": lambda: patch(trace(model, "a"), from_token=1),
        "cannot be patched: the trace has kept only vector": lambda: edit(
            model, {"layer.0": patch(trace(model, "a", names="vector"))}
        ),
    }.items():
        with pytest.raises(InputError, match=words):
            call()
    with pytest.raises(NumericalError, match=r"texts\[0\] gives NaN or infinity: by the edit"):
        edit(model, {"layer.0": scale(3e38)}).encode(TEXTS)
