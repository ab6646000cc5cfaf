"""The self-test of `minembed doctor`: whether a text has the same bits in any batch on this machine.

Row i of a matrix product should not depend on the number of rows.  No BLAS guarantees this; those that were examined
fulfil it from a small number of rows on.  The self-test measures this number, and whether vectors are identical.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from minembed.runtime.threads import available_cores, single_threaded_blas
from minembed.transformer import ops
from minembed.transformer.config import Config
from minembed.transformer.params import Embeddings, Layer, Linear, Norm, Params
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.models.embedder import Embedder

Embed = Callable[[Sequence[int], "int | None", int], Array]  # (texts, batch_size, threads) -> (len(texts), D)

TEXTS = 64
MINILM = Config(1000, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)  # MiniLM's shape; a small vocabulary is enough here
ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 17, 24, 31, 32, 33, 48, 64, 100, 128, 192, 257, 384, 512)
WORDS = "the a of to in rain bread oven garden river keeps turns slowly under old bright never again code index".split()


@dataclass(frozen=True, slots=True)
class Invariance:
    """The result of the self-test.

    >>> Invariance(safe_rows=4, encoder_rows=1, rounds=4, vectors=256, different=0).passed
    True
    """

    safe_rows: int | None  # number of rows from which a matrix product keeps the bits of each row; None: never
    encoder_rows: int | None  # the same for the encoder's products, which never give BLAS too few rows
    rounds: int
    vectors: int  # compared with the same text computed alone
    different: int

    @property
    def passed(self) -> bool:
        """Whether all vectors were the same, and not only by chance."""
        return self.different == 0 and self.encoder_rows == 1


def shapes(config: Config) -> list[tuple[int, int]]:
    """The shapes (in, out) of an encoder's matrix products.

    >>> shapes(MINILM)
    [(384, 1152), (384, 384), (384, 1536), (1536, 384)]
    """
    D, F = config.hidden_size, config.intermediate_size
    return [(D, 3 * D), (D, D), (D, F), (F, D)]


def smallest_safe_rows(config: Config, multiply: Callable[[Array, Array], Array] = np.matmul) -> int | None:
    """Find the number of rows from which every row of a product has the same bits as with the most rows tried.

    None if the bits differ even with many rows.

    >>> smallest_safe_rows(Config(10, 8, 1, 2, 16, 8, 2, "gelu", 1e-12), lambda x, w: np.float32(x[:, :1] * w[0]))
    1
    """
    rng = np.random.default_rng(0)
    unsafe = 0
    with single_threaded_blas():
        for n_in, n_out in shapes(config):
            x = rng.standard_normal((ROWS[-1], n_in), dtype=np.float32)
            weight = rng.standard_normal((n_in, n_out), dtype=np.float32)
            expected = multiply(x, weight)
            for rows in ROWS[:-1]:
                start = int(rng.integers(ROWS[-1] - rows))
                same = np.array_equal(multiply(x[start : start + rows], weight), expected[start : start + rows])
                unsafe = max(unsafe, 0 if same else rows)
    return None if unsafe == ROWS[-2] else next(rows for rows in ROWS if rows > unsafe)


def compare(embed: Embed, texts: int, rounds: int, seed: int = 0) -> tuple[int, int]:
    """Compare texts computed alone with the same texts in random batches; returns the number of vectors, and of those
    that differ.

    >>> compare(lambda texts, batch_size, threads: np.ones((len(texts), 2)), texts=3, rounds=2)
    (6, 0)
    """
    rng = np.random.default_rng(seed)
    alone = np.concatenate([embed([i], None, 1) for i in range(texts)])
    different = 0
    for i in range(rounds):
        order = rng.permutation(texts)
        batch_size = (None, int(rng.integers(2, texts + 1)))[i % 2]
        threads = (max(2, available_cores()), 1, 3)[i % 3]
        together = embed(order.tolist(), batch_size, threads)
        different += int((together.view(np.uint8) != alone[order].view(np.uint8)).any(axis=1).sum())
    return rounds * texts, different


def check(model: "Embedder | None", rounds: int = 4) -> Invariance:
    """Test this machine with a model, or with random weights of MiniLM's shape."""

    def as_the_encoder_does(x: Array, weight: Array) -> Array:
        product: Array = ops.linear(x, Linear(weight, np.zeros(weight.shape[1], np.float32)))
        return product

    config = MINILM if model is None else model.config
    embed = _embed_random() if model is None else _embed_with(model)
    vectors, different = compare(embed, TEXTS, rounds)
    safe, encoders = smallest_safe_rows(config), smallest_safe_rows(config, as_the_encoder_does)
    return Invariance(safe, encoders, rounds, vectors, different)


def _embed_with(model: "Embedder") -> Embed:
    rng = np.random.default_rng(1)
    texts = [" ".join(rng.choice(WORDS, int(n))) for n in rng.integers(0, 24, TEXTS)]

    def embed(chosen: Sequence[int], batch_size: int | None, threads: int) -> Array:
        alike = replace(model, engine=replace(model.engine, threads=threads))
        vectors: Array = alike.encode([texts[i] for i in chosen], batch_size=batch_size, truncation="silent")
        return vectors

    return embed


def _embed_random() -> Embed:
    from minembed.models.batching import plan
    from minembed.runtime.threads import run
    from minembed.transformer.encoder import encode
    from minembed.transformer.pooling import pool
    from minembed.transformer.tokens import Tokens

    rng = np.random.default_rng(2)
    lengths = rng.integers(2, 26, TEXTS)
    ids = rng.integers(0, MINILM.vocab_size, int(lengths.sum()))
    tokens = Tokens(ids, np.zeros_like(ids), np.concatenate([[0], np.cumsum(lengths)]))
    params = random_params(MINILM, rng)

    def embed(chosen: Sequence[int], batch_size: int | None, threads: int) -> Array:
        selected = tokens.select(chosen)

        def work(chunk: Array) -> Array:
            part = selected.select(chunk)
            return pool(encode(part, params, MINILM), part.cu_seqlens, ("mean",))

        vectors = np.empty((len(chosen), MINILM.hidden_size), np.float32)
        chunks = plan(selected.lengths(), threads, batch_size)
        with single_threaded_blas():
            for i, result in run(work, chunks, threads):
                vectors[chunks[i]] = result
        return vectors

    return embed


def random_params(config: Config, rng: np.random.Generator) -> Params:
    """Make an encoder with random weights.

    >>> len(random_params(Config(10, 8, 3, 2, 16, 8, 2, "gelu", 1e-12), np.random.default_rng(0)).layers)
    3
    """
    D, F = config.hidden_size, config.intermediate_size

    def array(*shape: int) -> Array:
        values = rng.standard_normal(shape, dtype=np.float32)
        values *= np.float32(0.05)
        return values

    def linear(n_in: int, n_out: int) -> Linear:
        return Linear(array(n_in, n_out), array(n_out))

    def norm() -> Norm:
        return Norm(array(D) + np.float32(1), array(D))

    word, position, token_type = (
        array(rows, D) for rows in (config.vocab_size, config.max_position_embeddings, config.type_vocab_size)
    )
    layers = (
        Layer(linear(D, 3 * D), linear(D, D), norm(), linear(D, F), linear(F, D), norm())
        for _ in range(config.num_hidden_layers)
    )
    return Params(Embeddings(word, position, token_type, norm()), tuple(layers))
