"""Index: built, searched, changed; wrong arguments leave it as it was."""

import copy
import datetime
import pickle
import threading
from decimal import Decimal

import numpy as np
import pytest
from exact_topk import METRICS, assert_best
from examples import heavy
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tiny import MODULES, write_tiny_checkpoint

from minembed import Embedder, Index, MinembedError, top_k
from minembed.errors import InputError, InputTypeError
from minembed.search import index_blocks
from minembed.search.index import Hit

PRECISIONS = index_blocks.PRECISIONS
EXACT = ("float32", "int8")


def random(rows, width, seed):
    return np.random.default_rng(seed).standard_normal((rows, width)).astype(np.float32)


def state_of(index):
    """All that an index says of itself."""
    return len(index), index.ids, index.texts, index._rows.serial, index._rows.next_id


# --- build and search -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", EXACT)
@pytest.mark.parametrize("metric", METRICS)
def test_exact_precisions_are_top_k(precision, metric):
    rows, queries = random(3000, 20, 1), random(7, 20, 2)
    index = Index.build(rows, metric=metric, precision=precision)
    scores, places = index.search(queries, k=12, as_arrays=True)
    assert_best(queries, rows, 12, metric, scores, places)
    assert [[hit.index for hit in hits] for hits in index.search(queries, k=12)] == places.tolist()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("precision", EXACT)
def test_every_tier_scans_what_is_stored(precision, metric, tier, tmp_path):
    rows, queries = random(3000, 21, 1), random(7, 21, 2)
    index = Index.build(rows[:2000], metric=metric, precision=precision)
    index.save(tmp_path)
    index = Index.load(tmp_path)
    for start in range(2000, 3000, 100):
        index.add(rows[start : start + 100])
    index.remove(range(0, 3000, 7))
    found = index.search(queries, k=9, as_arrays=True, backend=tier, threads=2)
    assert_best(queries, np.delete(rows, np.arange(0, 3000, 7), axis=0), 9, metric, *found)


@pytest.mark.parametrize("width", [5, 64, 70])
def test_binary_scores_its_candidates_exactly(width):
    rows, queries = random(500, width, 3), random(4, width, 4)
    index = Index.build(rows, metric="dot", precision="binary")
    scores, places = index.search(queries, k=5, rescore_multiplier=3, as_arrays=True)
    for i, query in enumerate(queries):
        differ = ((rows > 0) != (query > 0)).sum(axis=1)
        candidates = np.array(sorted(np.argsort(differ, kind="stable")[:15]))
        expected, which = top_k(query, rows[candidates], 5)
        assert places[i].tolist() == candidates[which[0]].tolist() and scores[i].tolist() == expected[0].tolist()
    everything = index.search(queries, k=5, rescore_multiplier=100, as_arrays=True)
    assert_best(queries, rows, 5, "dot", *everything)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_hits(precision):
    index = Index.build([[3, 4], [0, 2], [0, 0]], ["a", "b", "c"], ids=["x", "y", -7], precision=precision)
    assert index.search([0.0, 1.0], k=2) == [Hit("y", "b", 1.0, 1), Hit("x", "a", 0.8, 0)]
    assert [len(hits) for hits in index.search(np.ones((3, 2)))] == [3, 3, 3]
    assert index.search([]) == [] and index.search([1, 1], k=0) == [] and index.search(np.ones((2, 2)), k=0) == [[], []]
    assert repr(index) == f"Index(3 rows, 2 wide, cosine, {precision})"


@pytest.mark.parametrize("precision", PRECISIONS)
def test_an_empty_index(precision):
    index = Index.build(np.zeros((0, 3)), precision=precision)
    assert index.search([1, 2, 3]) == [] and index.search(np.ones((2, 3)), as_arrays=True)[1].shape == (2, 0)
    assert len(index) == 0 and index.ids == index.texts == [] and 0 not in index
    index.add([[1, 2, 3]])
    index.remove(0)
    assert index.search([1, 2, 3]) == []
    index.add([[1, 2, 3]])
    assert index.ids == [1]  # an id is not given twice


def test_ids_of_its_own_go_on_from_the_largest():
    index = Index.build(np.ones((2, 2)), ids=[5, "5"])
    index.add(np.ones((2, 2)))
    index.remove([7, 6])
    index.add(np.ones((1, 2)), ids=None)
    assert index.ids == [5, "5", 8] and "5" in index and 6 not in index and [] not in index and True not in index


