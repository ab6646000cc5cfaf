"""The expected quality of each search on the pages: exact up to rounding, or a share of the true neighbours."""

from dataclasses import dataclass

WIDTH = 384
FLOAT32 = (2 * WIDTH + 16) * 2.0**-24  # a cosine of float32 sums of 384 products, in any order (Higham, 2002, 3.1)
FLOAT16 = 2.0**-10 + FLOAT32  # both vectors are rounded to 11 bits: each changes a cosine by 2^-11 of it at most
FLOAT64 = 2.0**-40  # errors of float64 sums are below 2^-43; the float32 queries count as exact


@dataclass(frozen=True, slots=True)
class Exact:
    """The order is that of top_k, except for rows whose scores differ by less than twice the rounding error."""

    rounding: float


@dataclass(frozen=True, slots=True)
class Approximate:
    """At least this share of the ten true neighbours is found, over all queries."""

    recall: float
    reason: str


@dataclass(frozen=True, slots=True)
class Store:
    """The expected quality of a page's search, without and with a filter, and of its further searches by name."""

    plain: Exact | Approximate
    filtered: Exact | Approximate
    others: dict[str, Exact | Approximate]


# Recalls are bounded below what was measured: passages differ from Python to Python, and graphs from build to build.
GRAPH = Approximate(
    0.96, "HNSW of float32: 0.987 to 0.999 measured; a graph that is not whole, or too short a list, is below"
)
FITTING = Approximate(
    0.96, "few rows fit, and Chroma and PostgreSQL compare all of these: 1 measured; a list cut short is 0.1"
)
LEVELS = Approximate(0.98, "127 steps a number change cosines by about 0.001: 0.994 measured")
CANDIDATES = Approximate(
    0.94, "the 100 rows of the nearest bits hold 0.97 and more of the neighbours; 10 would hold 0.64"
)

EXPECTED = {
    "minembed": Store(Exact(FLOAT64), Exact(FLOAT64), {"search_int8": Exact(FLOAT64), "search_bits": CANDIDATES}),
    "duckdb": Store(Exact(FLOAT32), Exact(FLOAT32), {"search_int8": LEVELS}),
    "sqlite-vec": Store(Exact(FLOAT32), Exact(FLOAT32), {"search_int8": LEVELS, "search_bits": CANDIDATES}),
    "lancedb": Store(
        Exact(FLOAT32),
        Exact(FLOAT32),
        {
            "search_half": Exact(FLOAT16),
            "search_int8": Approximate(0.94, "int8 in a graph, in ranges of all numbers together: 0.974 measured"),
            "search_refined": GRAPH,
        },
    ),
    "chroma": Store(
        GRAPH, FITTING, {"search_short": Approximate(0.5, "half of the numbers of a model that is not trained for it")}
    ),
    "qdrant": Store(Exact(FLOAT32), Exact(FLOAT32), {}),
    "postgresql": Store(
        GRAPH,
        FITTING,
        {"search_exact": Exact(FLOAT32), "search_half": GRAPH, "search_bits": CANDIDATES},
    ),
}
