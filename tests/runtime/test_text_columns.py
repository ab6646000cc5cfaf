"""What a column is: any texts come out of any container, and what is missing is found where it is."""

from enum import Enum

import column_kinds as kinds
import numpy as np
import pytest
from examples import examples
from hypothesis import given
from hypothesis import strategies as st

from minembed.errors import InputTypeError
from minembed.runtime.columns import PIECE, as_label, as_labels, as_texts, column, is_table, missing

WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)  # NumPy cuts NULs off at the end
TRUE, FALSE = np.True_, np.False_


@pytest.mark.parametrize("kind", kinds.COLUMNS)
@examples(40)
@given(texts=st.lists(WORDS, max_size=12))
def test_texts_come_out_as_they_went_in(kind, texts):
    made = as_texts(kinds.COLUMNS[kind](texts))
    assert made == texts and {type(text) for text in made} <= {str}
    assert as_labels(kinds.COLUMNS[kind](texts)) == texts


@pytest.mark.parametrize("kind", kinds.HOLD_MISSING)
@examples(40)
@given(texts=st.lists(st.none() | WORDS, max_size=12).filter(lambda texts: None in texts))
def test_the_first_missing_text_is_named(kind, texts):
    made = kinds.HOLD_MISSING[kind](texts)
    with pytest.raises(InputTypeError, match=rf"^ids\[{texts.index(None)}\] is missing \((None|NaN|NA)\)"):
        as_texts(made, "ids")
    assert as_labels(kinds.HOLD_MISSING[kind](texts)) == [text or "" for text in texts]


@pytest.mark.parametrize("kind", kinds.FOREIGN)
def test_long_columns_know_their_length(kind):
    texts = [f"text {i}" for i in range(2 * PIECE + 7)]
    made = column(kinds.FOREIGN[kind](texts), "texts")
    assert len(made) == len(texts) and list(made) == list(made) == texts


def test_what_is_iterated_as_it_is():
    for texts in (["a"], ("a",), iter("ab"), {"a": "b"}.keys(), np.array(["a"])):
        assert column(texts, "texts") is texts


def test_subclasses_of_str_are_their_contents():
    class Colour(str, Enum):
        RED = "red"

    made = as_texts([Colour.RED, np.str_("blue"), "green"])
    assert made == ["red", "blue", "green"] and {type(text) for text in made} == {str}
    assert as_label(Colour.RED) == "red"


def test_tables():
    for table in kinds.tables().values():
        assert is_table(table) and is_table(table[:1] if hasattr(type(table), "__getitem__") else table)
    for make in kinds.COLUMNS.values():
        assert not is_table(make(["a"]))
    wide = type(next(iter(kinds.tables().values())))({f"column {i}": ["a"] for i in range(9)})
    with pytest.raises(InputTypeError, match=r"texts\['column 3'\], \.\.\.$"):
        column(wide, "texts")
    with pytest.raises(InputTypeError, match="which has no columns"):
        column(type(wide)({}), "texts")

    class LazyFrame:
        columns = dtypes = property(lambda self: pytest.fail("it was computed"))

    with pytest.raises(InputTypeError, match=r"^texts is LazyFrame: collect it, and give one of its columns$"):
        column(LazyFrame(), "texts")


@pytest.mark.parametrize(
    ("value", "name"),
    [
        *((None, "None"), (float("nan"), "NaN"), (np.float16("nan"), "NaN"), (np.datetime64("NaT"), "NaT")),
        *((kinds.NA, "NA"), (np.ma.masked, "masked")),
        *((value, None) for value in (0, 0.0, "", "nan", False, [], np.float32(1), np.datetime64("2001-01-01"), b"")),
    ],
    ids=str,
)
def test_missing(value, name):
    assert missing(value) == name


@pytest.mark.parametrize(
    ("value", "label"),
    [
        *(("a", "a"), ("ü", "ü"), ("", ""), (np.str_("a"), "a"), (None, ""), (float("nan"), ""), (kinds.NA, "")),
        *((7, "7"), (np.int8(7), "7"), (np.uint64(1 << 63), "9223372036854775808"), (1 << 70, str(1 << 70))),
        *(
            (2.0, "2.0"),
            (np.float64(0.1), "0.1"),
            (np.float32(0.1), "0.1"),
            (np.float16(0.1), "0.1"),
            (1e300, "1e+300"),
        ),
        *((True, "true"), (FALSE, "false"), (TRUE, "true"), (["a", 1], '["a", 1]'), ({"ü": None}, '{"ü": null}')),
        *((np.datetime64("2001-01-01"), "2001-01-01"), (1 + 2j, "(1+2j)")),
    ],
    ids=str,
)
def test_labels(value, label):
    assert as_label(value) == label


def test_a_set_with_an_order_is_a_column():
    assert as_texts(dict.fromkeys(["b", "a"]).keys()) == ["b", "a"]
    with pytest.raises(InputTypeError, match=r"texts is set, which has no order: give sorted\(texts\)"):
        as_texts(dict.fromkeys(["b", "a"]).keys() - {"a"})
