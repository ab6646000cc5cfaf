"""Reading an index: the rows that are most similar to a query, and its contents."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, overload

from minembed.errors import InputError
from minembed.runtime.checks import check_whole
from minembed.search.hits import Hit, hits_of
from minembed.search.index_arguments import Queries, SearchOptions, as_json, as_queries
from minembed.search.index_blocks import Block, Id, records_of, vectors_of
from minembed.search.index_fields import fields_of
from minembed.search.index_files import Facts
from minembed.search.index_scanning import search, search_bits
from minembed.search.index_stored import ids_of
from minembed.types import Array, Backend, TextModel

if TYPE_CHECKING:
    from typing_extensions import Unpack


@dataclass(frozen=True, slots=True)
class Rows:
    """The contents of an index at one moment; replaced as a whole."""

    blocks: tuple[Block, ...] = ()
    serial: int = 0  # of the next row
    next_id: int = 0  # larger than every whole number that was ever an id


class ReadIndex:
    """The part of `Index` that changes nothing: facts, rows, and a model or None."""

    def __init__(self, facts: Facts, rows: Rows, model: TextModel | None) -> None:
        self._facts, self._rows, self._model = facts, rows, model

    @overload
    def search(
        self, queries: Queries, k: int = ..., *, as_arrays: Literal[True], **options: "Unpack[SearchOptions]"
    ) -> tuple[Array, Array]: ...

    @overload
    def search(  # type: ignore[overload-overlap]  # a str is a sequence of str, and comes first
        self,
        queries: str | Sequence[float],
        k: int = ...,
        *,
        as_arrays: Literal[False] = ...,
        **options: "Unpack[SearchOptions]",
    ) -> list[Hit]: ...

    @overload
    def search(
        self,
        queries: Sequence[str] | Sequence[Sequence[float]],
        k: int = ...,
        *,
        as_arrays: Literal[False] = ...,
        **options: "Unpack[SearchOptions]",
    ) -> list[list[Hit]]: ...

    @overload
    def search(  # for an array, whose type does not say how many vectors it holds
        self, queries: Queries, k: int = ..., *, as_arrays: Literal[False] = ..., **options: "Unpack[SearchOptions]"
    ) -> list[Any]: ...

    def search(
        self,
        queries: Queries,
        k: int = 10,
        *,
        as_arrays: bool = False,
        rescore_multiplier: int = 4,
        backend: Backend = "auto",
        threads: int | None = None,
    ) -> tuple[Array, Array] | list[Hit] | list[list[Hit]]:
        """Find the k rows that are most similar to each query, best first; of equal scores the earlier row comes first.

        One query, a text or a vector (D,), gives a list of Hit; several, a list of these.  `as_arrays=True` gives the
        scores and the positions of the rows instead, (Q, min(k, N)) float64 and int64, and reads no texts.
        `rescore_multiplier`: for `precision="binary"`, k times this many candidates are scored by their vectors.

        Raises InputError for NaN or infinity, another width, a negative k, or texts without a model; IndexFileError if
        the files of a loaded index turn out to be damaged.
        """
        k, rescore_multiplier = check_whole("k", k, 0), check_whole("rescore_multiplier", rescore_multiplier, 1)
        vectors, alone = as_queries(queries, self._facts.dimension, self._encoded)
        blocks, facts = self._rows.blocks, self._facts
        if facts.precision == "binary":
            found = search_bits(blocks, vectors, k, facts.metric, rescore_multiplier, backend, threads)
        else:
            found = search(blocks, vectors, k, facts.metric, backend, threads)
        if as_arrays:
            return found
        hits = hits_of(blocks, *found)
        return hits[0] if alone else hits

    def __len__(self) -> int:
        return sum(block.count for block in self._rows.blocks)

    def __repr__(self) -> str:
        n, facts = len(self), self._facts
        rows = "1 row" if n == 1 else f"{n:,} rows"
        return f"Index({rows}, {facts.dimension} wide, {facts.metric}, {facts.precision})"

    @property
    def ids(self) -> list[Id]:
        """The ids of all rows, in order."""
        return [name for name, _ in ids_of(self._rows.blocks)]

    @property
    def texts(self) -> list[str | None]:
        """The texts of all rows, in order; None for a row without one."""
        return [text for _, text, _ in records_of(self._rows.blocks)]

    @property
    def fields(self) -> list[dict[str, Any] | None]:
        """The fields of all rows, in order; None for a row without any."""
        return [fields_of(kept) for _, _, kept in records_of(self._rows.blocks)]

    @property
    def vectors(self) -> Array:
        """The vectors of all rows, in order: (N, D) float32, read-only.

        If the index was loaded and not changed since, they are memory-mapped from its file; else they are in memory,
        and copied if rows were added or removed.

        >>> from minembed import Index
        >>> Index.build([[3.0, 4.0]]).vectors
        array([[3., 4.]], dtype=float32)
        """
        return vectors_of(self._rows.blocks, self._facts.dimension)

    @property
    def dimension(self) -> int:
        """The width D of the vectors."""
        return self._facts.dimension

    @property
    def metric(self) -> str:
        """The name of the metric, which says what a score is."""
        return self._facts.metric

    @property
    def precision(self) -> str:
        """The name of the precision, which says what a search reads."""
        return self._facts.precision

    @property
    def metadata(self) -> dict[str, Any]:
        """The metadata that was given to `build`."""
        return as_json(self._facts.metadata)

    @property
    def model(self) -> dict[str, Any] | None:
        """The name, revision and compute type of the model that the index was made with; None without one."""
        described = self._facts.model
        return None if described is None else {key: value for key, value in described.items() if key != "probe"}

    def _needed_model(self) -> TextModel:
        if self._model is None:
            name = (self._facts.model or {}).get("name")
            made = f", the model it was made with: Index.load(folder, Embedder.load({name!r}))" if name else ""
            raise InputError(
                f"this index has no model to turn texts into vectors; give it vectors, or load it with{made or ' one'}"
            )
        return self._model

    def _encoded(self, queries: Sequence[str]) -> Array:
        return self._needed_model().encode_query(queries, truncate_dim=self._cut())

    def _cut(self) -> int | None:
        width = self._facts.dimension
        return width if width < self._needed_model().dimension else None
