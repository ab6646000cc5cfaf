"""The NumPy tier: the encoder made ready for a compute type."""

from collections.abc import Callable
from functools import partial

from minembed.transformer.config import Config
from minembed.transformer.encoder import NUMPY, Operations, encode
from minembed.transformer.params import Params
from minembed.transformer.positions import sights
from minembed.transformer.quantization import linear_bfloat16, linear_int8, lower
from minembed.types import Array

OPERATIONS = {  # by compute type
    "float32": NUMPY,
    "bfloat16": Operations(linear=linear_bfloat16),
    "int8": Operations(linear=linear_int8),
}


def prepare(params: Params, config: Config, dtype: str) -> Callable[..., Array]:
    """Make the NumPy tier ready: a function of tokens (and, if wanted, an observer) to hidden states.

    Raises InputError for a compute type that does not exist.
    """
    params, seen = lower(params, dtype), sights(params, config)
    return partial(encode, params=params, config=config, ops=OPERATIONS[dtype], seen=seen)
