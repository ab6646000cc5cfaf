"""Contrastive training: pairs, triplets and scored pairs, on the vectors of a model."""

import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from minembed.data.examples import Examples
from minembed.errors import InputError
from minembed.runtime.checksums import crc32_of
from minembed.runtime.paths import read_regular
from minembed.text.settings import LARGEST_FILE
from minembed.train.backward.trees import flat
from minembed.train.batches import batches
from minembed.train.evaluation import Evaluation, evaluate, measure_of
from minembed.train.losses import LOSSES, NEED_LABELS, Loss, matryoshka
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.train.step import Method, Step, contrastive_gradients
from minembed.train.trainer import State, Task, train
from minembed.transformer.tokens import Tokens
from minembed.types import Array

OLDER_FILES = ("vocab.txt", "vocab.json", "merges.txt")  # of a tokenizer without a tokenizer.json
WORD = "encoder.embeddings.word"
OPTIONS = {
    "triplet": ("margin",),
    "contrastive": ("margin",),
    "online_contrastive": ("margin",),
    "cosine_similarity": (),
}
BOUNDS = {"contrastive": (0.0, 1.0), "online_contrastive": (0.0, 1.0), "cosine_similarity": (-1.0, 1.0)}  # of labels


def train_contrastive(
    trainee: Trainee,
    examples: Examples,
    settings: Settings,
    folder: Path,
    *,
    evaluation: Evaluation | None = None,
    resume: bool = False,
    show_progress_bar: bool | None = None,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> State:
    """Train on examples, in place: at the end `trainee` has the best weights of all evaluations, or the last ones.

    `evaluation` scores weights: by Spearman's correlation of scored pairs with their cosines, by nDCG@10 of finding the
    second text of pairs without scores, or by a function from an Embedder to a number (larger is better).  `folder`
    gets history.jsonl, and checkpoints, from which `resume` continues.  Raises the errors of
    `minembed.train.trainer.train`, and InputError for examples that do not fit the loss.
    """
    check_examples(examples, settings)
    if evaluation is not None:
        measure_of(evaluation)
    task = Task(
        weights=flat(trainee.weights),
        lazy=frozenset({WORD}),
        epoch=_epochs(trainee, examples, settings),
        prepare=lambda batch: _ready(trainee, examples, batch),
        reads=lambda ready: {WORD: np.unique(np.concatenate([column.ids for column in ready[0]]))},
        gradients=partial(_gradients, trainee, loss_of(settings), settings),
        score=None if evaluation is None else partial(evaluate, trainee, evaluation, settings),
        fingerprint=fingerprint(examples),
        model=identity(trainee),
    )
    return train(task, settings, folder, resume=resume, show_progress_bar=show_progress_bar, on_step=on_step)


def loss_of(settings: Settings) -> Loss:
    """The loss that the settings name, with its options.

    Raises InputError for an option that the loss does not have.

    >>> loss_of(Settings(loss="cosent", scale=10.0))([np.eye(2), np.eye(2)], np.array([0.0, 0.0]))[0]
    0.0
    """
    takes = OPTIONS.get(settings.loss, ("scale",))
    options = {name: getattr(settings, name) for name in ("scale", "margin") if getattr(settings, name) is not None}
    for name in options:
        if name not in takes:
            raise InputError(f"the loss {settings.loss!r} has no {name}")
    loss: Loss = partial(LOSSES[settings.loss], **options)
    return matryoshka(loss, settings.matryoshka_dims) if settings.matryoshka_dims else loss


def check_examples(examples: Examples, settings: Settings) -> None:
    """Raise InputError for examples that do not fit the loss.

    >>> check_examples(Examples((("a", "c"), ("b", "d"))), Settings())
    """
    loss, n = settings.loss, len(examples.columns)
    if loss == "triplet" and n != 3:
        raise InputError(f"the loss {loss!r} takes three texts an example, not {n}")
    if n < 2 or (loss in NEED_LABELS and n != 2):
        raise InputError(f"the loss {loss!r} takes two texts an example, not {n}")
    if loss in NEED_LABELS and examples.labels is None:
        raise InputError(f"the loss {loss!r} needs a score for every pair")
    if loss in BOUNDS and examples.labels is not None:
        low, high = BOUNDS[loss]
        least, most = examples.labels.min(), examples.labels.max()
        if not (low <= least and most <= high):
            raise InputError(
                f"scores lie from {least:g} to {most:g}, but the loss {loss!r} takes them from {low:g} to {high:g}: "
                "say score_range, as in 0 to 5"
            )
    if loss.startswith("multiple") and n == 2 and (settings.batch_size == 1 or len(examples) == 1):
        raise InputError("a batch of one pair has no negatives to tell it from: take a larger batch_size")


def fingerprint(examples: Examples) -> str:
    """A checksum of all examples, to check that a resumed training has the same.

    >>> fingerprint(Examples((("a",), ("b",)))) == fingerprint(Examples((("a",), ("c",))))
    False
    """
    texts = (text.encode("utf-8", "surrogatepass") + b"\0" for column in examples.columns for text in column)
    labels = b"" if examples.labels is None else examples.labels.tobytes()
    return f"{len(examples)}-{crc32_of(chain(texts, [labels])):08x}"


def identity(trainee: Trainee) -> str:
    """A checksum of the model without its weights: the architecture, the modules, the vocabulary."""
    checkpoint = replace(trainee.checkpoint, folder=Path(), root=Path(), adapter=None)
    crc, folder = 0, trainee.checkpoint.folder
    names = ("tokenizer.json",) if (folder / "tokenizer.json").exists() else OLDER_FILES
    for path in (folder / name for name in names if (folder / name).exists()):
        crc = zlib.crc32(read_regular(path, LARGEST_FILE), crc)
    return f"{zlib.crc32(repr(checkpoint).encode(), crc):08x}"


def _epochs(trainee: Trainee, examples: Examples, settings: Settings) -> Callable[[int], list[Array]]:
    lengths = None
    if settings.group_by_length:
        lengths = np.array([sum(map(len, texts)) for texts in zip(*examples.columns, strict=True)])
    texts = examples.columns if settings.no_duplicates else ()

    def epoch(number: int) -> list[Array]:
        dealt = batches(len(examples), settings.batch_size, settings.seed, number, lengths, texts)
        if settings.loss.startswith("multiple") and len(examples.columns) == 2:
            dealt = [batch for batch in dealt if len(batch) > 1]  # a single pair has no negatives
        return dealt

    return epoch


def _ready(trainee: Trainee, examples: Examples, batch: Array) -> tuple[list[Tokens], Array | None]:
    columns = [trainee.tokenizer([column[i] for i in batch.tolist()]) for column in examples.columns]
    return columns, None if examples.labels is None else examples.labels[batch]


def _gradients(
    trainee: Trainee, loss: Loss, settings: Settings, ready: tuple[list[Tokens], Array | None], number: int
) -> Step:
    return contrastive_gradients(trainee, *ready, loss, Method.of(settings, number))
