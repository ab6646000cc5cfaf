"""Texts come in columns of any kind, and every function that takes texts takes the same ones.

Without pandas, polars and pyarrow there are likenesses in their place; `make test-columns` tests with the originals.
"""

import subprocess
import sys
import warnings
from itertools import count, islice

import column_kinds as kinds
import golden_heads
import numpy as np
import pytest
import static_cases

from minembed import Embedder, Index, Reranker, paraphrase_mining
from minembed.data.examples import Examples
from minembed.errors import InputError, InputTypeError
from minembed.evaluation.retrieval import evaluate_retrieval
from minembed.maps import Groups, Map
from minembed.models.fill_mask import MaskFiller

TEXTS = ["the cat", "a dog in the house", "", "über the river", "the cat", "bread"]
PAIRS = [("the cat", text) for text in TEXTS]
VECTORS = np.random.default_rng(3).standard_normal((6, 32)).astype(np.float32)


@pytest.fixture(scope="module")
def models(tiny_checkpoint, tmp_path_factory):
    folder = tmp_path_factory.mktemp("heads")
    masked = golden_heads.write_checkpoint("bert", "masked", folder / "masked")
    pairs = golden_heads.write_checkpoint("bert", "classifier", folder / "pairs")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a plain folder does not say how it pools
        masked = Embedder.load(masked, backend="numpy")
    return {
        "model": Embedder.load(tiny_checkpoint, backend="numpy"),
        "static": Embedder.load(static_cases.write_static(folder / "static", "of model2vec")),
        "filler": MaskFiller.load(masked.engine),
        "reranker": Reranker.load(pairs, backend="numpy"),
    }


def added(models, texts):
    index = Index.build(models["model"], ["before"])
    index.add(texts)
    return index.texts[1:]


def found(models, texts):
    return Index.build(VECTORS, model=models["model"]).search(texts, k=3, as_arrays=True, backend="numpy")[0]


DOORS = {  # what takes a column of texts, and what it makes of it
    "encode": lambda m, texts: m["model"].encode(texts),
    "encode_query": lambda m, texts: m["model"].encode_query(texts),
    "encode_document": lambda m, texts: m["model"].encode_document(texts),
    "encode, static": lambda m, texts: m["static"].encode(texts),
    "stream": lambda m, texts: np.concatenate(list(m["model"].stream(texts))),
    "tokenize": lambda m, texts: m["model"].tokenize(texts).ids,
    "token_embeddings": lambda m, texts: np.concatenate(m["model"].token_embeddings(texts)),
    "fill_mask": lambda m, texts: m["filler"](texts, 1),
    "Index.build": lambda m, texts: Index.build(m["model"], texts).texts,
    "Index.build, vectors": lambda m, texts: Index.build(VECTORS, texts).texts,
    "Index.add": added,
    "Index.search": found,
    "rank": lambda m, texts: m["reranker"].rank("the cat", texts, return_documents=True),
    "paraphrase_mining": lambda m, texts: paraphrase_mining(m["model"], texts, backend="numpy"),
    "maps": lambda m, texts: Map.of(VECTORS, texts, method="pca", clusters="none").texts,
}
TAKE_VECTORS = ("Index.add", "Index.search")


def texts_for(door):
    return [text + " [MASK]" for text in TEXTS] if door == "fill_mask" else TEXTS


def same(a, b):
    return np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b


@pytest.mark.parametrize("door", DOORS)
def test_every_door_takes_every_column(door, models):
    texts = texts_for(door)
    expected = DOORS[door](models, texts)
    for name, make in kinds.COLUMNS.items():
        got = DOORS[door](models, make(texts))
        assert same(got, expected), name
        if isinstance(got, list | tuple) and isinstance(got[0], str):
            assert {type(text) for text in got} == {str}, name


@pytest.mark.parametrize("door", DOORS)
def test_missing_texts_are_named_by_their_place(door, models):
    texts = [*texts_for(door)[:3], None, *texts_for(door)[4:]]
    for name, make in kinds.HOLD_MISSING.items():
        with pytest.raises(InputTypeError, match=r"^\w+\[3\] is missing \((None|NaN|NA)\); leave such rows out"):
            DOORS[door](models, make(texts))
            pytest.fail(name)


