"""Which model an index was made with, and whether another gives the same vectors."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from minembed.errors import IndexFileError, InputError
from minembed.search.index_files import Facts
from minembed.types import Array, TextModel

PROBE = "The quick brown fox jumps over the lazy dog."  # its vector identifies a model
SAME = 0.2  # of its length: vectors that differ by less are of the same model, for instance in int8


def name_of(model: TextModel) -> str:
    """The name by which `Embedder.load` finds a model again: "org/name" if it is in a cache, else its folder."""
    if model.source != "folder":
        for part in reversed(model.checkpoint.root.parts):
            if found := re.fullmatch(r"(?:models--)?(.+?)--(.+)", part):
                return f"{found[1]}/{found[2]}"
    return str(model.checkpoint.root)


def probe(model: TextModel, width: int, encode: Callable[..., Any] | None = None) -> Array:  # -> (width,)
    """The vector of a fixed text, as a document or as another function of the model embeds it."""
    cut = width if width < model.dimension else None
    return (encode or model.encode_document)(PROBE, truncate_dim=cut, truncation="silent")


def facts_of(model: TextModel, width: int, encode: Callable[..., Any] | None = None) -> dict[str, Any]:
    """What an index stores about its model; raises InputError if the model's vectors are narrower than `width`."""
    if width > model.dimension:
        raise InputError(f"the vectors are {width} wide, those of the model {model.dimension}")
    vector = [float(f"{number:.9g}") for number in probe(model, width, encode).tolist()]  # all digits of a float32
    return {"name": name_of(model), "revision": model.revision, "dtype": model.dtype, "probe": vector}


def check_model(model: TextModel, facts: Facts, where: str) -> None:
    """Raise InputError unless a model gives the same vectors as the one that the index was made with."""
    kept: Mapping[str, Any] = facts.model or {}
    vector = np.array(kept.get("probe"), object)
    if vector.shape != (facts.dimension,) or not all(isinstance(number, int | float) for number in vector):
        raise IndexFileError(f"{where}: probe is no vector of the index's width; build the index again")
    name = kept.get("name")
    if facts.dimension > model.dimension:
        raise InputError(f"{where} was made with {name}, {facts.dimension} wide; this model is {model.dimension} wide")
    own, other = vector.astype(np.float64), probe(model, facts.dimension).astype(np.float64)
    apart, length = float(np.linalg.norm(own - other)), float(np.linalg.norm(own))
    if not apart <= SAME * length:
        raise InputError(
            f"{where} was made with {name}, whose vectors differ from this model's (by {apart:.3g} for a text whose "
            f"vector has length {length:.3g}): load that model, or build the index again"
        )
