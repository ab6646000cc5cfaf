"""Explanations: parts that add up, by an oracle and in every family; what leaving tokens out does, by the model."""

import math
import re
import shutil
import warnings

import frozen_oracle
import golden_families as goldens
import golden_heads
import module_cases
import numpy as np
import pytest
import static_cases
from examples import examples, thinned
from hypothesis import given
from hypothesis import strategies as st
from places import ROOT
from safetensors.numpy import load_file
from tiny import WORDS, write_json, write_tiny_checkpoint

from minembed import Embedder, Reranker
from minembed.errors import BackendWarning, InputError, InputTypeError, UnsupportedModelError
from minembed.study import Explanation, explain, trace
from minembed.study.backward import slopes_by
from minembed.study.explanation import LEVELS
from minembed.study.parts import begin, begin_wide, beginnings, vectors_of_parts
from minembed.study.putting_to_test import rank_correlation
from minembed.study.running import compute, widened
from minembed.study.tangents import pushforward
from minembed.weights.families import FAMILIES

A, B = "a cat and a dog", "the river, un believ able"
SERVED = [name for name in goldens.NAMES if goldens.family_of(name) in FAMILIES]
ADDS_UP = 1e-6  # the contract of float32


def load(folder, dtype="float32"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BackendWarning)
        return Embedder.load(folder, backend="numpy", dtype=dtype)


def golden(name, folder):
    return load(goldens.write_checkpoint(goldens.read(name), folder))


def cosine(model, a, b):
    return float(model.similarity(*model.encode([a, b]).astype(np.float64))[0, 0])


@pytest.fixture(scope="module")
def model(tiny_checkpoint):
    return load(tiny_checkpoint)


# --- parts that add up


def test_parts_are_those_of_the_oracle(tiny_checkpoint, model):
    tensors = load_file(tiny_checkpoint / "model.safetensors")
    text = "a cat in"
    t = trace(model, text)
    [parts] = vectors_of_parts([begin(t.steps, t, beginnings(t.steps, "input"))])
    wanted = frozen_oracle.mean_vector_parts(tensors, t.tokens.ids.tolist(), heads=4)
    wanted /= np.linalg.norm(wanted.sum(axis=0))
    np.testing.assert_allclose(parts, wanted, atol=ADDS_UP)
    assert np.abs(wanted).max() > 0.1
    # the same steps in float64: what is left is the order of sums
    [wide] = vectors_of_parts([begin_wide(t.steps, beginnings(t.steps, "input"))])
    np.testing.assert_allclose(wide, wanted, atol=1e-14)


def test_what_float32_leaves_is_computed_in_float64(model, monkeypatch):
    usual = explain(model, A, B)
    monkeypatch.setattr("minembed.study.explaining.FINE", 0.0)
    fine = explain(model, A, B)
    assert fine.a.labels == usual.a.labels
    np.testing.assert_allclose(fine.matrix, usual.matrix, atol=ADDS_UP)
    assert np.abs(fine.matrix - usual.matrix).max() > 0 and fine.residual <= 2e-7  # the score itself is of float32


@pytest.mark.parametrize("name", thinned(SERVED, 2))
def test_parts_add_up_in_every_family(name, tmp_path):
    model = golden(name, tmp_path / "m")
    for level in ("output", "input"):
        found = explain(model, A, B, level)
        assert found.score == pytest.approx(cosine(model, A, B), abs=1e-7)
        assert found.residual <= ADDS_UP and found.residual == abs(found.matrix.sum() - found.score)
        assert found.a.pieces == trace(model, A).pieces and found.a.special.sum() in (1, 2)
        assert found.matrix.shape == (len(found.a.labels), len(found.b.labels))
    assert (found.a.constants == ()) == (name in ("gemma3_text", "modernbert", "qwen3"))  # rotations, no biases


@pytest.mark.parametrize("name", thinned([*module_cases.POOLING, *module_cases.STACKS], 3))
def test_parts_add_up_after_any_pooling(name, tmp_path):
    case = (module_cases.POOLING | module_cases.STACKS)[name]
    model = load(module_cases.write_case(tmp_path / "m", case))
    for level in ("output", "input"):
        assert explain(model, A, B, level).residual <= ADDS_UP


