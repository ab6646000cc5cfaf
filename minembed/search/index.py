"""Index: a corpus of texts or vectors that can be searched, changed, saved and loaded."""

import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from minembed.errors import InputError
from minembed.runtime.columns import as_texts
from minembed.search import index_saving, index_stored
from minembed.search.hits import Hit as Hit
from minembed.search.index_arguments import (
    Ids,
    as_id,
    as_ids,
    as_json,
    as_some_ids,
    as_texts_or_vectors,
    as_vectors,
    check_choices,
)
from minembed.search.index_blocks import Block, Id, Record, append, code, remove
from minembed.search.index_fields import Fields, as_fields, check_count
from minembed.search.index_files import Facts, is_id
from minembed.search.index_model import check_model, facts_of
from minembed.search.index_reading import ReadIndex, Rows
from minembed.types import Array, IndexPrecision, Metric, TextModel


class Index(ReadIndex):
    """Vectors with ids, texts and fields: `build` or `load` one, `search` it, `add` to it, `remove` from it, `save` it.

    Rows are numbered in the order in which they were added.  A call that fails changes nothing.  Threads may search
    while another changes the index: they see it as it was before or after the change.  `precision` says what a search
    reads:

    - "float32": the vectors.
    - "int8": a quarter of the bytes, and the vectors of the few rows that could be among the best.  Both are exact:
      they find the same rows with the same scores, ordered by their float64 score and then by their number.
    - "binary": one bit per number.  Approximate: only the rows that differ from the query in the fewest bits are scored
      by their vectors; `rescore_multiplier` of `search` says how many.

    >>> index = Index.build([[1.0, 0.0], [0.0, 1.0]], texts=["east", "north"])
    >>> index.add([[1.0, 1.0]], texts=["north-east"], ids=["ne"])
    >>> [(hit.id, hit.text, round(hit.score, 3)) for hit in index.search([0.0, 2.0], k=2)]
    [(1, 'north', 1.0), ('ne', 'north-east', 0.707)]
    >>> index.remove(["ne", 0])
    >>> len(index), 1 in index, index.ids
    (1, True, [1])
    """

    def __init__(self, facts: Facts, rows: Rows, model: TextModel | None) -> None:
        """For `build` and `load`."""
        self._facts, self._rows, self._model = facts, rows, model
        self._serials: dict[Id, int] | None = None  # of every id; made when it is needed
        self._lock = threading.Lock()  # held while the index is changed

    def __getstate__(self) -> dict[str, Any]:
        return {"_facts": self._facts, "_rows": self._rows, "_model": self._model}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Index.__init__(self, *state.values())

    @classmethod
    def build(
        cls,
        source: TextModel | ArrayLike,
        texts: Iterable[str] | None = None,
        *,
        ids: Ids | None = None,
        metric: Metric | None = None,
        precision: IndexPrecision = "float32",
        metadata: Mapping[str, Any] | None = None,
        fields: Fields | None = None,
        model: TextModel | None = None,
        show_progress_bar: bool | None = None,
    ) -> "Index":
        """Make an index of texts, `build(model, texts)`, or of vectors (N, D), `build(vectors, texts=None)`.

        `ids` are str or int, one per row (None: 0, 1, 2, ...).  `metric` is "cosine", "dot", "euclidean" or "manhattan"
        (None: the model's own; without a model, "cosine").  `metadata` is kept with the index: anything that JSON can
        represent.  `fields`, one mapping with str keys or None per row, come back in `Hit.fields` as JSON values:
        NumPy numbers as numbers, dates and times in ISO 8601, Decimal and UUID as str.  If `source` is vectors, `model`
        is for texts that are searched or added later.

        Raises InputError for NaN or infinity, widths that differ, duplicate ids, an unknown metric or precision, or a
        field that JSON cannot represent, with its row and key; InputTypeError for texts that are not str.

        >>> Index.build([[3.0, 4.0]], ["a text"], ids=["a"], metric="dot", precision="int8")
        Index(1 row, 2 wide, dot, int8)
        """
        embedder: Any = source if hasattr(source, "encode_document") else None
        if embedder is not None and texts is None:
            raise InputError("Index.build(model, texts) needs texts; for vectors, Index.build(vectors, model=model)")
        vectors = None if embedder is not None else as_vectors("source", source)
        width = embedder.dimension if vectors is None else vectors.shape[1]
        model = embedder or model
        if metric is None:
            metric = "cosine" if model is None else model.checkpoint.similarity_fn_name
        check_choices(metric, precision)
        described = None if model is None else facts_of(model, width)
        index = cls(Facts(width, metric, precision, described, as_json(metadata)), Rows(), model)
        if vectors is None:
            index.add(as_texts(texts, one=True), ids=ids, fields=fields, show_progress_bar=show_progress_bar)
        else:
            index.add(vectors, texts, ids=ids, fields=fields)
        return index

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], model: TextModel | None = None, *, verify: bool | None = None
    ) -> "Index":
        """Open a saved index.  Its files are memory-mapped: only what is needed is read.

        `model` is for searching by texts and adding texts; it must give the same vectors as the model that the index
        was made with, or InputError is raised.  `verify` says when the files are compared with their checksums: all
        files now (True), each piece before it is first read (None), or never (False).  A missing or damaged file raises
        an IndexFileError that names it: now, or for its contents at that time.
        """
        facts, next_id, blocks = index_stored.load(Path(folder), verify=verify is not False)
        if model is not None and facts.model is not None:
            check_model(model, facts, str(folder))
        if verify:
            for block in blocks:
                block.sound.everything()
        return cls(facts, Rows(blocks, sum(len(block.vectors) for block in blocks), next_id), model)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the index to a folder in one step; an index that is already there is replaced.

        Whatever happens to the process or the disk, the folder holds the old index or the new one.  Raises
        InputError for a folder that holds other files, SourceError (an OSError) if it cannot be written.
        """
        rows = self._rows
        index_saving.save(Path(folder).absolute(), self._facts, rows.next_id, rows.blocks)

    def add(
        self,
        source: ArrayLike | Iterable[str],
        texts: Iterable[str] | None = None,
        *,
        ids: Ids | None = None,
        fields: Fields | None = None,
        show_progress_bar: bool | None = None,
    ) -> None:
        """Add texts, `add(texts)`, which the model turns into vectors, or vectors (n, D), `add(vectors, texts=None)`.

        `ids=None` continues from the largest whole number that was ever an id here; `fields` are those of `build`.
        Raises the errors of `build`, and InputError for texts without a model; then the index is unchanged.
        """
        kept = as_fields(fields)
        given = None if texts is None else as_texts(texts, one=True)
        rows: Any = source
        if given is None:
            given, rows = as_texts_or_vectors("source", source)
            if isinstance(rows, list) and not rows:
                return
            if given is not None:
                check_count(kept, len(given))
                rows = self._needed_model().encode_document(
                    given, truncate_dim=self._cut(), show_progress_bar=show_progress_bar
                )
        vectors = self._checked(as_vectors("source", rows), copy=rows is source)
        if given is not None and len(given) != len(vectors):
            raise InputError(f"{len(vectors)} vectors need as many texts, or None; got {len(given)}")
        with self._lock:
            self._append(vectors, given, ids, kept)

    def remove(self, ids: Id | Ids) -> None:
        """Remove the rows with these ids; raises InputError, and removes none, if one is not in the index."""
        with self._lock:
            serials = self._known()
            wanted = as_some_ids(ids)
            missing = next((i for i, name in enumerate(wanted) if name not in serials), None)
            if missing is not None:
                raise InputError(
                    f"ids[{missing}] is {wanted[missing]!r}, which is not in the index; nothing was removed"
                )
            rows = self._rows
            numbers = np.sort(np.array([serials[name] for name in wanted], np.int64))
            self._serials = None  # if this is interrupted, they are made again
            self._rows = replace(rows, blocks=remove(rows.blocks, numbers))
            for name in wanted:
                del serials[name]
            self._serials = serials

    def __contains__(self, name: object) -> bool:
        with self._lock:
            name = as_id(name)
            return is_id(name) and name in self._known()

    def _checked(self, x: Array, copy: bool) -> Array:  # (n, D) -> (n, D) float32
        if x.shape[1] != self._facts.dimension:
            raise InputError(f"the index holds vectors {self._facts.dimension} wide; got shape {x.shape}")
        with np.errstate(over="ignore"):
            vectors = np.array(x, np.float32, order="C", copy=copy or None)
        bad = ~np.isfinite(vectors).all(axis=1)
        if bad.any():
            raise InputError(f"row {int(np.argmax(bad))} holds NaN, infinity or a number beyond float32")
        if x.dtype == np.float64:
            largest = np.abs(x).max(axis=1, initial=0)
            faint = (largest > 0) & (largest < np.finfo(np.float32).tiny)
            if faint.any():
                raise InputError(f"row {int(np.argmax(faint))} has numbers too small for float32: scale it")
        return vectors

    def _known(self) -> dict[Id, int]:
        if self._serials is None:
            self._serials = dict(index_stored.ids_of(self._rows.blocks))
        return self._serials

    def _append(
        self, vectors: Array, texts: list[str] | None, ids: Ids | None, fields: list[str | None] | None
    ) -> None:
        rows, n = self._rows, len(vectors)
        check_count(fields, n)
        names = list(range(rows.next_id, rows.next_id + n)) if ids is None else as_ids(ids)
        if len(names) != n:
            raise InputError(f"{n} rows need as many ids, or None; got {len(names)}")
        serials = self._serials if ids is None else self._known()  # ids that we choose are always new
        known = next((i for i, name in enumerate(names) if name in serials), None) if serials else None
        if known is not None:
            raise InputError(f"ids[{known}] is {names[known]!r}, which is in the index already; nothing was added")
        if not n:
            return
        if not is_id(names[-1]):
            raise InputError(f"there are no whole numbers of 64 bits above {rows.next_id - 1} left: give ids")
        nothing = [None] * n
        records: list[Record] = list(zip(names, texts or nothing, fields or nothing, strict=True))
        numbers = np.arange(rows.serial, rows.serial + n)
        block = Block(vectors, code(vectors, self._facts.precision), records, numbers)
        self._serials = None  # if this is interrupted, they are made again
        largest = max((name for name in names if isinstance(name, int)), default=-1)
        self._rows = Rows(append(rows.blocks, block), rows.serial + n, max(rows.next_id, largest + 1))
        if serials is not None:
            serials.update(zip(names, numbers.tolist(), strict=True))
            self._serials = serials
