"""Masked language modelling: a model learns to predict masked words, from texts without labels."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minembed.data.examples import Examples
from minembed.errors import InputError, MissingHeadError
from minembed.runtime.columns import as_texts
from minembed.runtime.threads import single_threaded_blas
from minembed.train.backward.trees import flat
from minembed.train.batches import batches
from minembed.train.contrastive import fingerprint, identity
from minembed.train.masked_lm_loss import masked_lm
from minembed.train.masking import Masked, mask_tokens, words_of
from minembed.train.model import Trainee
from minembed.train.settings import Settings
from minembed.train.step import Method, Step, masked_gradients, operations_for
from minembed.train.trainer import State, Task, train
from minembed.transformer.encoder import encode
from minembed.transformer.tokens import Tokens
from minembed.types import Array

JUDGED = 64  # texts that are evaluated at a time


def train_masked_lm(
    trainee: Trainee,
    texts: Iterable[str],
    settings: Settings,
    folder: Path,
    *,
    evaluation: Iterable[str] = (),
    resume: bool = False,
    show_progress_bar: bool | None = None,
    on_step: Callable[[dict[str, Any]], None] | None = None,
) -> State:
    """Train on texts, in place; at the end `trainee` has the best weights on the `evaluation` texts, or the last ones.

    A score is minus the loss on these texts, in nats per word.  `folder` and `resume` as in train_contrastive.  Raises
    MissingHeadError for a model that was loaded without its head, and InputError if there are no texts.
    """
    if trainee.weights.head is None:
        raise MissingHeadError("this model was loaded without a masked-LM head: Trainee.load(..., head=True)")
    texts, evaluation = as_texts(texts), as_texts(evaluation, "evaluation")
    if not texts:
        raise InputError("there are no texts to train on")
    words = words_of(trainee.tokenizer, trainee.checkpoint, whole_words=settings.whole_words)
    lengths = np.array([len(text) for text in texts]) if settings.group_by_length else None

    def gradients(tokens: Tokens, number: int) -> Step:
        masked = mask_tokens(tokens, words, seed=settings.seed, step=number, mlm_probability=settings.mask_probability)
        return masked_gradients(trainee, masked, Method.of(settings, number))

    def score() -> float:
        return -masked_loss(trainee, evaluation, settings)

    task = Task(
        weights=flat(trainee.weights),
        lazy=frozenset(),  # the decoder gives every row a gradient
        epoch=partial(batches, len(texts), settings.batch_size, settings.seed, lengths=lengths),
        prepare=lambda batch: trainee.tokenizer([texts[i] for i in batch.tolist()]),
        reads=lambda tokens: {},
        gradients=gradients,
        score=score if evaluation else None,
        fingerprint=fingerprint(Examples((tuple(texts),))),
        model=identity(trainee),
    )
    return train(task, settings, folder, resume=resume, show_progress_bar=show_progress_bar, on_step=on_step)


def masked_loss(trainee: Trainee, texts: Iterable[str], settings: Settings) -> float:
    """The mean loss over masked words of texts, in nats; every call masks the same words."""
    head, config = trainee.weights.head, trainee.checkpoint.config
    assert head is not None
    ops, _ = operations_for(Method(backend=settings.backend))
    total, count = 0.0, 0
    with single_threaded_blas():
        for masked in held_out(trainee, texts, settings):
            hidden = encode(masked.tokens, trainee.weights.encoder, config, ops=ops)
            value, _, _ = masked_lm(hidden, masked.positions, masked.labels, head)
            total, count = total + value * len(masked.labels), count + len(masked.labels)
    return total / max(count, 1)


def held_out(trainee: Trainee, texts: Iterable[str], settings: Settings) -> Iterator[Masked]:
    """Texts with the words masked that `masked_loss` measures."""
    words, texts = words_of(trainee.tokenizer, trainee.checkpoint, whole_words=settings.whole_words), as_texts(texts)
    seed = (settings.seed + 1) % 2**64  # other words than in training
    for i, start in enumerate(range(0, len(texts), JUDGED)):
        tokens = trainee.tokenizer(texts[start : start + JUDGED])
        yield mask_tokens(tokens, words, seed=seed, step=i)


def unigram_entropy(masked: Iterable[Masked], counts: Array) -> float:  # (V,) -> nats
    """The loss of a model that only knows word frequencies; words with a count of 0 count once.

    >>> from minembed.transformer.tokens import Tokens
    >>> tokens = Tokens(np.array([0]), np.array([0]), np.array([0, 1]))
    >>> round(unigram_entropy([Masked(tokens, np.array([0]), np.array([1]))], np.array([1, 1])), 4)
    0.6931
    """
    labels = np.concatenate([m.labels for m in masked])
    smoothed = np.maximum(counts, 1) / np.maximum(counts, 1).sum()
    return float(-np.log(smoothed[labels]).mean())
