"""Models with other settings that share the same weights in memory."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from minembed.errors import ModelWarning, warn
from minembed.runtime.checks import check_whole

if TYPE_CHECKING:
    from minembed.models.embedder import Embedder
    from minembed.models.reranker import Reranker
    from minembed.weights.checkpoint import Checkpoint


def capped(checkpoint: "Checkpoint", max_seq_length: object) -> int:
    """The limit in tokens, reduced to the model's positions (with a ModelWarning) if it is more.

    Raises InputError unless it is a whole number of at least 1.
    """
    limit, positions = check_whole("max_seq_length", max_seq_length), checkpoint.config.max_tokens
    if limit <= positions:
        return limit
    warn(f"max_seq_length {limit} is more than the model's {positions} positions: {positions} are read", ModelWarning)
    return positions


def with_settings(model: "Embedder", *, max_seq_length: int | None = None, **settings: Any) -> "Embedder":
    """The same Embedder with another limit (tokens) or other fields of its Checkpoint, such as prompts.

    Raises InputError and ConfigError for a limit that the model cannot have.
    """
    engine = model.engine
    checkpoint, tokenizer = replace(engine.checkpoint, **settings), engine.tokenizer
    if max_seq_length is not None:
        limit = capped(checkpoint, max_seq_length)
        checkpoint, tokenizer = replace(checkpoint, max_seq_length=limit), tokenizer.with_limit(limit)
    return replace(model, engine=replace(engine, checkpoint=checkpoint, tokenizer=tokenizer))


def reranker_with_limit(model: "Reranker", max_seq_length: int) -> "Reranker":
    """The same Reranker with another limit (tokens).

    Raises InputError and ConfigError for a limit that the model cannot have.
    """
    checkpoint = model.model.checkpoint
    limit = capped(checkpoint, max_seq_length)
    tokenizer = model.tokenizer.with_limit(limit)
    tokenizer.pairs(["a"], ["b"])
    checkpoint = replace(checkpoint, max_seq_length=limit)
    return replace(model, model=replace(model.model, checkpoint=checkpoint), tokenizer=tokenizer)
