"""Columns of every kind: of pandas, polars and pyarrow where they are installed (make test-columns), else likenesses.

A likeness has what its original lets others do, the traps included: a Series of pandas is looked up by its index and
has no truth value, and an array of pyarrow yields scalars of its own.
"""

from collections import deque
from importlib import import_module
from importlib.util import find_spec

import numpy as np

REAL = {name: find_spec(name) is not None for name in ("pandas", "polars", "pyarrow")}


class Likeness:
    def __init__(self, values):
        self.values = list(values)

    def __len__(self):
        return len(self.values)

    def __iter__(self):
        return iter(self.values)

    def __repr__(self):  # tests are named by it: the same in every worker, so no address
        return f"{type(self).__name__}({self.values})"

    def __bool__(self):
        raise ValueError("the truth value is ambiguous")

    def __array__(self, dtype=None, copy=None):
        array = np.empty(len(self.values), object)
        array[:] = self.values
        return array


class PandasSeries(Likeness):
    ndim, dtypes = 1, object

    def __getitem__(self, label):
        return self.values[[*range(len(self.values), 0, -1)].index(label)]  # its index runs backwards


class PolarsSeries(Likeness):
    def __getitem__(self, place):
        return self.values[place]


class Scalar:
    def __init__(self, value):
        self.value = value

    def as_py(self):
        return self.value


class ArrowArray(Likeness):
    def __iter__(self):
        return map(Scalar, self.values)

    def __getitem__(self, place):
        return Scalar(self.values[place])

    def slice(self, start, length):
        return ArrowArray(self.values[start : start + length])

    def to_pylist(self):
        return list(self.values)


class DataFrame:
    ndim, dtypes = 2, property(lambda self: [object] * len(self.data))
    columns = property(lambda self: list(self.data))

    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(next(iter(self.data.values())))

    def __iter__(self):
        return iter(self.data)

    def __array__(self, dtype=None, copy=None):
        return np.array([*map(list, self.data.values())], object).T


class Table(DataFrame):
    column_names = property(lambda self: list(self.data))


NA = type(
    "NAType",
    (),
    {
        "__eq__": lambda self, other: NA,
        "__ne__": lambda self, other: NA,
        "__hash__": None,
        "__repr__": lambda self: "<NA>",
    },
)()


def pandas_columns():
    if not REAL["pandas"]:
        return {"pandas": PandasSeries}
    pd = import_module("pandas")

    def series(dtype):
        return lambda texts: pd.Series(texts, dtype=dtype, index=range(len(texts), 0, -1))

    dtypes = ["object", "string", "category", "str"]
    dtypes += ["string[pyarrow]", "large_string[pyarrow]"] if REAL["pyarrow"] else []
    made = {f"pandas {dtype}": series(dtype) for dtype in dtypes}
    made["pandas, labelled"] = lambda texts: pd.Series(texts, index=[f"row {i}" for i in range(len(texts))])
    made["pandas, one label"] = lambda texts: pd.Series(texts, index=[0] * len(texts))
    made["pandas index"] = lambda texts: pd.Index(texts, dtype="object")
    made["pandas frame's"] = lambda texts: pd.DataFrame({"id": range(len(texts)), "text": texts})["text"].iloc[:]
    made["pandas array"] = lambda texts: pd.array(texts, dtype="string")
    return made


def polars_columns():
    if not REAL["polars"]:
        return {"polars": PolarsSeries}
    pl = import_module("polars")
    made = {f"polars {t}": lambda texts, t=t: pl.Series("x", texts, getattr(pl, t)) for t in ("String", "Categorical")}
    made["polars Object"] = lambda texts: pl.Series("x", texts, pl.Object)
    made["polars frame's"] = lambda texts: pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})["text"]
    return made


def arrow_columns():
    if not REAL["pyarrow"]:
        return {"pyarrow": ArrowArray}
    pa = import_module("pyarrow")
    made = {
        f"pyarrow {kind}": lambda texts, kind=kind: pa.array(texts, getattr(pa, kind)())
        for kind in ("string", "large_string", "string_view")
    }
    made["pyarrow dictionary"] = lambda texts: pa.array(texts, pa.string()).dictionary_encode()
    made["pyarrow slice"] = lambda texts: pa.array(["before", *texts, "after"], pa.string()).slice(1, len(texts))
    made["pyarrow chunks"] = lambda texts: pa.chunked_array([texts[:1], [], texts[1:]], pa.string())
    made["pyarrow chunks of dictionaries"] = lambda texts: pa.chunked_array(
        [pa.array(part, pa.string()).dictionary_encode() for part in (texts[:1], texts[1:])]
    )
    made["pyarrow table's"] = lambda texts: pa.table({"text": pa.array(texts, pa.string())})["text"]
    return made


class OldSequence:
    """Iterated by its places alone, as before Python had iterators."""

    def __init__(self, texts):
        self.texts = texts

    def __getitem__(self, place):
        return self.texts[place]


def object_array(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


PLAIN = {
    "list": list,
    "tuple": tuple,
    "generator": lambda texts: (text for text in texts),
    "iterator": iter,
    "map": lambda texts: map(str, texts),
    "deque": deque,
    "values": lambda texts: dict(enumerate(texts)).values(),
    "old sequence": OldSequence,
    "NumPy str": lambda texts: np.array(texts, str) if len(texts) else np.zeros(0, "U1"),
    "NumPy object": object_array,
    "NumPy StringDType": lambda texts: np.array(texts, np.dtypes.StringDType()),
    "NumPy texts": lambda texts: [np.str_(text) for text in texts],
}
FOREIGN = pandas_columns() | polars_columns() | arrow_columns()
COLUMNS = PLAIN | FOREIGN
HOLD_MISSING = {name: make for name, make in COLUMNS.items() if name not in ("map", "NumPy str", "NumPy texts")}
HOLD_MISSING.pop("NumPy StringDType")


def tables():
    """Tables of the columns id and text, by what they are."""
    data = {"id": [1, 2], "text": ["the cat", "a dog"]}
    made = {
        "pandas": import_module("pandas").DataFrame(data) if REAL["pandas"] else DataFrame(data),
        "polars": import_module("polars").DataFrame(data) if REAL["polars"] else DataFrame(data),
        "pyarrow": import_module("pyarrow").table(data) if REAL["pyarrow"] else Table(data),
    }
    if REAL["pyarrow"]:
        made["pyarrow batch"] = import_module("pyarrow").RecordBatch.from_pydict(data)
    return made


def series_of_numbers(rows):
    """Numbers, or lists of numbers, as a Series with an index of its own."""
    if REAL["pandas"]:
        return import_module("pandas").Series(rows, index=range(len(rows), 0, -1))
    return NumberSeries(rows)


class NumberSeries(PandasSeries):
    def __array__(self, dtype=None, copy=None):
        return super().__array__() if isinstance(self.values[0], list) else np.array(self.values)