@pytest.mark.parametrize("name", thinned(module_cases.DENSE, 4))
def test_parts_add_up_after_dense_layers(name, tmp_path):
    model = load(module_cases.write_case(tmp_path / "m", module_cases.DENSE[name]))
    if name in ("Sigmoid", "Softplus"):
        with pytest.raises(UnsupportedModelError, match=rf"{name}\(0\) is not 0.*use level='deletion'"):
            explain(model, A, B, "output")
        assert set(explain(model, A, B, "all")) == {"integrated", "deletion"}
    else:
        found = explain(model, A, B, "output")
        assert found.residual <= ADDS_UP and any("Dense after pooling" in note for note in found.notes)


@examples(40, usual=6)
@given(a=st.lists(st.sampled_from(WORDS), max_size=9), b=st.lists(st.sampled_from(WORDS), max_size=9))
def test_parts_add_up_for_any_words(tiny_model, a, b):
    for level in ("output", "input"):
        assert explain(tiny_model, " ".join(a), " ".join(b), level).residual <= ADDS_UP


def test_the_same_text_twice_is_symmetric(model):
    found = explain(model, A, A, "input")
    np.testing.assert_array_equal(found.matrix, found.matrix.T)
    assert found.score == pytest.approx(1, abs=1e-6)


def test_pooling_of_one_token_has_one_pair(tmp_path):
    cls = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    model = load(write_tiny_checkpoint(tmp_path / "m", pooling=cls))
    found = explain(model, A, B, "output")
    assert np.count_nonzero(found.matrix) == 1 and found.pairs(1)[0][:2] == ("[CLS]", "[CLS]")
    assert "reads one token" in str(found)
    assert np.count_nonzero(explain(model, A, B, "input").tokens) == found.tokens.size


def test_static_models_have_parts_too(tmp_path):
    model = load(static_cases.write_static(tmp_path / "m", next(iter(static_cases.STATIC))))
    for level in ("output", "input", "integrated", "deletion"):
        found = explain(model, "hello world", "a cat", level)
        assert found.score == pytest.approx(cosine(model, "hello world", "a cat"), abs=1e-6)
    assert explain(model, "hello world", "a cat", "input").residual <= ADDS_UP
    empty = explain(model, "", "a cat", "input", test=True)
    assert empty.score == 0 and empty.matrix.shape[0] == 0 and str(empty)


def test_dot_products_have_parts_and_distances_have_none(tmp_path):
    def folder(name):
        own = {"__version__": {"sentence_transformers": "3.0.0"}, "similarity_fn_name": name}
        return load(
            write_tiny_checkpoint(tmp_path / name, modules=module_cases_without_norm(), sentence_transformers=own)
        )

    found = explain(folder("dot"), A, B)
    assert found.similarity == "dot" and found.residual <= 1e-5 * abs(found.score)  # float32 of numbers above 1
    for level in ("output", "input", "integrated"):
        with pytest.raises(UnsupportedModelError, match="compares by euclidean, which is not a sum over pairs"):
            explain(folder("euclidean"), A, B, level)
    lost = explain(folder("euclidean"), A, B, "deletion")
    assert lost.score < 0 and np.abs(lost.effects[0]).max() > 0


def module_cases_without_norm():
    return [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ]


# --- contributions that come from no token


def test_what_no_token_brings_is_shown_spread_or_hidden(model):
    shown, spread, hidden = (explain(model, A, B, "input", bias=bias) for bias in ("show", "spread", "hide"))
    assert shown.a.constants == ("(position)", "(token type)", "(bias)") and spread.a.constants == ()
    n, m = len(shown.a.pieces), len(shown.b.pieces)
    assert spread.matrix.shape == hidden.matrix.shape == (n, m)
    assert spread.sum == pytest.approx(shown.sum, abs=1e-12) and hidden.sum == pytest.approx(shown.sum, abs=1e-12)
    np.testing.assert_array_equal(hidden.matrix, shown.tokens)
    assert hidden.hidden == pytest.approx(shown.constant) and "hidden" in str(hidden)
    assert "spread over them evenly" in str(spread) and "with (position), (token type), (bias)" in str(shown)
    rows = shown.matrix[:n] + shown.matrix[n:].sum(axis=0) / n
    np.testing.assert_allclose(spread.matrix, rows[:, :m] + rows[:, m:].sum(axis=1, keepdims=True) / m, atol=1e-12)


def test_biases_are_computed_and_not_what_is_left(model):
    """Without their own way through, the sum would be missing them."""
    found = explain(model, A, B, "input")
    assert abs(found.tokens.sum() - found.score) > 1e-3 and found.residual <= ADDS_UP


# --- slopes on the way