@pytest.mark.parametrize("absent", [float("nan"), np.float32("nan"), kinds.NA, np.ma.masked, np.datetime64("NaT")])
def test_other_missing_values(absent, models):
    for door in DOORS:
        with pytest.raises(InputTypeError, match=r"\[1\] is missing \((NaN|NA|masked|NaT)\)"):
            DOORS[door](models, ["the cat", absent])


NO_COLUMNS = {
    "dict": (dict.fromkeys(TEXTS, 1), r"is dict: give \w+\.values\(\) or \w+\.keys\(\)"),
    "set": (set(TEXTS), r"is set, which has no order: give sorted\(\w+\)"),
    "frozenset": (frozenset(TEXTS), "is frozenset, which has no order"),
    "bytes": (b"the cat", "is bytes, not str: decode it first"),
    "bytes array": (
        np.array([b"the cat"]),
        r"is ndarray of bytes, not str: decode it first, as in numpy\.char\.decode",
    ),
    "records": (np.array([("a", 1)], "U1,i8"), r"is ndarray of records: give one of its fields, as in \w+\['f0'\]"),
    "generic": (object(), "is object; give a list or other iterable of str"),
    "bytes items": ([b"the cat"], r"\[0\] is bytes, not str: decode it first"),
    "dict items": ([{"text": "a"}], r"\[0\] is dict, not str: give one of its values for each row, .*row\['text'\]"),
    "pairs": ([("a", "b")], r"\[0\] is tuple, not str: give one text a row"),
    "items": ({"a": "b"}.items(), r"\[0\] is tuple, not str: give one text a row"),
    "nested": ([["a", "b"]], r"\[0\] is list, not str: give one text a row, as in \[row\[0\] for row in \w+\]"),
    "two dimensions": (np.array([["a", "b"]]), r"is ndarray of 2 dimensions: a column has one, as in \w+\[:, 0\]"),
    "numbers": ([1, 2], r"\[0\] is int, not str$"),
}
NUMBERS = ("generic", "bytes items", "dict items", "pairs", "items", "nested", "two dimensions", "numbers")


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_what_is_no_column(door, models):
    for name, (texts, words) in NO_COLUMNS.items():
        as_vectors = door in TAKE_VECTORS and name in NUMBERS  # where vectors are meant, it is these that are missed
        with pytest.raises(
            InputError, match="numbers|queries of 2|iterable of str or of vectors" if as_vectors else words
        ):
            DOORS[door](models, texts)
            pytest.fail(name)


@pytest.mark.parametrize("door", DOORS)
def test_every_door_refuses_tables_by_their_columns(door, models):
    for name, table in kinds.tables().items():
        with pytest.raises(InputTypeError, match=r"give one of its columns, \w+\['id'\], \w+\['text'\]$"):
            DOORS[door](models, table)
            pytest.fail(name)
        assert len(DOORS[door](models, list(texts_for(door))[:6])) > 0


def test_streams_stay_lazy(models):
    read = count()
    texts = ("the cat" for _ in read)
    assert next(models["model"].stream(texts)).shape == (4096, 32)
    assert next(read) <= 4097


def test_generators_are_read_once_and_window_by_window(models):
    seen = []
    texts = (seen.append(i) or f"text {i % 7}" for i in range(5000))
    blocks = models["model"].stream(texts)
    next(blocks)
    assert len(seen) <= 4097
    assert len(next(blocks)) == 904 and seen == list(range(5000))