def test_numpys_ids_are_the_same_as_pythons(tmp_path):
    numbers, names = np.array([7, 3, 5]), np.array(["a", "b", "c"])
    for ids, python in ((numbers, [7, 3, 5]), (numbers.astype(np.uint8), [7, 3, 5]), (names, ["a", "b", "c"])):
        index = Index.build(random(3, 4, 1), ids=ids)
        assert index.ids == python and [type(one) for one in index.ids] == [type(one) for one in python]
        index.save(tmp_path / "index")
        for same in (index, Index.load(tmp_path / "index")):
            assert all(one in same for one in [*ids, *python]) and ids[0] == same.ids[0] and hash(ids[0])
            same.remove(ids[0])
            assert ids[0] not in same and python[0] not in same and len(same) == 2
            same.remove({*ids[1:]})
            assert len(same) == 0
    for other in (np.True_, np.float64(1), True, 1.0, None, [1]):
        assert other not in Index.build(random(2, 4, 1), ids=np.array([0, 1]))


def test_small_integers_of_numpy_do_not_overflow():
    index = Index.build(random(1200, 8, 1), precision="binary")
    wide = index.search(random(1, 8, 2), k=200, rescore_multiplier=4, as_arrays=True)
    small = index.search(random(1, 8, 2), k=np.uint8(200), rescore_multiplier=np.uint8(4), as_arrays=True)
    assert all(np.array_equal(a, b) for a, b in zip(wide, small, strict=True))


def test_the_largest_id(tmp_path):
    index = Index.build(np.ones((1, 2)), ids=[(1 << 63) - 1])
    index.save(tmp_path)
    for one in (index, Index.load(tmp_path)):
        with pytest.raises(InputError, match="give ids"):
            one.add(np.ones((1, 2)))
        one.add(np.ones((1, 2)), ids=[-(1 << 63)])
        assert one.ids == [(1 << 63) - 1, -(1 << 63)]


def test_ties_go_to_the_earlier_row_across_blocks(monkeypatch):
    monkeypatch.setattr(index_blocks, "SMALL", 0)
    index = Index.build(np.ones((40, 2)))
    for _ in range(3):
        index.add(np.ones((5, 2)))
    assert len(index._rows.blocks) == 2
    assert [hit.index for hit in index.search([1, 1], k=60)] == list(range(55))
    index.remove(range(0, 50, 3))
    assert [hit.id for hit in index.search([1, 1], k=60)] == [i for i in range(55) if i % 3 or i >= 50]


@pytest.mark.parametrize("precision", EXACT)
def test_the_best_rows_are_removed(precision):
    rows = random(400, 6, 5)
    index = Index.build(rows, precision=precision)
    order = [hit.id for hit in index.search(rows[0], k=400)]
    index.remove(order[:150])
    assert [hit.id for hit in index.search(rows[0], k=3)] == order[150:153]
    index.remove(order[150:250])
    assert [hit.id for hit in index.search(rows[0], k=1000)] == order[250:]
    assert (
        sum(len(block.vectors) for block in index._rows.blocks) <= 300
    )  # half of them gone: the block is written anew


def test_rows_are_copied_a_few_times_only(monkeypatch):
    copied = []
    merge = index_blocks.merge
    monkeypatch.setattr(index_blocks, "SMALL", 0)
    monkeypatch.setattr(
        index_blocks, "merge", lambda blocks: copied.append(sum(b.count for b in blocks)) or merge(blocks)
    )
    index = Index.build(np.ones((512, 2)))
    for _ in range(512):
        index.add(np.ones((1, 2)))
    assert sum(copied) < 12 * 1024 and len(index._rows.blocks) <= 10


def test_the_callers_array_may_change():
    rows = random(4, 3, 6)
    index = Index.build(rows)
    before = index.search(np.ones(3))
    rows[:] = 0
    assert index.search(np.ones(3)) == before


@pytest.mark.parametrize("again", [copy.deepcopy, lambda index: pickle.loads(pickle.dumps(index))])
def test_copies(again, tmp_path):
    index = Index.build(random(30, 3, 7), [str(i) for i in range(30)], precision="int8", metadata={"a": [1]})
    index.save(tmp_path)
    for one in (index, Index.load(tmp_path)):
        other = again(one)
        one.remove(3)
        assert state_of(other) == state_of(again(Index.load(tmp_path))) and 3 in other
        assert other.search(np.ones(3)) == Index.load(tmp_path).search(np.ones(3)) and other.metadata == {"a": [1]}