@pytest.mark.parametrize("name", thinned(SERVED, 3))
def test_changes_forward_are_slopes_backward(name, tmp_path):
    """dy (J dx) = (J^T dy) dx, in float64, for rules that share no code."""
    t = trace(golden(name, tmp_path / "m"), A)
    graph = widened(t.steps)
    values, rng = compute(graph, {}), np.random.default_rng(3)
    dx, dy = rng.standard_normal((2, *values["embeddings.word"].shape)), rng.standard_normal(values["vector"].shape)
    forward = pushforward(graph, values, "embeddings.word", dx) @ dy
    back = slopes_by(graph, values, "vector", dy)["embeddings.word"]
    np.testing.assert_allclose(forward, (dx * back).sum(axis=(1, 2)), rtol=1e-9, atol=1e-12)


def test_slopes_on_the_way_add_up(model):
    found = explain(model, A, B, "integrated", test=True)
    assert found.residual <= 1e-3 and found.residual == found.steps[-1][1]
    assert all(off > 1e-3 for _, off in found.steps[:-1])
    assert not found.matrix[0].any() and found.a.constants == ("(average words)",)  # [CLS] stays on the way
    assert "residual by steps" in str(found)


def test_a_pair_has_slopes_on_the_way(tmp_path):
    for name in ("bert", "modernbert"):
        model = Reranker.load(golden_heads.write_checkpoint(name, "classifier", tmp_path / name), backend="numpy")
        found = explain(model, "the cat", "a dog in the tree", "all", test=True)
        assert set(found) == {"integrated", "deletion"}
        score = float(model.predict(("the cat", "a dog in the tree"), activation="Identity"))
        slopes, lost = found["integrated"], found["deletion"]
        assert slopes.score == lost.score == pytest.approx(score, abs=1e-6) and slopes.residual <= 1e-3
        assert slopes.matrix.shape == (len(slopes.a.pieces) + 1, 1) and math.isnan(slopes.test.pairs)
        assert lost.a.pieces == ("the", "cat") and lost.matrix.shape == (2, 5)
        shorter = float(model.predict(("cat", "a dog in the tree"), activation="Identity"))
        assert lost.effects[0][0] == pytest.approx(score - shorter, abs=1e-5)
        both = float(model.predict(("cat", "a dog the tree"), activation="Identity"))
        other = float(model.predict(("the cat", "a dog the tree"), activation="Identity"))
        assert lost.matrix[0, 2] == pytest.approx(score - shorter - other + both, abs=1e-5)
        with pytest.raises(UnsupportedModelError, match="a cross-encoder has none"):
            explain(model, "the cat", "a dog", "input")
        with pytest.raises(InputError, match="both texts of a pair must have tokens"):
            explain(model, "", "a dog", "deletion")
    several = Reranker.load(golden_heads.write_checkpoint("bert+labels", "classifier", tmp_path / "l"), backend="numpy")
    with pytest.raises(InputError, match="3 labels"):
        explain(several, "a", "b", "deletion")


# --- leaving tokens out


def test_what_is_lost_is_what_the_model_says_of_shorter_texts(model):
    found = explain(model, "a cat dog", "the river", "deletion")
    whole = cosine(model, "a cat dog", "the river")
    without = {i: cosine(model, text, "the river") for i, text in ((1, "cat dog"), (2, "a dog"), (3, "a cat"))}
    for i, score in without.items():
        assert found.effects[0][i] == pytest.approx(whole - score, abs=1e-6)
    both = cosine(model, "a dog", "the")
    lost = whole - without[2] - cosine(model, "a cat dog", "the") + both
    assert found.matrix[2, 2] == pytest.approx(lost, abs=1e-6)
    assert not found.matrix[0].any() and not found.effects[0][-1]  # special tokens stay


def test_an_explanation_that_is_right_passes_and_one_that_is_wrong_fails(model):
    from dataclasses import replace

    from minembed.models.options import Options
    from minembed.study import deleting
    from minembed.study.explaining import _tested

    pair = deleting.of_embedder(model, (A, B), (Options(), Options()))
    lost = deleting.deleted(pair)
    right = explain(model, A, B, "deletion")
    test = _tested(right, pair, lost)
    assert (test.tokens, test.pairs) == pytest.approx((1, 1)) and test.curve > 0  # correlations, rounded
    a, b = right.effects
    wrong = _tested(replace(right, effects=(-a, -b), matrix=-right.matrix), pair, lost)
    assert (wrong.tokens, wrong.pairs) == pytest.approx((-1, -1)) and wrong.curve == pytest.approx(-test.curve)


