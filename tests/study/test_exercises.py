"""The exercises: each starter's bug is found where it is, each solution is right, and a learner loses nothing."""

import json
import re

import numpy as np
import pytest
from command import run as minembed
from places import ROOT

from minembed import Embedder
from minembed.errors import InputError
from minembed.study.exercises import EXERCISES, run
from minembed.study.exercises.exercise import WrongShape
from minembed.study.exercises.runner import load, traces_of

FIRST = {  # where each bug shows first
    "scores": "layer.0.scores",
    "activation": "layer.0.activated",
    "pool": "pooled",
    "positions": "embeddings.position",
    "attend": "layer.0.context",
    "add_and_norm": "layer.0.attention_norm",
    "layer_norm": "embeddings",
    "split_heads": "layer.0.query",
    "embed": "embeddings.sum",
    "mean_pool": "pooled",
    "quantize": "layer.0.attention",
    "softmax_vjp": "slopes of layer.5.scores",
}


def function_of(exercise, source):
    space = {}
    exec(source, space)
    return space[exercise.function]


@pytest.fixture(scope="module")
def real(minilm):
    return traces_of(minilm)


@pytest.mark.weights
@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda e: e.function)
def test_the_bug_is_found_and_the_solution_is_right(real, exercise):
    assert exercise.starter.count(exercise.wrong) == 1 and exercise.solution != exercise.starter
    wrong = run(exercise, function_of(exercise, exercise.starter), real)
    assert not wrong.solved and wrong.first.name == FIRST[exercise.function]
    assert wrong.first.off > 2 * exercise.tolerance
    right = run(exercise, function_of(exercise, exercise.solution), real)
    assert right.solved and all(stage.cosine > 0.9999 for stage in right.stages)
    assert wrong.stages[-1].off > 5 * right.stages[-1].off


@pytest.mark.weights
def test_what_is_not_numbers_of_the_shape_is_told(real):
    scores = EXERCISES[0]
    with pytest.raises(WrongShape, match=r"layer\.0\.scores must have the shape \(12, \d+, \d+\); .* float32"):
        run(scores, lambda q, k: q, real)
    with pytest.raises(WrongShape, match="object"):
        run(scores, lambda q, k: None, real)
    bad = run(scores, lambda q, k: np.full((12, q.shape[1], q.shape[1]), np.nan), real)
    assert bad.first.name == "layer.0.scores" and np.isnan(bad.first.off)


def test_there_are_twelve_and_each_says_what_it_is_about():
    assert [e.number for e in EXERCISES] == list(range(1, 13)) and set(FIRST) == {e.function for e in EXERCISES}
    for e in EXERCISES:
        body = e.starter.split('"""')
        assert body[1].startswith(f"Exercise {e.number}: {e.title[0].lower()}{e.title[1:]}.\n") and len(e.hints) == 2
        assert len(e.starter.splitlines()) < 30 and f"def {e.function}(" in body[2]
        assert e.function in load_names(e)


def load_names(exercise):
    return re.findall(r"def (\w+)\(", exercise.starter)


def test_models_of_another_form_are_refused(tiny_checkpoint):
    model = Embedder.load(tiny_checkpoint, backend="numpy", dtype="int8")
    with pytest.raises(InputError, match="BERT with mean pooling, in float32"):
        traces_of(model)


@pytest.fixture
def study(tiny_checkpoint, tmp_path):
    folder = tmp_path / "mine"

    def call(*args, code=0):
        return minembed("study", *args, "--folder", folder, "-m", tiny_checkpoint, code=code)

    return call, folder


def test_from_the_first_call_to_the_solution(study):
    call, folder = study
    out, _ = call("1")
    path = folder / "01_scores.py"
    assert "Exercise 1" in out and str(path) in out and path.read_text() == EXERCISES[0].starter
    out, _ = call("1", code=1)
    assert "The first result that differs is layer.0.scores" in out and "vector" in out
    out, _ = call("1", "--hint")
    assert out.startswith("Hint 1 of 2: ")
    out, _ = call("1", "--hint")
    assert out.startswith("Hint 2 of 2: ") and "--solution" in out
    out, _ = call("1", "--solution")
    assert out == "-     return products\n+     return products / np.sqrt(query.shape[-1])\n"
    assert "begun" in call("list")[0]
    path.write_text(EXERCISES[0].solution)
    out, _ = call("1")
    assert "Solved" in out and "1 of 12 solved" in call()[0]
    assert json.loads((folder / "progress.json").read_text()) == {"1": {"tries": 2, "hints": 2, "solved": True}}
    call("1", "--reset")
    assert path.read_text() == EXERCISES[0].starter
    assert path.with_name("01_scores.py.old").read_text() == EXERCISES[0].solution


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def scores(q, k:\n", r"01_scores.py, line 1: "),
        ("x = 1\n", r"01_scores.py has no function scores: it must keep its name"),
        ("\nraise LookupError('mine')\n", r"01_scores.py, line 2: LookupError: mine"),
        ("def scores(q, k):\n    return q.nothing\n", r"01_scores.py, line 2: AttributeError: .*nothing"),
        ("def scores(q, k):\n    return q\n", r"layer.0.scores must have the shape"),
    ],
)
def test_errors_of_the_learner_name_his_line(study, source, said):
    call, folder = study
    call("1")
    (folder / "01_scores.py").write_text(source)
    _, err = call("1", code=1)
    assert re.search(said, err) and "Traceback" not in err
    assert (folder / "01_scores.py").read_text() == source


def test_what_the_command_refuses(study, tmp_path):
    call, folder = study
    for args, said in ((("99",), "no exercise 99"), (("x",), "neither 'list' nor"), (("--hint",), "need the number")):
        assert said in call(*args, code=1 if "99" in args else 2)[1]
    folder.mkdir()
    (folder / "progress.json").write_text('{"one": 1}')
    assert "progress.json is damaged" in call("list", code=1)[1]
    with pytest.raises(InputError, match="has no function nothing"):
        (tmp_path / "x.py").write_text("")
        load(tmp_path / "x.py", "nothing")


@pytest.mark.weights
def test_the_page_says_what_is_measured(real):
    page = (ROOT / "docs" / "learn" / "exercises.md").read_text(encoding="utf-8")
    cosines = re.search(r"^\| cosine \| (.*) \|$", page, re.M).group(1).split(" | ")
    for exercise, said in zip(EXERCISES, cosines, strict=False):
        last = run(exercise, function_of(exercise, exercise.starter), real).stages[-1]
        assert f"{last.cosine:.{len(said) - 2}f}" == said, exercise.function
        assert re.search(rf"^\| {exercise.number} \| `{exercise.function}` .*`{FIRST[exercise.function]}`", page, re.M)
    stages = run(EXERCISES[0], function_of(EXERCISES[0], EXERCISES[0].starter), real).stages
    for stage in stages:
        assert re.search(rf"^{stage.name} +{stage.off:.2g} +{stage.cosine:.6f}$", page, re.M), stage
