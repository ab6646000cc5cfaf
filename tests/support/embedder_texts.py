"""Texts for an Embedder, and the comparison of its results."""

import numpy as np

TEXTS = ["a cat", "the dog in the oven", "", "test query", "unbelievable trains and rivers", "x"]
LONG = "the cat and the dog " * 20
ROUND = 3e-7  # a few roundings of float32 of numbers up to 1: products and sums in another order


def same(a, b):
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def unit(x):
    return x / np.linalg.norm(x.astype(np.float64), axis=-1, keepdims=True)