def test_metadata_is_kept_apart():
    given = {"a": {"b": 1}, "c": (1, 2)}
    index = Index.build(np.ones((1, 2)), metadata=given)
    given["a"]["b"] = index.metadata["c"][0] = 7
    assert index.metadata == {"a": {"b": 1}, "c": [1, 2]}


FIELDS = [{"price": 2.5, "tags": ["a", "ä"], "made": None}, None, {}]


def test_hits_carry_the_fields_of_their_rows(tmp_path):
    index = Index.build(np.eye(3), ["a", "b", "c"], ids=["x", "y", 7], fields=iter(FIELDS))
    index.add([[1, 1, 1]], fields=[{"lone \ud800": "\ud800\\"}])
    index.save(tmp_path)
    for one in (index, Index.load(tmp_path), Index.load(tmp_path, verify=False)):
        assert one.fields == [*FIELDS, {"lone \ud800": "\ud800\\"}]
        assert one.search([1, 0, 0], k=1) == [Hit("x", "a", 1.0, 0, FIELDS[0])]
        assert [hit.fields for hits in one.search(np.eye(3), k=1) for hit in hits] == FIELDS
        one.add([[0, 0, 1]], ["d"], fields=[{"price": 3}])
        one.remove("x")
        assert [hit.fields for hit in one.search([0, 0, 1], k=2)] == [{}, {"price": 3}]


def test_fields_of_a_hit_are_its_own():
    given = {"tags": ["a"]}
    index = Index.build([[0.0, 1.0]], fields=[given])
    given["tags"].append("b")
    first, again = index.search([0, 1])[0], index.search([0, 1])[0]
    first.fields["tags"].append("c")
    assert again.fields == {"tags": ["a"]} == index.search([0, 1])[0].fields and hash(first) == hash(again)
    assert repr(again) == "Hit(id=0, text=None, score=1.0, index=0, fields={'tags': ['a']})"
    assert repr(Hit("a", None, 0.5, 3)) == "Hit(id='a', text=None, score=0.5, index=3)"


def test_values_of_fields_that_json_has_other_words_for():
    values = {
        "count": np.int64(3),
        "score": np.float32(0.1),
        "is_new": np.bool_(True),
        "list": np.arange(3),
        "day": datetime.date(2024, 2, 29),
        "time": datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone.utc),
        "moment": np.datetime64("2024-02-29T12:30"),
        "cost": Decimal("2.50"),
        "pair": (1, {"deep": Decimal(1)}),
    }
    assert Index.build(np.ones((1, 2)), fields=[values]).fields == [
        {
            "count": 3,
            "score": 0.10000000149011612,
            "is_new": True,
            "list": [0, 1, 2],
            "day": "2024-02-29",
            "time": "2024-02-29T12:30:00+00:00",
            "moment": "2024-02-29T12:30",
            "cost": "2.50",
            "pair": [1, {"deep": "1"}],
        }
    ]


def test_fields_are_checked_before_texts_are_embedded(tiny_model, monkeypatch):
    index = Index.build(tiny_model, [])
    monkeypatch.setattr(type(tiny_model), "encode_document", lambda *args, **options: pytest.fail("it was embedded"))
    for fields, words in [([{"a": set()}, None], r"fields\[0\]\['a'\]"), ([None], "2 rows need as many fields")]:
        with pytest.raises(InputError, match=words):
            index.add(["one", "two"], fields=fields)