def test_too_few_tokens_have_no_order(model):
    assert math.isnan(explain(model, "cat", "", "input", test=True).test.tokens)
    assert math.isnan(rank_correlation(np.ones(5), np.arange(5)))


def test_a_prompt_that_is_not_pooled_stays(tmp_path):
    case = module_cases.Case("mean", include_prompt=False, overall={"prompts": {"query": "the query "}})
    model = load(module_cases.write_case(tmp_path / "m", case))
    found = explain(model, A, B, "deletion", prompt_names=("query", None))
    assert found.a.text == "the query " + A and found.a.pieces[1:3] == ("the", "query")
    assert not found.effects[0][:3].any() and found.effects[0][3]
    assert explain(model, A, B, "input", prompt_names=("query", None)).residual <= ADDS_UP


# --- the rest


def test_what_cannot_be_had_is_refused_by_name(tiny_checkpoint, model):
    with pytest.raises(InputTypeError, match="takes an Embedder or a Reranker, not str"):
        explain("MiniLM", A, B)
    with pytest.raises(InputError, match="level must be one of output, input, integrated, deletion, all; not 'L2'"):
        explain(model, A, B, "L2")
    with pytest.raises(InputError, match="bias must be 'show', 'spread' or 'hide'"):
        explain(model, A, B, bias="drop")
    lower = load(tiny_checkpoint, "int8")
    for level in ("input", "integrated"):
        with pytest.raises(InputError, match=f"computes in int8.*for level='{level}'"):
            explain(lower, A, B, level)
    assert explain(lower, A, B, "output").residual <= ADDS_UP and explain(lower, A, B, "deletion").score


def test_nothing_in_it_changes(model):
    found = explain(model, A, B)
    assert isinstance(found, Explanation) and not found.matrix.flags.writeable
    with pytest.raises(AttributeError):
        found.score = 1
    np.testing.assert_array_equal(found.matrix, explain(model, A, B).matrix)


def test_what_is_printed_adds_up(model):
    found = explain(model, A, B, test=True)
    lines = str(found).splitlines()
    parts = [float(line.split()[0]) for line in lines[1:] if re.match(r"  [+-]", line)]
    assert sum(parts) == pytest.approx(found.sum, abs=1e-3) and len(parts) == 12
    assert f"residual {found.residual:.1e}" in lines[-2] and lines[-1].startswith("tested by leaving out: tokens ")
    assert set(LEVELS) == set(explain(model, "a", "b", "all"))


def sentences():
    """Real ones: those of the documentation."""
    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]]
    plain = [
        re.sub(r"\s+", " ", re.sub(r"[`*|#\[\]]", "", re.sub(r"```.*?```", "", page, flags=re.S))) for page in pages
    ]
    return [s for page in plain for s in re.split(r"(?<=[.!?]) ", page) if 20 < len(s) < 160]


def random_pairs(number):
    found, rng = sentences(), np.random.default_rng(21)
    return [tuple(found[i] for i in rng.choice(len(found), 2)) for _ in range(number)]


@pytest.mark.weights
def test_parts_of_the_real_model_add_up(minilm):
    for a, b in random_pairs(2):
        for level in ("output", "input"):
            assert explain(minilm, a, b, level).residual <= ADDS_UP


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("kind", ["minilm", "cls", "mpnet"])
def test_a_thousand_pairs_add_up(kind, minilm, tmp_path):
    model = {"minilm": lambda: minilm, "cls": lambda: with_cls(minilm, tmp_path / "m")}.get(
        kind, lambda: golden("mpnet", tmp_path / "m")
    )()
    worst = dict.fromkeys(("output", "input"), 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # texts longer than the golden's 41 tokens are cut
        for a, b in random_pairs(1000):
            for level in worst:
                worst[level] = max(worst[level], explain(model, a, b, level).residual)
    print(kind, worst)
    assert max(worst.values()) <= ADDS_UP


@pytest.mark.slow
@pytest.mark.weights
def test_slopes_on_the_way_of_the_real_model_add_up(minilm):
    offs = [explain(minilm, a, b, "integrated").residual for a, b in random_pairs(20)]
    assert max(offs) <= 1e-3


def with_cls(model, folder):
    """The same model, with the vector of [CLS] in place of the mean."""
    shutil.copytree(model.checkpoint.folder, folder)
    (folder / "1_Pooling" / "config.json").unlink()
    own = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    write_json(folder / "1_Pooling" / "config.json", own)
    return load(folder)