def test_the_libraries_are_not_imported():
    script = """
import sys
from minembed import Embedder, Index
from minembed.runtime.columns import as_labels, as_texts
from minembed.maps import Map
as_texts(["a"]), as_labels(["a"]), Index.build([[1.0]], ["a"]), Map.of([[1.0]], ["a"], method="pca")
print(*{"pandas", "polars", "pyarrow"} & {*sys.modules})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


# --- pairs ----------------------------------------------------------------------------------------------------------


def test_pairs(models):
    predict = models["reranker"].predict
    expected = predict(PAIRS)
    for pairs in (np.array(PAIRS), np.array(PAIRS, object), iter(PAIRS), zip(*zip(*PAIRS, strict=True), strict=True)):
        assert same(predict(pairs), expected)
    for name, make in kinds.FOREIGN.items():
        if "pyarrow" not in name.split()[0]:  # whose arrays yield scalars
            assert same(predict(zip(make(["the cat"] * 6), make(TEXTS), strict=True)), expected), name
    assert same(predict({"the cat": "bread"}.items()), expected[5:])
    assert same(predict(np.array(PAIRS[1])), expected[1])


def test_numpys_whole_numbers(models):
    for kind in (np.int64, np.uint8):
        assert models["filler"]("a [MASK]", kind(3)) == models["filler"]("a [MASK]", 3)
        for options in ({"top_k": kind(3)}, {"batch_size": kind(3)}):
            expected = models["reranker"].rank("the cat", TEXTS, **{name: 3 for name in options})
            assert models["reranker"].rank("the cat", TEXTS, **options) == expected


def test_what_is_no_column_of_pairs(models):
    predict = models["reranker"].predict
    for table in kinds.tables().values():
        with pytest.raises(InputTypeError, match="give two of its columns, as in zip"):
            predict(table)
    for pairs, words in (
        ({"the cat": "a dog"}, r"pairs is dict: give pairs\.items\(\)"),
        ({("a", "b")}, "pairs is set, which has no order"),
        ([("a", "b"), ("a", float("nan"))], r"pairs\[1\] has a text that is missing \(NaN\)"),
        (np.array([["a", None]], object), r"pairs\[0\] has a text that is missing \(None\)"),
    ):
        with pytest.raises(InputTypeError, match=words):
            predict(pairs)


# --- vectors, ids and labels ----------------------------------------------------------------------------------------


def test_columns_of_vectors_are_vectors(models):
    rows = VECTORS.tolist()
    for made in (VECTORS, rows, tuple(VECTORS), iter(VECTORS), kinds.series_of_numbers(rows)):
        index = Index.build(VECTORS[:1], ids=["first"])
        index.add(made)
        assert len(index) == 7 and index.texts == [None] * 7
    index = Index.build(VECTORS)
    assert [hits[0].index for hits in index.search(kinds.series_of_numbers(rows), backend="numpy")] == [*range(6)]
    assert index.search(kinds.series_of_numbers(rows[2]), k=1, backend="numpy")[0].index == 2  # one vector, its numbers


def test_no_texts_of_any_kind(models):
    index = Index.build(VECTORS, model=models["model"])
    for name, make in kinds.COLUMNS.items():
        assert models["model"].encode(make([])).shape == (0, 32), name
        assert index.search(make([])) == [], name
        index.add(make([]))
        assert len(index) == 6, name
        assert models["reranker"].rank("a", make([])) == [], name


def test_ids_in_columns(tmp_path):
    names = ["d", "b", "a", "f", "e", "c"]
    for name, make in kinds.COLUMNS.items():
        index = Index.build(VECTORS, ids=make(names))
        assert index.ids == names and {type(one) for one in index.ids} == {str}, name
        index.remove(make(["a", "c"]))
        assert index.ids == ["d", "b", "f", "e"], name
        got = evaluate_retrieval(VECTORS, VECTORS, make(names), make(names), {name: {name} for name in names})
        assert got["cosine_accuracy@1"] == 1.0, name


def test_labels_in_columns():
    labels = ["x", "y", "x", "x", "z", "x"]
    for name, make in kinds.COLUMNS.items():
        groups = Map.of(VECTORS, TEXTS, labels=make(labels), method="pca").groups
        assert groups.names == ("x", "y", "z") and groups.labels.tolist() == [0, 1, 0, 0, 2, 0], name
    for name, make in kinds.HOLD_MISSING.items():
        groups = Groups.of_values(make(["x", None, "x", "y", None, None]))
        assert groups.names == ("(empty)", "x", "y"), name


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([7, 8, 7, 8, 7, 7], ("7", "8")),
        (np.array([7, 8, 7, 8, 7, 7]), ("7", "8")),
        ([0.5, 2.0, 0.5, 0.5, 2.0, None], ("0.5", "2.0", "(empty)")),
        (np.array([0.1, 0.1, 0.1, np.nan, np.nan, 2], np.float32), ("0.1", "(empty)", "2.0")),
        ([True, False, True, False, True, True], ("true", "false")),
        (np.array([True, False, True, False, True, True]), ("true", "false")),
        (kinds.series_of_numbers([7, 8, 7, 8, 7, 7]), ("7", "8")),
        (["a", 1, None, "a", 1, "a"], ("a", "1", "(empty)")),
        ([["a"], ["a"], ["b"], ["a"], ["a"], ["a"]], ('["a"]', '["b"]')),
    ],
    ids=str,
)
def test_labels_that_are_no_str(labels, names):
    assert Map.of(VECTORS, TEXTS, labels=labels, method="pca").groups.names == names


def test_what_is_no_column_of_labels():
    for labels, words in (
        ("xyzxyz", "labels is str; give a list or other iterable of labels"),
        ({1: 2}, r"labels is dict: give labels\.values\(\)"),
        (np.ones((6, 2)), r"labels is ndarray of 2 dimensions: a column has one, as in labels\[:, 0\]"),
        (7, "labels is int; give a list or other iterable of labels"),
        (iter(["x"]), "every vector needs one of labels: there are 6 vectors and 1 labels"),
    ):
        with pytest.raises(InputError, match=words):
            Map.of(VECTORS, TEXTS, labels=labels, method="pca")


def test_examples_are_columns():
    expected = Examples((tuple(TEXTS), tuple(TEXTS)), np.arange(6))
    for name, make in kinds.COLUMNS.items():
        assert Examples((make(TEXTS), make(TEXTS))).columns == expected.columns, name
    for labels in (range(6), kinds.series_of_numbers([*range(6)])):
        assert Examples((TEXTS, TEXTS), labels).labels.tolist() == [*range(6)]
    for arguments, words in (
        ((("ab", "cd"),), r"columns\[0\] is str; give a list or other iterable of str"),
        (({"a": ["b"]},), r"columns is dict: give columns\.values\(\)"),
        (((["a"], ["b", "c"]),), r"there are \[1, 2\]"),
        (((["a"], ["b"]), [1, 0]), r"there are \[1, 1, 2\], labels last"),
        (((["a"], [None]),), r"columns\[1\]\[0\] is missing \(None\)"),
        (((["a"], ["b"]), ["1"]), "labels must be a column of numbers; got list of <U1"),
        (((["a", "c"], ["b", "d"]), [1, np.nan]), r"labels\[1\] is nan, not a finite number"),
    ):
        with pytest.raises(InputError, match=words):
            Examples(*arguments)
    for table in kinds.tables().values():
        with pytest.raises(InputTypeError, match="give one of its columns"):
            Examples(table)


def test_training_reads_rows_by_their_places(tiny_checkpoint, tmp_path):
    from minembed.train import Settings, Trainee, new_model, train_masked_lm
    from minembed.train.masked_lm import masked_loss

    settings, histories = Settings(batch_size=2, epochs=1, backend="numpy", learning_rate=1e-3), []
    for number, make in enumerate([list, *islice(kinds.FOREIGN.values(), 3)]):
        trainee = Trainee.load(tiny_checkpoint, head=True, make_head=True)
        state = train_masked_lm(trainee, make(TEXTS), settings, tmp_path / str(number), evaluation=make(TEXTS[:2]))
        histories.append(state.history)
    assert all(history == histories[0] for history in histories)
    for number, make in enumerate(islice(kinds.FOREIGN.values(), 3)):
        folder = tmp_path / f"new {number}"
        new_model(folder, make(TEXTS * 9), size="tiny", max_seq_length=np.int64(16))
        assert Embedder.load(folder, backend="numpy").max_seq_length == 16
        assert masked_loss(trainee, make(TEXTS), settings) == masked_loss(trainee, TEXTS, settings)
    with pytest.raises(InputTypeError, match=r"texts\[1\] is missing"):
        train_masked_lm(trainee, ["the cat", None], settings, tmp_path / "none")