def test_searching_while_it_changes():
    index, failures = Index.build(np.ones((100, 4)), [str(i) for i in range(100)]), []

    def search():
        for _ in range(200):
            hits = index.search(np.ones(4), k=1000)
            if any(hit.text != str(hit.id) for hit in hits) or len(hits) % 10:
                failures.append(hits)

    threads = [threading.Thread(target=search) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(100, 1000, 10):
        index.add(np.ones((10, 4)), [str(j) for j in range(i, i + 10)])
        index.remove(range(i - 100, i - 90))
    for thread in threads:
        thread.join()
    assert not failures and len(index) == 100


# --- with a model ---------------------------------------------------------------------------------------------------


TEXTS = ["the cat", "a dog in the house", "rain on the river", "book train code"]


def test_texts(tiny_model):
    index = Index.build(tiny_model, TEXTS)
    assert index.metric == "cosine" and index.dimension == 32 and index.texts == TEXTS
    hit = index.search("the cat", k=1)[0]
    assert (hit.id, hit.text, hit.index) == (0, "the cat", 0) and hit.score == pytest.approx(1)
    assert [hits[0].text for hits in index.search(TEXTS, k=1)] == TEXTS
    index.add("a cat", ids=["one"])
    index.add(iter(["the dog", "a house"]))
    index.add([])
    assert index.ids == [0, 1, 2, 3, "one", 4, 5]
    np.testing.assert_array_equal(index._rows.blocks[0].vectors[4], tiny_model.encode("a cat"))


def test_prompts_of_the_model_are_used(tmp_path):
    own = {"prompts": {"query": "query: ", "passage": "the text: "}, "similarity_fn_name": "euclidean"}
    model = Embedder.load(write_tiny_checkpoint(tmp_path / "model", sentence_transformers=own))
    index = Index.build(model, TEXTS)
    assert index.metric == "euclidean"
    expected = top_k(model.encode_query("the cat"), model.encode_document(TEXTS), 4, "euclidean")
    assert [hit.score for hit in index.search("the cat")] == expected[0][0].tolist()


def test_a_model_beside_vectors(tiny_model):
    vectors = tiny_model.encode(TEXTS, truncate_dim=12)
    index = Index.build(vectors, TEXTS, model=tiny_model)
    assert index.search("rain on the river", k=1)[0].score == pytest.approx(1)
    index.add(["a dog"])
    assert index.search("a dog", k=1)[0].text == "a dog" and index.dimension == 12


def test_load_with_a_model(tiny_model, tiny_checkpoint, tmp_path):
    Index.build(tiny_model, TEXTS).save(tmp_path / "index")
    index = Index.load(tmp_path / "index")
    assert index.model == {"name": str(tiny_checkpoint), "revision": None, "dtype": "float32"}
    with pytest.raises(InputError, match=r"no model.*Embedder\.load\('.*'\)"):
        index.search("the cat")
    with pytest.raises(InputError, match="no model"):
        index.add(["the cat"])
    assert Index.load(tmp_path / "index", tiny_model).search("the cat", k=1)[0].text == "the cat"
    assert Index.load(tmp_path / "index", Embedder.load(tiny_checkpoint, dtype="bfloat16")).search("rain", k=1)
    other = Embedder.load(write_tiny_checkpoint(tmp_path / "other", seed=1))
    with pytest.raises(InputError, match="whose vectors differ"):
        Index.load(tmp_path / "index", other)
    longer = Embedder.load(write_tiny_checkpoint(tmp_path / "longer", modules=MODULES[:2]))  # nothing normalises
    with pytest.raises(InputError, match="whose vectors differ"):
        Index.load(tmp_path / "index", longer)
    narrow = Embedder.load(write_tiny_checkpoint(tmp_path / "narrow", hidden_size=16))
    with pytest.raises(InputError, match="this model is 16 wide"):
        Index.load(tmp_path / "index", narrow)
    with pytest.raises(InputError, match="are 40 wide, those of the model 32"):
        Index.build(np.ones((1, 40)), model=tiny_model)


# --- wrong arguments ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda index: index.add(np.ones((1, 4))), "3 wide; got shape (1, 4)"),
        (lambda index: index.add(np.ones(3)), "shape (n, D); got (3,)"),
        (lambda index: index.add([[1, 2, 3], [4, np.nan, 0]]), "row 1 holds NaN"),
        (lambda index: index.add([[1e39, 2, 3]]), "row 0 holds NaN, infinity or a number beyond float32"),
        (lambda index: index.add([[1, 2], [3]]), "vectors of one width"),
        (lambda index: index.add([[1, 2, 3]], ["x", "y"]), "1 vectors need as many texts"),
        (lambda index: index.add([[1, 2, 3]], [7]), "texts[0] is int"),
        (lambda index: index.add([[1, 2, 3]], b"x"), "texts is bytes"),
        (lambda index: index.add(["x", 3]), "source[1] is int, not str"),
        (lambda index: index.add(["x"]), "no model"),
        (lambda index: index.add(np.ones((2, 3)), ids=["new", "b"]), "ids[1] is 'b', which is in the index already"),
        (lambda index: index.add(np.ones((3, 3)), ids=["new", 1, "new"]), "ids[2] is 'new', which is there twice"),
        (lambda index: index.add(np.ones((2, 3)), ids=["new"]), "2 rows need as many ids"),
        (lambda index: index.add(np.ones((1, 3)), ids=[1.5]), "ids[0] is 1.5; an id is a str, or an int of 64 bits"),
        (lambda index: index.add(np.ones((1, 3)), ids=[True]), "ids[0] is True"),
        (lambda index: index.add(np.ones((1, 3)), ids=[1 << 70]), "an int of 64 bits"),
        (lambda index: index.add(np.ones((1, 3)), fields=[]), "1 rows need as many fields"),
        (lambda index: index.add(np.ones((1, 3)), fields={"a": 1}), "fields is dict; give a list with one mapping"),
        (lambda index: index.add(np.ones((1, 3)), fields=["a"]), "fields[0] is str, not a mapping"),
        (lambda index: index.add(np.ones((1, 3)), fields=[{1: 2}]), "fields[0] has the key 1, a int; keys must be str"),
        (
            lambda index: index.add(np.ones((2, 3)), fields=[None, {"a": 1, "b": float("nan")}]),
            "fields[1]['b'] is nan, which JSON cannot say: give None where a value is missing",
        ),
        (lambda index: index.add(np.ones((1, 3)), fields=[{"b": b"x"}]), "fields[0]['b'] is of type bytes"),
        (lambda index: index.add(np.ones((1, 3)), fields=[{"b": [{"c": {1}}]}]), "it holds '{1}', of type set"),
        (lambda index: index.add(np.ones((1, 3)), fields=[{"b": Decimal("nan")}]), "fields[0]['b'] is of type Decimal"),
        (lambda index: index.remove(["a", "z"]), "ids[1] is 'z', which is not in the index; nothing was removed"),
        (lambda index: index.remove(["a", "a"]), "there twice"),
        (lambda index: index.remove(7), "ids[0] is 7"),
        (lambda index: index.remove([[1]]), "ids[0] is [1]"),
        (lambda index: index.search(np.ones(4)), "3 wide; got queries of 4"),
        (lambda index: index.search([1, 2, np.inf]), "NaN or infinity, first in row 0"),
        (lambda index: index.search([1, 2, 3], k=-1), "k must be"),
        (lambda index: index.search([1, 2, 3], k=2.0), "k must be"),
        (lambda index: index.search([1, 2, 3], rescore_multiplier=0), "rescore_multiplier must be"),
        (lambda index: index.search("text"), "no model"),
        (lambda index: index.search([1, 2, 3], backend="x"), "backend 'x' is unknown"),
        (lambda index: index.search([["a", 1]]), "vectors of numbers"),
    ],
)
def test_wrong_arguments_change_nothing(change, words, precision):
    index = Index.build(random(3, 3, 8), ["A", "B", "C"], ids=["a", "b", 5], precision=precision)
    before = state_of(index)
    with pytest.raises(MinembedError) as error:
        change(index)
    assert words in str(error.value)
    assert state_of(index) == before
    index.add(np.ones((1, 3)))
    index.remove("a")
    assert index.ids == ["b", 5, 6]


