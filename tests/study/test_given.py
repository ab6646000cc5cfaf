"""What functions are given: wrong models, texts, names and numbers are refused by name, prompts are not put twice."""

import copy
import pickle
import re

import numpy as np
import pytest
from module_cases import NORMALIZE, Case, write_case
from static_cases import write_static

from minembed import Embedder
from minembed.errors import InputError, MinembedError, TruncationWarning, UnsupportedModelError
from minembed.study import (
    ablate_head,
    attention_map,
    causal_trace,
    edit,
    effect,
    explain,
    fill_mask_lens,
    fires_most,
    grad,
    head_importance,
    mean_over,
    padded,
    patch,
    precision_errors,
    replace_by,
    rollout,
    scale,
    similarity_by_layer,
    trace,
    zero,
)
from minembed.study.report import report

A, B = "the cat sat on mat", "a dog"
PROMPTS = {"prompts": {"query": "the query "}, "default_prompt_name": "query", "similarity_fn_name": "cosine"}


def load(folder, **options):
    return Embedder.load(folder, backend="numpy", **options)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A checkpoint that puts a prompt in front of each text, and leaves it out of the mean."""
    case = Case(include_prompt=False, modules=(NORMALIZE,), overall=PROMPTS)
    return load(write_case(tmp_path_factory.mktemp("prompted"), case))


@pytest.fixture(scope="module")
def static(tmp_path_factory):
    return load(write_static(tmp_path_factory.mktemp("static"), "plain"))


def test_what_is_no_model_is_refused_everywhere():
    for function, arguments in {
        causal_trace: (A, A, A),
        effect: (ablate_head(0, 0),),
        fill_mask_lens: (A,),
        fires_most: ([A], 0),
        head_importance: ([(A, B)],),
        padded: ([A],),
        precision_errors: (A,),
        similarity_by_layer: (A, B),
    }.items():
        options = {"pairs": [(A, B)]} if function is effect else {}
        with pytest.raises(InputError, match=f"{function.__name__} takes an Embedder, not int"):
            function(5, *arguments, **options)


def test_other_arguments_are_refused_by_name(model):
    t, dy = trace(model, A), model.encode(B)
    for words, call in {
        "names must be a str or several, not 5": lambda: trace(model, A, names=5),
        "names[0] must be a str, not 5": lambda: edit(model).trace(A, names=[5]),
        "max_bytes must be a whole number": lambda: trace(model, A, max_bytes="x"),
        "text must be a str, not list": lambda: grad(model, dy, [A]),
        "wrt must be a str or several, not None": lambda: grad(model, dy, A, None),
        "number must return two values": lambda: grad(model, lambda x: 1.0, A),
        "slopes by, (32,), not ()": lambda: grad(model, lambda x: (1.0, 1.0), A),
        "dy must be finite numbers": lambda: grad(model, dy * np.nan, A),
        "these are lists of several lengths": lambda: replace_by([[1], [1, 2]]),
        "factor must be a finite number": lambda: scale(10**400),
        "sts[1]: the score must be a finite number, not 'x'": lambda: effect(
            model, ablate_head(0, 0), sts=[(A, B, 1), (B, A, "x")]
        ),
        "changes are mappings": lambda: effect(model, 5, pairs=[(A, B)]),
        "prompt_names must be two": lambda: explain(model, A, B, prompt_names=("query",)),
        "level must be one of": lambda: explain(model, A, B, ["input"]),
        "t must be a Trace": lambda: rollout(5),
        "top_k must be a whole number": lambda: explain(model, A, B, "output").pairs("a"),
        "title must be a str, not int": lambda: report(model, A, B, levels=["output"], title=5),
    }.items():
        with pytest.raises(MinembedError, match=re.escape(words)):
            call()
    assert 5 not in t and t.get(None) is None and attention_map(t, 0).shape == (13, 13)


def test_the_default_prompt_is_put_once(model, tmp_path):
    """Measured by hand: contexts times slopes, with all that the prompt changes."""
    found = head_importance(model, [(A, B)])
    by_hand = np.zeros((2, 4))
    for text, other in ((A, B), (B, A)):
        own, to = trace(model, text), model.encode(other).astype(np.float64)
        cosine = float(own["vector"] @ to)
        slopes = grad(
            model, (to - cosine * own["vector"]).astype(np.float32), text, [f"layer.{i}.context" for i in (0, 1)]
        )
        for i, name in enumerate(slopes):
            by_hand[i] += (own[name] * slopes[name]).reshape(len(own.pieces), 4, -1).sum(axis=(0, 2))
    np.testing.assert_allclose(found.gradient, np.abs(by_hand), atol=1e-6)  # float32
    assert len(precision_errors(model, A).steps) and fires_most(model, [A], 0, neuron=0, top_k=1).tokens == 11
    exact = precision_errors(model, A)["pooled"].total["float32"]
    assert 0 < exact < 1e-6


def test_a_text_that_is_cut_is_never_cut_silently(model):
    long = "cat " * 99
    for call in (
        lambda: fires_most(model, [A, long], 0, neuron=0),
        lambda: padded(model, [A, long]),
        lambda: precision_errors(model, long),
        lambda: trace(model, long, names="vector"),
    ):
        with pytest.warns(TruncationWarning, match="longer than 32 tokens were cut"):
            call()


def test_static_models_are_reported_and_told_what_they_lack(static, tmp_path):
    found = report(static, "a cat", "a dog", levels=("output", "input"))
    found.save(tmp_path / "page.html")
    assert found.heads is None and "no heads" in found.heads_note and not found.attention
    for call in (
        lambda: head_importance(static, [(A, B)]),
        lambda: fires_most(static, [A], 0, neuron=0),
        lambda: causal_trace(static, "a cat", "a dog", "a", part="attention"),
    ):
        with pytest.raises(UnsupportedModelError, match="needs layers"):
            call()
    with pytest.raises(InputError, match="such as 'pooled'"):
        edit(static, {"layer.0": zero()})


def test_all_levels_are_those_that_the_compute_type_allows(model):
    rounded = load(model.checkpoint.folder, dtype="int8")
    assert list(explain(rounded, A, B, "all")) == ["output", "deletion"]
    assert [one.level for one in report(rounded, A, B).explanations] == ["output", "deletion"]


def test_results_survive_pickle_and_copy(model):
    t = trace(model, A)
    edited = edit(model, {"layer.0.context": [zero(head=0), patch(t, token=1)], "layer.1": mean_over([A], token=0)})
    slopes = grad(model, model.encode(B), A)
    moved = effect(model, ablate_head(0, 0), pairs=[(A, B)])
    for again in (lambda x: pickle.loads(pickle.dumps(x)), copy.deepcopy):
        other = again(t)
        assert other.verify() == t.verify() and all(np.array_equal(other[name], t[name]) for name in t)
        assert not other["vector"].flags.writeable
        assert np.array_equal(again(edited).encode([A, B]), edited.encode([A, B]))
        assert np.array_equal(again(slopes)["embeddings.word"], slopes["embeddings.word"])
        assert again(moved).measures == moved.measures
