"""Indexes of files, made once and kept."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from minembed.data.corpus import Corpus
from minembed.data.texts import Survey
from minembed.errors import IndexFileError, InputError, MinembedWarning, SourceError, warn
from minembed.runtime.files import remove
from minembed.runtime.folders import cache_folder
from minembed.types import IndexPrecision, TextModel

if TYPE_CHECKING:
    from minembed.search.index import Index

KEPT, KEPT_BYTES = 32, 4 << 30  # indexes in the cache: those that were used last


def index_of(corpus: Corpus, model: TextModel, precision: IndexPrecision, use_cache: bool = True) -> "Index":
    """The index of a corpus: from the cache, or made and put there."""
    from minembed.search.index import Index

    place = cache_folder() / "indexes" / _key(corpus, model, precision) if use_cache else None
    if place is not None:
        with suppress(IndexFileError):  # not there, or damaged: it is made again
            index = Index.load(place, model, verify=True)
            with suppress(OSError):
                os.utime(place)
            corpus.tell(Survey(*index.metadata["survey"]))
            return index
    survey = corpus.survey()
    ids, texts = corpus.passages()
    metadata = {"source": corpus.name, "survey": list(survey)}
    index = Index.build(model, texts, ids=ids, precision=precision, metadata=metadata)
    if place is not None:
        try:
            index.save(place)
            forget(place.parent)
        except (SourceError, InputError) as error:
            warn(f"the index is not kept: {error}", MinembedWarning)
    return index


def _key(corpus: Corpus, model: TextModel, precision: IndexPrecision) -> str:
    """A name for an index that changes with everything that its contents depend on."""
    from minembed.search.index_files import VERSION
    from minembed.search.index_model import facts_of

    facts = VERSION, precision, model.max_seq_length, facts_of(model, model.dimension)
    return hashlib.sha256(json.dumps([corpus.facts(), facts]).encode()).hexdigest()[:32]


def forget(folder: Path, kept: int = KEPT, kept_bytes: int = KEPT_BYTES) -> None:
    """Remove the indexes that were not used for longest, until few enough are left.

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
