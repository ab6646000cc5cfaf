"""Loading steps that all kinds of models share: find a checkpoint, limit its texts, prepare its encoder."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, get_args

from minembed.errors import InputError, InputTypeError
from minembed.models import static
from minembed.models.static import StaticTokenizer
from minembed.runtime.backend import bfloat16_gain, choose, prepare
from minembed.runtime.checks import check_length, check_whole
from minembed.runtime.threads import check_threads
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.tier import Tier
from minembed.types import Dtype, DtypeChoice
from minembed.weights.checkpoint import Checkpoint
from minembed.weights.families import read_params

if TYPE_CHECKING:
    from minembed.weights.sources.locate import Located

LOG = logging.getLogger("minembed")
NO_GAIN = "nothing here computes bfloat16 faster"


def check_request(dtype: str | None, backend: str, threads: int | None) -> int:
    """Check the arguments that need no file, and return the number of threads.

    >>> check_request("int8", "numpy", 2)
    2
    """
    choose(backend)
    if dtype is not None and dtype not in get_args(DtypeChoice):
        raise InputError(f"dtype {dtype!r} is unknown; known: {', '.join(get_args(DtypeChoice))}")
    return check_threads(threads)


def with_limit(checkpoint: Checkpoint, max_seq_length: object) -> Checkpoint:
    """Replace the maximum length of a text in tokens; None keeps the checkpoint's own.

    Raises InputError unless it is a whole number from 1 to the model's positions.
    """
    if max_seq_length is None:
        return checkpoint
    return replace(checkpoint, max_seq_length=check_length(max_seq_length, checkpoint.config.max_tokens))


def with_settings(checkpoint: Checkpoint, max_seq_length: object, prompts: object, truncate_dim: object) -> Checkpoint:
    """Replace the checkpoint's maximum length, prompts and width of vectors; None keeps its own.

    Prompts are replaced name by name.  Raises InputError for a length or width that the model does not have,
    InputTypeError for prompts that do not map names to texts.

    >>> from pathlib import Path
    >>> from minembed.transformer.config import Config
    >>> config = Config(30522, 384, 6, 12, 1536, 512, 2, "gelu", 1e-12)
    >>> folder = Checkpoint(Path("model"), "bert", config, ("mean",), 256)
    >>> with_settings(folder, 128, {"query": "query: "}, None).prompts
    {'query': 'query: '}
    """
    checkpoint = with_limit(checkpoint, max_seq_length)
    if truncate_dim is not None:
        width = check_whole("truncate_dim", truncate_dim, 1, checkpoint.dimension)
        checkpoint = replace(checkpoint, truncate_dim=width)
    if prompts is not None:
        if not isinstance(prompts, Mapping) or not all(isinstance(s, str) for pair in prompts.items() for s in pair):
            raise InputTypeError(f'prompts must map names to texts, as in {{"query": "query: "}}; not {prompts!r}')
        checkpoint = replace(checkpoint, prompts={**checkpoint.prompts, **prompts})
    return checkpoint


def finder(
    local_files_only: bool = False, token: str | bool | None = None, show_progress_bar: bool | None = None
) -> "partial[Located]":
    """A function that finds a model by its name; also used for the base of an adapter, which has no revision.

    >>> finder(local_files_only=True).keywords["local_files_only"]
    True
    """
    from minembed.weights.sources.locate import locate

    return partial(locate, local_files_only=local_files_only, token=token, show_progress_bar=show_progress_bar)


def load_tokenizer(checkpoint: Checkpoint) -> Tokenizer:
    """Read the tokenizer of an encoder."""
    path = checkpoint.folder / "tokenizer.json"
    return Tokenizer.load(path, checkpoint.max_seq_length, checkpoint.config, checkpoint.do_lower_case)


def load_static_tokenizer(checkpoint: Checkpoint) -> StaticTokenizer:
    """Read the tokenizer of static embeddings."""
    path, as_model2vec = checkpoint.folder / "tokenizer.json", checkpoint.family == "model2vec"
    return StaticTokenizer.load(path, checkpoint.max_seq_length, checkpoint.config, as_model2vec)


def fastest(checkpoint: Checkpoint, backend: str) -> tuple[Dtype, str]:
    """The compute type of "auto", and why: the fastest whose vectors have a mean cosine of 0.9999 or more to float32's.

    int8 is fast too, but reaches only 0.9994: it is used only on request, or if the folder stores int8.
    """
    if checkpoint.is_static:
        return "float32", "static embeddings only add the rows of a table"
    if checkpoint.stored_dtype != "float32":
        return checkpoint.stored_dtype, "its folder holds nothing else"
    gain = bfloat16_gain(backend)
    return ("bfloat16", gain) if gain else ("float32", NO_GAIN)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An encoder that is ready to compute, with the chosen backend and compute type."""

    compute: Tier
    backend: str
    dtype: Dtype
    dtype_reason: str | None = None  # if minembed chose the compute type


def prepare_encoder(
    checkpoint: Checkpoint, backend: str, dtype: DtypeChoice | None, keep_params: bool = False, threads: int = 1
) -> Prepared:
    """Read the parameters and prepare the encoder, in the requested compute type or in that of the folder."""
    if dtype == "auto":
        chosen, reason = fastest(checkpoint, backend)
    else:
        chosen, reason = dtype or checkpoint.stored_dtype, None
    as_stored = chosen == "float32" and choose(backend) != "numpy"
    params, config = read_params(checkpoint, as_stored, threads), checkpoint.config
    tier: Tier
    if checkpoint.is_static:
        served, tier = "numpy", static.prepare(params, config, chosen)
    else:
        served, tier = prepare(backend, params, config, chosen, keep_params)
        if reason and chosen == "bfloat16" and served == "numpy":  # the kernels failed, and a warning said so
            chosen, reason = "float32", NO_GAIN
            _, tier = prepare("numpy", params, config, chosen)
    if reason:
        LOG.info("dtype auto: %s is computed in %s, %s", checkpoint.folder, chosen, reason)
    return Prepared(tier, served, chosen, reason)
