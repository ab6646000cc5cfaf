"""One ordinary text in few steps: tokenize, encode, pool, normalise.

The weights of an encoder stream through a core's caches and drive out what Python and NumPy need.  So each function
that is called around the kernels costs some 5 µs instead of one, and the usual way in engine.py, which is made for
columns of texts, costs a short query as much as half of its layers.  The bits are the same here.
"""

import math
from typing import TYPE_CHECKING

import numpy as np

from minembed.models.options import Options
from minembed.runtime.interrupts import check
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.modules import Normalize
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.models.engine import Engine

ONLY = (Normalize(),)  # the modules of most checkpoints


def encode_alone(engine: "Engine", text: str, prompt: str, options: Options) -> Array | None:  # -> (D,)
    """The vector of one text, or None where anything is out of the ordinary: then the usual way has its reasons.

    That is a text that is cut or refused, options that change vectors afterwards, and results that are not finite.

    >>> encode_alone(engine, "a" * 9000, "", Options()) is None  # doctest: +SKIP
    True
    """
    checkpoint, tokenizer = engine.checkpoint, engine.tokenizer
    unusual = options.normalize_embeddings or options.truncate_dim or options.show_progress_bar
    if unusual or options.precision != "float32" or options.output_value != "sentence_embedding":
        return None
    if checkpoint.modules != ONLY or checkpoint.truncate_dim or not isinstance(tokenizer, Tokenizer):
        return None
    if (prompt and not checkpoint.include_prompt) or engine.compute.needs_blas:
        return None
    tokens = tokenizer.alone(prompt + text)
    if tokens is None:
        return None
    check()
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the result is checked instead
        pooled = engine.compute.pooled(tokens, checkpoint.pooling, together=engine.shares)
        return scaled(pooled[0])


def scaled(x: Array) -> Array | None:  # (D,) -> (D,)
    """Scale a vector to length 1, with the bits of `l2_normalize`; None unless its length is a positive number.

    >>> scaled(np.float32([3, 4])).tolist(), scaled(np.float32([0, 0])), scaled(np.float32([math.inf, 0]))
    ([0.6000000238418579, 0.800000011920929], None, None)
    """
    norm = math.sqrt(np.add.reduce(x * x))  # rounded to float32, this is float32's root: double has enough places
    return x / np.float32(norm) if 0 < norm < math.inf else None
