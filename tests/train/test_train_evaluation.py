"""What weights are judged by while they are trained: against plain loops, and what cannot be judged by is named."""

import math

import numpy as np
import pytest

from minembed.data.examples import Examples, read_examples
from minembed.data.table import Reading
from minembed.errors import InputError
from minembed.train.contrastive import train_contrastive
from minembed.train.evaluation import evaluate, measure_of, retrieval_score, sts_score
from minembed.train.model import Trainee
from minembed.train.settings import Settings

WORDS = ["cat", "dog", "sun", "moon", "tree", "rock", "sea", "fire", "ice", "sand", "wind", "rain", "leaf"]
QUERIES = (*(f"a {word} is here" for word in WORDS), "a cat is here", "a sun is here")
POSITIVES = (*(f"the {word} again" for word in WORDS), "two cats", "the sun again")
NEGATIVES = (*(f"no {word}" for word in reversed(WORDS)), "the dog again", "nothing")
PAIRS = Examples((QUERIES, POSITIVES, NEGATIVES))
SETTINGS = Settings(epochs=2, batch_size=4, learning_rate=1e-3, dropout=0.0, backend="numpy", threads=1)


def plain_ndcg(model, pairs):
    """Rank all documents for every query by cosines in float64; a hit at place i is worth 1 / log2(i + 1)."""
    documents = list(dict.fromkeys(text for column in pairs.columns[1:] for text in column))
    vectors = dict(zip(documents, model.encode(documents).astype(np.float64), strict=True))
    found = []
    for query in dict.fromkeys(pairs.columns[0]):
        relevant = {p for q, p in zip(*pairs.columns[:2], strict=True) if q == query}
        v = model.encode([query])[0].astype(np.float64)
        cosine = {d: v @ w / (np.linalg.norm(v) * np.linalg.norm(w)) for d, w in vectors.items()}
        ranked = sorted(documents, key=lambda d: -cosine[d])[:10]
        dcg = sum(1 / math.log2(place + 2) for place, d in enumerate(ranked) if d in relevant)
        found.append(dcg / sum(1 / math.log2(place + 2) for place in range(len(relevant))))
    return sum(found) / len(found)


def test_retrieval(tiny_checkpoint):
    model = Trainee.load(tiny_checkpoint).embedder("numpy")
    score = retrieval_score(model, PAIRS)
    assert 0 < score < 1
    assert score == pytest.approx(plain_ndcg(model, PAIRS), rel=1e-12)
    assert retrieval_score(model, Examples((QUERIES[:13], QUERIES[:13]))) == 1.0  # a text is nearest to itself


def test_a_model_that_has_collapsed_has_no_correlation(tiny_checkpoint):
    model = Trainee.load(tiny_checkpoint).embedder("numpy")
    assert sts_score(model, Examples((("a", "b"), ("a", "b")), np.array([0.0, 1.0]))) == 0.0


def test_the_best_weights_are_those_that_find_best(tiny_checkpoint, tmp_path):
    trainee = Trainee.load(tiny_checkpoint)
    before = evaluate(trainee, PAIRS, SETTINGS)
    pairs = Examples(PAIRS.columns[:2])
    state = train_contrastive(trainee, pairs, SETTINGS, tmp_path / "run", evaluation=PAIRS)
    scores = [line["score"] for line in state.history if "score" in line]
    assert len(scores) == 2 and max(scores) == state.best == evaluate(trainee, PAIRS, SETTINGS) > before


def test_a_function_of_ones_own(tiny_checkpoint, tmp_path):
    trainee, given = Trainee.load(tiny_checkpoint), iter([0.5, np.float32(0.25)])
    seen = []

    def mine(model):
        seen.append(model.encode(["a text"]).shape)
        return next(given)

    state = train_contrastive(trainee, Examples(PAIRS.columns[:2]), SETTINGS, tmp_path / "run", evaluation=mine)
    assert [line["score"] for line in state.history if "score" in line] == [0.5, 0.25] and state.best == 0.5
    assert len(set(seen)) == 1 and measure_of(mine) == "score"


@pytest.mark.parametrize(
    ("columns", "labels", "message"),
    [
        ((("a", "b"),), None, "the evaluation needs pairs of texts"),
        ((("a", "b"), ("c", "c")), None, "the evaluation has 1 text to choose from"),
        ((("a", "b"), ("c", "d")), (3.0, 3.0), "all 2 scores of the evaluation are 3: they must differ"),
    ],
)
def test_what_cannot_be_judged_by(columns, labels, message, tiny_checkpoint, tmp_path):
    evaluation = Examples(columns, None if labels is None else np.array(labels))
    with pytest.raises(InputError, match=message):
        train_contrastive(
            Trainee.load(tiny_checkpoint), Examples(PAIRS.columns[:2]), SETTINGS, tmp_path, evaluation=evaluation
        )


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("anchor,positive,score\na,b,1\nc,d,0\n", [1.0, 0.0]),
        ("anchor,positive\na,b\nc,d\n", None),
        ("a,b,1\nc,d,0\n", [1.0, 0.0]),
        ("a,b\nc,d\n", None),
    ],
)
def test_labels_where_there_are_some(text, labels, tmp_path):
    (tmp_path / "x.csv").write_text(text)
    reading = Reading(header="no") if text == "a,b\nc,d\n" else None  # two columns of words may have a heading
    found = read_examples(tmp_path / "x.csv", labelled=None, reading=reading)
    assert found.columns == (("a", "c"), ("b", "d"))
    assert found.labels is None if labels is None else found.labels.tolist() == labels
