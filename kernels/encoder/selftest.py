"""A small encoder, computed by the kernels and by NumPy, to test the kernels once before they are used.

A text of n tokens alone makes products of n rows, so texts of 1, 2, 3, ... tokens use every tile; the odd sizes reach
every remainder loop.  It takes some milliseconds.
"""

import math
from collections.abc import Callable
from itertools import count
from typing import Any

import numpy as np

from minembed.errors import BackendError
from minembed.kernels.tiles.permission import tiles_usable
from minembed.kernels.tiles.shapes import TILE_ROWS
from minembed.kernels.vectors.target import TARGET
from minembed.runtime.threads import single_threaded_blas
from minembed.transformer.config import Config
from minembed.transformer.encoder import encode
from minembed.transformer.matmul import scattered
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.transformer.quantization import lower
from minembed.transformer.tier import OPERATIONS
from minembed.transformer.tokens import Tokens
from minembed.types import Array

SMALL = Config(11, 40, 1, 2, 200, 40, 1, "gelu", 1e-12)
WHOLE = Config(11, 64, 1, 2, 192, 40, 1, "gelu", 1e-12)  # without padding: on tiles in float32 too
# for numbers of size 1 after two LayerNorms; in int8 a number halfway may round either way, by 1/255 of its group
TOLERANCE = {"float32": 2e-5, "bfloat16": 5e-2, "int8": 1e-1}


def check(prepare: Callable[[Params, Config], Callable[[Tokens], Array]], dtype: str) -> None:
    """Compare the kernels of a compute type with NumPy; raises BackendError if they differ."""
    cases = [(SMALL, (*range(1, TILE_ROWS + 2), 35))]
    if dtype == "float32" and tiles_usable():
        cases.append((WHOLE, (17, 35)))
    with single_threaded_blas():  # once: its threads would spin for longer than the whole test takes
        for config, lengths in cases:
            params = lower(random_params(config), dtype)
            _compare(prepare(params, config), params, config, lengths, dtype)


def _compare(
    encoder: Callable[[Tokens], Array], params: Params, config: Config, lengths: tuple[int, ...], dtype: str
) -> None:
    texts = [np.arange(n, 8 * n, 7) % config.vocab_size for n in lengths]
    ends = np.cumsum([0, *lengths])
    together = Tokens(np.concatenate(texts), np.zeros(ends[-1], np.int64), ends)
    expected = encode(together, params, config, ops=OPERATIONS[dtype])  # at once, for NumPy is slow on few rows
    for n, ids, end in zip(lengths, texts, ends[1:], strict=True):
        tokens = Tokens(ids, np.zeros(n, np.int64), np.array([0, n]))
        difference = np.abs(encoder(tokens) - expected[end - n : end]).max()
        if not difference <= TOLERANCE[dtype]:  # written so that NaN fails too
            raise BackendError(
                f"the {dtype} kernels for {TARGET.describe()} differ from NumPy by {difference:.2g} on {n} tokens"
            )


def random_params(config: Config) -> Params:
    """Pseudorandom weights for a config, scaled so that activations stay near 1."""
    D, F = config.hidden_size, config.intermediate_size
    made = count()

    def array(*shape: int, size: float = 1.0) -> Array:
        spread = scattered(math.prod(shape), next(made)) * (size * math.sqrt(12))  # uniform, with this deviation
        return spread.astype(np.float32).reshape(shape)

    def linear(n_in: int, n_out: int) -> Linear:
        return Linear(array(n_in, n_out, size=n_in**-0.5), array(n_out, size=0.1))

    def norm() -> Norm:
        return Norm(array(D, size=0.1) + np.float32(1), array(D, size=0.1))

    def layer(_: Any) -> Layer:
        return Layer(linear(D, 3 * D), linear(D, D), norm(), linear(D, F), linear(F, D), norm())

    word, position = array(config.vocab_size, D), array(config.max_position_embeddings, D)
    embeddings = Embeddings(word, position, array(config.type_vocab_size, D), norm())
    return Params(embeddings, tuple(map(layer, range(config.num_hidden_layers))))
