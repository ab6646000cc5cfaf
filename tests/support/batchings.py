"""Texts, and the same texts in other batches: in a random order, in random calls, on some threads."""

import dataclasses
import random

import numpy as np

WORDS = (
    "the a of cat dog house river bread oven rain sun train book code test index query cache and believe 中 x".split()
)


def texts_of(n, words, seed):
    """n texts of 0 or 1 to `words` words."""
    dice = random.Random(seed)
    return [" ".join(dice.choices(WORDS, k=dice.randint(0 if i % 7 == 0 else 1, words))) for i in range(n)]


def with_threads(model, n):
    return dataclasses.replace(model, engine=dataclasses.replace(model.engine, threads=n))


def rebatched(model, texts, seed, batch_sizes=(None, 1, 2, 7, 64)):
    """The vectors of the texts, computed in a random order, in random calls, on some threads, in some batch size."""
    dice = random.Random(seed)
    order = dice.sample(range(len(texts)), len(texts))
    model, batch_size = with_threads(model, dice.choice([1, 2, 3])), dice.choice(batch_sizes)
    vectors, at = {}, 0
    while at < len(order):
        call = order[at : at + dice.choice([1, 2, 3, 5, 50, len(texts)])]
        found = model.encode([texts[i] for i in call], batch_size=batch_size, truncation="silent")
        vectors.update(zip(call, found, strict=True))
        at += len(call)
    return np.stack([vectors[i] for i in range(len(texts))])