def test_int8_refuses_rows_that_it_cannot_measure():
    index = Index.build(np.ones((1, 3)), precision="int8")
    with pytest.raises(InputError, match="cannot be quantized"):
        index.add(np.full((1, 3), 1e-30))
    assert len(index) == 1


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((np.ones((1, 2)),), {"metric": "hamming"}, "metric 'hamming' is unknown"),
        ((np.ones((1, 2)),), {"metric": ["dot"]}, "metric ['dot'] is unknown"),
        ((np.ones((1, 2)),), {"precision": "int4"}, "precision 'int4' is unknown"),
        ((np.ones((1, 2)),), {"metadata": {"a": np.ones(1)}}, "metadata must be"),
        ((np.ones((1, 2)),), {"metadata": {"a": float("nan")}}, "metadata must be"),
        ((np.ones((1, 0)),), {}, "shape (n, D)"),
        ((["a text"],), {}, "vectors of numbers"),
        ((None,), {}, "vectors of numbers"),
    ],
)
def test_wrong_arguments_of_build(arguments, options, words):
    with pytest.raises(InputError) as error:
        Index.build(*arguments, **options)
    assert words in str(error.value)


def test_build_with_a_model_needs_texts(tiny_model):
    with pytest.raises(InputError, match="needs texts"):
        Index.build(tiny_model)
    with pytest.raises(InputTypeError, match=r"texts\[1\] is int"):
        Index.build(tiny_model, ["a", 1])
    assert len(Index.build(tiny_model, [])) == 0


