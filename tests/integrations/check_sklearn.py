"""scikit-learn: its own checks of estimators, pipelines and grids: run by `make test-integrations`."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks
from sklearn.utils.validation import validate_data

from minembed import Embedder
from minembed.errors import InputError
from minembed.integrations.sklearn import MinembedVectorizer

LABELLED = {
    "baking": ["bread in the oven", "knead the dough", "a loaf of rye", "sift the flour", "bake the rolls", "a cake"],
    "code": [
        "the loop is compiled",
        "test the code",
        "a bug in the parser",
        "import the module",
        "a stack trace",
        "git",
    ],
}


class OnNumbers(MinembedVectorizer):
    """The vectorizer on rows of numbers, written as texts: what scikit-learn's checks of estimators can feed."""

    __init__ = MinembedVectorizer.__init__

    def fit(self, X, y=None):
        validate_data(self, X)
        return super().fit([])

    def transform(self, X):
        rows = validate_data(self, X, reset=False)
        return super().transform([" ".join(f"{number:.3g}" for number in row) for row in rows.tolist()])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        return tags


# check -> why it fails.  None does.
EXPECTED_FAILURES = {}


@parametrize_with_checks(
    [OnNumbers(Embedder.load("all-MiniLM-L6-v2"), truncation="silent")],
    expected_failed_checks=lambda estimator: EXPECTED_FAILURES,
)
def test_checks_of_estimators(estimator, check):
    check(estimator)


@pytest.mark.filterwarnings("ignore:Can't test estimator")
def test_checks_of_estimators_of_texts(model):
    """Those that scikit-learn has for what takes texts, such as CountVectorizer."""
    assert {result["status"] for result in check_estimator(MinembedVectorizer(model))} == {"passed"}


@pytest.fixture
def texts():
    return [text for texts in LABELLED.values() for text in texts]


@pytest.fixture
def labels():
    return [label for label, texts in LABELLED.items() for _ in texts]


def test_vectors_are_those_of_encode(model, texts):
    own = MinembedVectorizer(truncate_dim=64, prompt="on ").fit_transform(texts)
    assert np.array_equal(own, model.encode(texts, truncate_dim=64, prompt="on ")) and own.dtype == np.float32
    assert np.array_equal(MinembedVectorizer(model).fit_transform(pd.Series(texts)), model.encode(texts))


def test_a_pipeline_and_a_grid(model, texts, labels):
    pipeline = Pipeline([("vectors", MinembedVectorizer(model)), ("classifier", LogisticRegression())])
    plain = LogisticRegression().fit(model.encode(texts), labels)
    assert np.array_equal(pipeline.fit(texts, labels).predict_proba(texts), plain.predict_proba(model.encode(texts)))
    grid = GridSearchCV(pipeline, {"vectors__truncate_dim": [4, None], "classifier__C": [1, 10]}, cv=3, n_jobs=2)
    grid.fit(texts, labels)
    assert grid.best_score_ > 0.7 and set(grid.cv_results_["param_vectors__truncate_dim"]) == {4, None}
    assert grid.predict(["rye bread", "compile the code"]).tolist() == ["baking", "code"]


def test_clones_share_a_loaded_model(model):
    vectorizer = MinembedVectorizer(model, truncate_dim=64)
    again = clone(vectorizer)
    assert again.model is model and again.get_params() == vectorizer.get_params()
    assert again.set_params(truncate_dim=32).fit([]).transform(["a"]).shape == (1, 32)


def test_names_and_frames(model, texts):
    vectorizer = MinembedVectorizer(model, truncate_dim=3).set_output(transform="pandas").fit(texts)
    names = [f"minembedvectorizer{i}" for i in range(3)]
    assert vectorizer.get_feature_names_out().tolist() == names
    frame = vectorizer.transform(pd.Series(texts, index=range(5, 5 + len(texts))))
    assert list(frame.columns) == names and list(frame.index) == list(range(5, 5 + len(texts)))
    assert np.array_equal(frame.to_numpy(), model.encode(texts, truncate_dim=3))
    table = pd.DataFrame({"text": texts, "n": range(len(texts))})
    columns = ColumnTransformer([("vectors", MinembedVectorizer(model), "text"), ("n", StandardScaler(), ["n"])])
    assert np.array_equal(columns.fit_transform(table)[:, :-1], model.encode(texts))


def test_what_is_pickled(model, texts, labels):
    by_name = make_pipeline(MinembedVectorizer(), LogisticRegression()).fit(texts, labels)
    written = pickle.dumps(by_name)
    assert len(written) < 50_000
    assert np.array_equal(pickle.loads(written).predict_proba(texts), by_name.predict_proba(texts))
    loaded = pickle.loads(pickle.dumps(MinembedVectorizer(model).fit(texts)))
    assert np.array_equal(loaded.transform(texts), model.encode(texts))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: MinembedVectorizer(truncate=3), "did you mean 'truncat"),
        (lambda m: MinembedVectorizer(m, truncate_dim=0).fit([]), "truncate_dim must be"),
        (lambda m: MinembedVectorizer(m, dtype="int8").fit([]), "say dtype= to Embedder.load"),
        (lambda m: MinembedVectorizer(3).fit([]), "model is int"),
        (lambda m: MinembedVectorizer(m).fit_transform(["a", None]), r"X\[1\] is missing"),
        (lambda m: MinembedVectorizer(m).fit_transform("a"), "X is str"),
        (
            lambda m: MinembedVectorizer(m).fit_transform(pd.DataFrame({"a": ["b"]})),
            r"give one of its columns, X\['a'\]",
        ),
        (lambda m: MinembedVectorizer(m).fit_transform(np.array([["a"]])), r"X\[:, 0\]"),
    ],
)
def test_errors_are_ours(model, call, message):
    with pytest.raises(InputError, match=message):
        call(model)


def test_it_is_fitted_first(model):
    with pytest.raises(NotFittedError):
        MinembedVectorizer(model).transform(["a"])
