"""What loading has in common, whatever the model is for: find a checkpoint, bound its texts, make its encoder ready."""

from dataclasses import replace
from typing import get_args

from minembed.errors import InputError
from minembed.models import static
from minembed.models.static import StaticTokenizer
from minembed.runtime.backend import choose, prepare
from minembed.runtime.checks import check_length
from minembed.runtime.threads import check_threads
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.tier import Tier
from minembed.types import Dtype
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import read_params


def check_request(dtype: str | None, backend: str, threads: int | None) -> int:
    """Check what no file need be read for, and settle the number of threads.

    >>> check_request("int8", "numpy", 2)
    2
    """
    choose(backend)
    if dtype is not None and dtype not in get_args(Dtype):
        raise InputError(f"dtype {dtype!r} is unknown; known: {', '.join(get_args(Dtype))}")
    return check_threads(threads)


def with_limit(checkpoint: Checkpoint, max_seq_length: object) -> Checkpoint:
    """Replace the number of tokens that are read of a text; None keeps the checkpoint's own.

    Raises InputError for what is no whole number from 1 to the model's positions.
    """
    if max_seq_length is None:
        return checkpoint
    return replace(checkpoint, max_seq_length=check_length(max_seq_length, checkpoint.config.max_tokens))


def load_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Read the tokenizer of an encoder."""
    path = checkpoint.folder / "tokenizer.json"
    return Tokenizer.load(path, checkpoint.max_seq_length, checkpoint.config, checkpoint.do_lower_case)


def load_static_tokenizer(checkpoint: Checkpoint) -> StaticTokenizer:
    """Read the tokenizer of static embeddings."""
    path, as_model2vec = checkpoint.folder / "tokenizer.json", checkpoint.family == "model2vec"
    return StaticTokenizer.load(path, checkpoint.max_seq_length, checkpoint.config, as_model2vec)


def prepare_encoder(checkpoint: Checkpoint, backend: str, dtype: str, keep_params: bool = False) -> tuple[str, Tier]:
    """Read the parameters and make them ready: the name of the backend that computes, and the tier."""
    params, config = read_params(checkpoint), checkpoint.config
    if checkpoint.is_static:
        return "numpy", static.prepare(params, config, dtype)
    return prepare(backend, params, config, dtype, keep_params)
