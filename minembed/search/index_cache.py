"""Indexes of files, built once and kept in a cache."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from minembed.data.corpus import Corpus, Passages
from minembed.data.texts import LOG, Survey
from minembed.errors import IndexFileError, InputError, MinembedWarning, SourceError, warn
from minembed.runtime.files import remove
from minembed.runtime.folders import cache_folder
from minembed.types import Array, IndexPrecision, TextModel

if TYPE_CHECKING:
    from minembed.search.index import Index

Encode = Callable[..., Any]  # from texts to vectors: a model's `encode`, or `encode_document`
KEPT, KEPT_BYTES = 32, 4 << 30  # indexes in the cache: the most recently used ones


def index_of(corpus: Corpus, model: TextModel, precision: IndexPrecision, use_cache: bool = True) -> "Index":
    """The index of a corpus for searching, with its passages as documents: from the cache, or built and put there.

    Its ids are the numbers of the rows, from 1, so that one index works for every column of ids (`Corpus.id_in`).
    """
    place = _places(corpus, model, model.encode_document)[precision] if use_cache else None
    index = None if place is None else _kept(corpus, model, place, told=False)
    if index is not None:
        if corpus.identity is not None:
            corpus.passages()  # as below: the index does not contain these ids
        return index
    survey, numbered = corpus.survey(), replace(corpus, identity=None)
    if corpus.identity is not None:
        corpus.passages()  # raises if an id is missing or a duplicate
    return _make(corpus, survey, numbered.passages(), model, precision, model.encode_document, place)


def vectors_of(
    corpus: Corpus, survey: Survey, passages: Passages, model: TextModel, use_cache: bool = True
) -> Array:  # -> (N, D) float32
    """The vectors of a corpus's passages, for comparing them with each other: from the cache, or built and put there.

    They are those of `encode`, since neither text of a pair is a query or a document.  If the model has no prompt for
    documents, or it is the default one, the index that `index_of` makes for searching is used, in any precision.
    """
    if not use_cache:
        return _encoded(passages.texts, model.encode)
    places = _places(corpus, model, model.encode)
    index = _any_kept(corpus, model, places)
    if index is None:
        index = _make(corpus, survey, passages, model, "float32", model.encode, places["float32"])
    return index.vectors


def kept_vectors(corpus: Corpus, model: TextModel) -> Array | None:  # -> (N, D) float32
    """The vectors that `vectors_of` would find in the cache; None if they are not there."""
    index = _any_kept(corpus, model, _places(corpus, model, model.encode))
    return None if index is None else index.vectors


def _any_kept(corpus: Corpus, model: TextModel, places: Mapping[IndexPrecision, Path]) -> "Index | None":
    found = (_kept(corpus, model, place) for place in places.values())
    return next((index for index in found if index is not None), None)


def _kept(corpus: Corpus, model: TextModel, place: Path, told: bool = True) -> "Index | None":
    """The index of a corpus at its place in the cache; None if it is missing or damaged."""
    from minembed.search.index import Index
    from minembed.search.index_files import MANIFEST

    try:
        index = Index.load(place, model, verify=True)
        made = datetime.fromtimestamp((place / MANIFEST).stat().st_mtime)
    except (IndexFileError, OSError):
        return None
    with suppress(OSError):
        os.utime(place)
    if not told:
        corpus.tell(Survey(*index.metadata["survey"]))
    LOG.info(f"using the index of {corpus.name}, made {made:%Y-%m-%d %H:%M}")
    return index


def _make(
    corpus: Corpus,
    survey: Survey,
    passages: Passages,
    model: TextModel,
    precision: IndexPrecision,
    encode: Encode,
    place: Path | None,
) -> "Index":
    """Build the index of a corpus, and save it to `place`, if given."""
    from minembed.search.index import Index

    ids, texts = passages
    metadata = {"source": corpus.name, "survey": list(survey)}
    index = Index.build(
        _encoded(texts, encode),
        texts,
        ids=ids,
        fields=corpus.fields(),
        precision=precision,
        metadata=metadata,
        model=model,
    )
    if place is not None:
        try:
            index.save(place)
            forget(place.parent)
        except (SourceError, InputError) as error:
            warn(f"the index is not kept: {error}", MinembedWarning)
    return index


def _encoded(texts: Sequence[str], encode: Encode) -> Array:  # -> (N, D)
    """Equal texts are embedded once."""
    place = {text: i for i, text in enumerate(dict.fromkeys(texts))}
    vectors = encode(list(place))
    return vectors if len(place) == len(texts) else vectors[[place[text] for text in texts]]


def _places(corpus: Corpus, model: TextModel, encode: Encode) -> dict[IndexPrecision, Path]:
    """Where the index of each precision is kept: the name depends on everything that determines its contents."""
    from minembed.search.index_files import VERSION
    from minembed.search.index_model import facts_of

    own, read = facts_of(model, model.dimension, encode), corpus.facts()
    places: dict[IndexPrecision, Path] = {}
    for precision in get_args(IndexPrecision):
        facts = json.dumps([read, [VERSION, "fields", precision, model.max_seq_length, own]])
        places[precision] = cache_folder() / "indexes" / hashlib.sha256(facts.encode()).hexdigest()[:32]
    return places


def forget(folder: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
    """Remove the least recently used indexes, until few enough are left.

    >>> forget(Path("no such folder"))
    """
    used = []
    for place in folder.glob("*"):
        with suppress(OSError):
            size = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
            used.append((place.stat().st_mtime, size, place))
    total = 0
    for number, (_, size, place) in enumerate(sorted(used, reverse=True)):
        total += size
        if number and (number >= kept or total > kept_bytes):
            remove(place)
