"""Evaluators give the reference's numbers under the reference's names, and write its files."""

import csv
import io
import json
import lzma

import pytest
from evaluator_cases import cases, evaluated
from places import GOLDENS_FOLDER

from minembed.errors import InputError
from minembed.sentence_transformers import quantize_embeddings, util
from minembed.sentence_transformers.cross_encoder import evaluation as cross_encoders
from minembed.sentence_transformers.sentence_transformer import evaluation

GOLDEN = json.loads(lzma.decompress((GOLDENS_FOLDER / "calls" / "evaluators.json.xz").read_bytes()))
CASES = cases(evaluation, cross_encoders, util, quantize_embeddings)
CLOSE = pytest.approx  # scores are float32 sums of 16 products, in another order: 2e-6 at most


def numbers(text):
    """A cell of a table as a number, where it is one."""
    try:
        return float(text)
    except ValueError:
        return text


def rows(text):
    return [[numbers(cell) for cell in row] for row in csv.reader(io.StringIO(text, newline=""))]


def test_the_cases_are_the_goldens():
    assert list(CASES) == list(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_evaluators_give_the_references_numbers(name, tmp_path):
    ours, theirs = evaluated(*CASES[name], tmp_path), GOLDEN[name]
    assert list(ours["metrics"]) == list(theirs["metrics"])
    assert ours["metrics"] == CLOSE(theirs["metrics"], rel=2e-6, abs=2e-6)
    assert all(type(value) is float for value in ours["metrics"].values())
    assert ours["primary"] == theirs["primary"]
    assert list(ours["files"]) == list(theirs["files"])
    for file, text in ours["files"].items():
        expected = theirs["files"][file]
        assert text.count("\r\n") == expected.count("\r\n") and text.count("\n") == expected.count("\n")
        if file.endswith(".jsonl"):
            for line, wanted in zip(text.splitlines(), expected.splitlines(), strict=True):
                found, golden = json.loads(line), json.loads(wanted)
                scores, known = ([hit.pop("score") for hit in x["results"]] for x in (found, golden))
                assert found == golden and scores == CLOSE(known, rel=2e-6, abs=2e-6)
            continue
        for row, wanted in zip(rows(text), rows(expected), strict=True):
            assert row == [CLOSE(cell, rel=2e-6, abs=2e-6) if isinstance(cell, float) else cell for cell in wanted]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: evaluation.EmbeddingSimilarityEvaluator(["a"], ["b", "c"], [1.0]),
        lambda: evaluation.BinaryClassificationEvaluator(["a"], ["b"], [2]),
        lambda: evaluation.TripletEvaluator(["a"], ["b"], ["c"], similarity_fn_names=["cos"]),
        lambda: evaluation.TripletEvaluator(["a"], ["b"], ["c"], margin={"cos": 1}),
        lambda: evaluation.MSEEvaluator(["a"], [], None),
        lambda: evaluation.EmbeddingSimilarityEvaluator(["a"], ["b"], [1.0], main_similarity="cos"),
        lambda: evaluation.BinaryClassificationEvaluator([], [], []),
        lambda: evaluation.TranslationEvaluator([], []),
        lambda: evaluation.InformationRetrievalEvaluator({"q": "a"}, {"d": "b"}, {"q": {"d"}}, ndcg_at_k=[]),
        lambda: evaluation.RerankingEvaluator([{"query": "a", "positive": [], "negative": ["b"]}]),
        lambda: cross_encoders.CrossEncoderRerankingEvaluator([]),
        lambda: cross_encoders.CrossEncoderClassificationEvaluator([], []),
    ],
)
def test_bad_input_is_named(wrong):
    with pytest.raises(InputError):
        wrong()