# --- any order of calls ---------------------------------------------------------------------------------------------


numbers = st.integers(-2, 2)  # few values: ties are the rule
rows_of = st.lists(st.tuples(numbers, numbers, numbers), min_size=1, max_size=6)


class Programs(RuleBasedStateMachine):
    """An index, and beside it a list of (id, text, vector) that does the same by brute force."""

    def __init__(self):
        super().__init__()
        self.expected, self.next_id, self.names, self.saved = [], 0, 0, None
        self.small = index_blocks.SMALL
        index_blocks.SMALL = 2  # many blocks

    def teardown(self):
        index_blocks.SMALL = self.small

    @initialize(precision=st.sampled_from(PRECISIONS), metric=st.sampled_from(METRICS))
    def build(self, precision, metric):
        self.precision, self.metric = precision, metric
        self.index = Index.build(np.zeros((0, 3)), metric=metric, precision=precision)

    @rule(rows=rows_of, kind=st.sampled_from(["none", "names", "numbers"]))
    def add(self, rows, kind):
        texts = [f"text {row}" for row in rows] if kind == "none" else None
        self.names += len(rows)
        names = {
            "none": range(self.next_id, self.next_id + len(rows)),
            "names": [f"n{self.names - i}" for i in range(len(rows))],
            "numbers": [self.next_id + 2 * i for i in reversed(range(len(rows)))],
        }[kind]
        self.index.add(rows, texts, ids=None if kind == "none" else names)
        self.expected += list(zip(names, texts or [None] * len(rows), rows, strict=True))
        self.next_id = max(self.next_id, *(name + 1 for name in names if kind != "names"), 0)

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def remove(self, data):
        places = data.draw(st.sets(st.integers(0, len(self.expected) - 1), max_size=8))
        self.index.remove([self.expected[place][0] for place in sorted(places, reverse=True)])
        self.expected = [row for place, row in enumerate(self.expected) if place not in places]

    @precondition(lambda self: self.expected)
    @rule()
    def refuse(self):
        for call in (
            lambda: self.index.add([(1, 1, 1)], ids=[self.expected[-1][0]]),
            lambda: self.index.remove([self.expected[0][0], "nobody"]),
            lambda: self.index.add([(1, float("nan"), 1)]),
        ):
            with pytest.raises(InputError):
                call()

    @rule()
    def save(self):
        self.index.save(self.folder / "index")
        self.saved = list(self.expected), self.next_id

    @precondition(lambda self: self.saved)
    @rule(verify=st.sampled_from([None, True, False]))
    def load(self, verify):
        self.index = Index.load(self.folder / "index", verify=verify)
        self.expected, self.next_id = list(self.saved[0]), self.saved[1]

    @rule(query=st.tuples(numbers, numbers, numbers), k=st.integers(0, 9))
    def search(self, query, k):
        rows = np.array([row for _, _, row in self.expected], np.float32).reshape(-1, 3)
        query = np.array([query], np.float32)
        found = self.index.search(query, k=k, as_arrays=True, rescore_multiplier=1000)
        assert_best(query, rows, k, self.metric, *found)
        hits = [Hit(*self.expected[i][:2], score, i) for score, i in zip(found[0][0], found[1][0], strict=True)]
        assert self.index.search(query[0], k=k, rescore_multiplier=1000) == hits

    @invariant()
    def same(self):
        assert len(self.index) == len(self.expected)
        assert list(zip(self.index.ids, self.index.texts, strict=True)) == [row[:2] for row in self.expected]


def run_programs(tmp_path_factory, number):
    class Here(Programs):
        def __init__(self):
            super().__init__()
            self.folder = tmp_path_factory.mktemp("programs")

    run_state_machine_as_test(
        Here, settings=settings(max_examples=number, stateful_step_count=30, deadline=None, derandomize=number < 1000)
    )


@pytest.mark.parametrize("number", [25, *heavy([60, 1000])])
def test_programs(tmp_path_factory, number):
    run_programs(tmp_path_factory, number)
