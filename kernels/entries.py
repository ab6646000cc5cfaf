"""The compiled functions that Python calls, and their arguments: one list for both ways of compiling.

Just in time (kernels/compiled/just_in_time.py), Numba compiles them on this machine; ahead of time
(kernels/compiled/ahead_of_time.py), they come from a library that was built with the wheel.  Both give a function
of the same arguments in the same order.

The kind of an argument is "int64", "float32", "float64" or "bool"; a contiguous array of one dimension ("float32[]") or
two ("float32[,]"), with " const" at the end if it is only read; or a tuple of kinds.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

Kind = str | tuple["Kind", ...]

WORDS = ("int64",)
SHAPE, ARCHITECTURE, PLAN = WORDS * 8, WORDS * 6, WORDS * 29
WEIGHTS = {"float32": "float32[]", "bfloat16": "uint16[]", "int8": "int8[]"}
OPERAND = {"float32": "uint8[]", "bfloat16": "uint16[]", "int8": "uint8[]"}
FLOATS, INTS, BYTES = "float32[]", "int64[]", "uint8[]"
LISTS = (INTS, FLOATS, FLOATS, INTS, FLOATS, INTS)


@dataclass(frozen=True, slots=True)
class Entry:
    """A compiled function: the module of its source, its name there, and the kinds of its arguments."""

    module: str
    function: str
    kinds: tuple[Kind, ...]


class Entries(Protocol):
    """A source of compiled functions."""

    @property
    def backend(self) -> str:
        """The backend's name: "numba" or "native"."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        """The function with a name in ENTRIES."""

    def bind(self, name: str, fixed: Mapping[int, Any]) -> Callable[..., Any]:
        """The function with some arguments fixed, by their positions; it takes the others, in order."""

    def compile(self, names: Iterable[str]) -> None:
        """Make functions ready, if they are not yet."""

    def is_compiled(self, names: Iterable[str]) -> bool:
        """Whether functions are ready, in this process or on disk."""


def _encoder(dtype: str) -> dict[str, Entry]:
    weights, operand = WEIGHTS[dtype], OPERAND[dtype]
    run = (
        *(INTS, INTS, INTS, INTS, weights, FLOATS, "int32[]", FLOATS, f"{weights} const", FLOATS, FLOATS, FLOATS),
        *(FLOATS, FLOATS, FLOATS, FLOATS, INTS, SHAPE, ARCHITECTURE, "float32", "bool", "int64"),
        *(INTS, FLOATS, "int32[]", operand, "int64", FLOATS),
    )
    assist = (INTS, weights, FLOATS if dtype == "float32" else operand, FLOATS, "int32[]")
    return {
        f"run_{dtype}": Entry("encoder.run", "run", run),
        f"assist_{dtype}": Entry("encoder.sharing", "assist", assist),
    }


def _embeddings(dtype: str) -> dict[str, Entry]:
    kinds = (INTS, INTS, INTS, f"{WEIGHTS[dtype]} const", *(FLOATS,) * 4, "int64", "float32", FLOATS)
    return {f"embed_texts_{dtype}": Entry("encoder.embeddings", "embed_texts", kinds)}


def _tiled(kind: str, planes: int) -> dict[str, Entry]:
    model = ("int8[]", FLOATS, FLOATS, FLOATS, FLOATS, INTS, PLAN, ARCHITECTURE, "float32", WORDS * planes)
    run = (BYTES, INTS, *model, "int64", INTS, FLOATS, FLOATS, "int64", FLOATS)
    assist = (INTS, BYTES, INTS, *model, FLOATS, FLOATS, "int64", "int64")
    return {
        f"run_tiled{kind}": Entry("encoder.tiled.run", "run_tiled", run),
        f"assist_tiled{kind}": Entry("encoder.tiled.sharing", "assist_tiled", assist),
    }


def _topk() -> dict[str, Entry]:
    share = (INTS, "int64", "int64", INTS)  # turn, piece, end, place
    found = ("int64", FLOATS, "int64", "float32", LISTS, "int64", FLOATS)  # k, margins, stride, ..., room
    scan = (
        *("float32[] const", *share, "int64", "int64", FLOATS, FLOATS, "int64", "int64"),
        *found,
    )
    quantized = ("uint8[] const", *("float32[] const",) * 3, *share, "int64", "int8[]", BYTES)
    scan_bytes = (*quantized, FLOATS, "int32[]", BYTES, FLOATS, "int32[]", "int32[]", "int64", "int64", *found)
    queries = ("float64[,]", "float64[]", "int64", "float64[]", "int8[,]", "int8[,]", "float32[,]", "int32[,]")
    rescore = ("float32[] const", "int64", "float64[]", "int64", "int64", INTS, INTS, "int64", "int64", "float64[]")
    return {
        "scan_rows": Entry("topk.scan", "scan_rows", scan),
        "scan_bytes": Entry("topk.scan_bytes", "scan_bytes", scan_bytes),
        "join": Entry(
            "topk.candidates",
            "join",
            (*("int64",) * 4, INTS, FLOATS, FLOATS, INTS, FLOATS, "int64", FLOATS, INTS, INTS),
        ),
        "round_queries": Entry("topk.queries", "round_queries", (*queries, "float32[,]")),
        "rescore_rows": Entry("topk.rescoring", "rescore_rows", rescore),
    }


def _training() -> dict[str, Entry]:
    i, f = "int64", FLOATS
    rows = {
        "gelu_rows": (f, i, f),
        "gelu_vjp_rows": (f, f, i, f),
        "sum_rows": (f, i, i, f),
        "layer_norm_rows": (f, i, i, f, f, "float32", f, f),
        "layer_norm_vjp_rows": (f, f, i, i, f, "float32", f, f, f),
        "softmax_rows": (f, i, i, f),
        "softmax_vjp_rows": (f, f, f, i, i, f),
    }
    products = {
        "multiply_rows": (f, i, i, f, i, f, f, f),
        "multiply_transposed": (f, f, i, i, i, f, f, f, f),
        "transpose": (f, i, i, f),
    }
    found = {name: Entry("training.rows", name, kinds) for name, kinds in rows.items()}
    found |= {name: Entry("training.products", name, kinds) for name, kinds in products.items()}
    for dtype in ("float32", "float64"):
        flat, table = f"{dtype}[]", f"{dtype}[,]"
        found[f"update_{dtype}"] = Entry("training.optimizer", "update", (flat,) * 5)
        found[f"replay_{dtype}"] = Entry("training.optimizer", "replay", (*(table,) * 3, INTS, INTS, i, table))
    return found


ENTRIES: dict[str, Entry] = {
    **{name: entry for dtype in WEIGHTS for name, entry in _encoder(dtype).items()},
    **{name: entry for dtype in WEIGHTS for name, entry in _embeddings(dtype).items()},
    **_tiled("", planes=1),
    **_tiled("_float32", planes=3),
    **_topk(),
    **_training(),
}
ON_TILES = tuple(name for name in ENTRIES if "_tiled" in name or name.startswith("embed_texts_"))  # where there is AMX
