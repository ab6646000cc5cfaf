"""Load the models and indexes of a server, each under its name."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

from minembed.errors import InputError
from minembed.models.embedder import Embedder
from minembed.models.reranker import Reranker
from minembed.search.index import Index
from minembed.search.index_model import name_of
from minembed.serve.lanes import ScoreLane, SearchLane
from minembed.serve.served import Models, ServedEmbedder, ServedIndex, ServedReranker, short_name
from minembed.serve.settings import Settings, named


def load_models(settings: Settings) -> Models:
    """Load all models and indexes; raises a MinembedError that names what cannot be loaded."""
    how: dict[str, Any] = {
        "dtype": settings.dtype,
        "backend": settings.backend,
        "threads": settings.threads,
        "local_files_only": settings.offline,
    }
    embedders: dict[str, ServedEmbedder] = {}
    rerankers: dict[str, ServedReranker] = {}
    indexes: dict[str, ServedIndex] = {}
    for argument in settings.models:
        name, model = named(argument)
        embedder = ServedEmbedder(name, Embedder.load(model, **how), int(time.time()), settings.strict)
        embedders[_new(name, embedders)] = embedder
    for argument in settings.rerankers:
        name, model = named(argument)
        loaded = Reranker.load(model, **how)
        rerankers[_new(name, rerankers, embedders)] = ServedReranker(
            name, loaded, int(time.time()), settings.strict, ScoreLane(loaded), ScoreLane(loaded, of_pairs=False)
        )
    for argument in settings.indexes:
        name, folder = named(argument)
        name = short_name(name) if name == folder else name
        embedder = _of_index(Path(folder), embedders, settings, how)
        index = Index.load(folder, embedder.model, verify=True)
        indexes[_new(name, indexes)] = ServedIndex(name, index, embedder, SearchLane(index))
    return Models(_with_short_names(embedders), _with_short_names(rerankers), indexes)


def _new(name: str, *served: dict[str, Any]) -> str:
    if any(name in some for some in served):
        raise InputError(f"{name} is the name of two: give one another name, as in NAME=FOLDER")
    return name


def _with_short_names(served: dict[str, Any]) -> dict[str, Any]:
    """The same under short names, too; one that several share belongs to none of them."""
    count = Counter(map(short_name, served))
    short = {short_name(name): one for name, one in served.items() if count[short_name(name)] == 1}
    return {**served, **{name: one for name, one in short.items() if name not in served}}


def _of_index(folder: Path, embedders: dict[str, Any], settings: Settings, how: dict[str, Any]) -> ServedEmbedder:
    """The model that an index was made with: a served one, or one that is loaded for it."""
    made_with = Index.load(folder, verify=None).model
    if made_with is None:
        if embedders:
            return next(iter(embedders.values()))
        raise InputError(f"{folder} was made of vectors: name the model that gave them, too")
    name = made_with["name"]
    for served in embedders.values():
        if name_of(served.model) == name:
            return served
    own = how | {"dtype": how["dtype"] or made_with["dtype"]}
    model = Embedder.load(name, revision=made_with["revision"], **own)
    return ServedEmbedder(name, model, int(time.time()), settings.strict)
