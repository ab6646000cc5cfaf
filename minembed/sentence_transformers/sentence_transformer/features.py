"""From texts to the reference's dictionaries of padded arrays, and from these to hidden states and vectors."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedCallError
from minembed.models.engine import report_truncation
from minembed.models.options import Options
from minembed.models.static import Bags, StaticTokenizer
from minembed.runtime.columns import as_texts
from minembed.runtime.progress import Progress
from minembed.sentence_transformers.tensors import as_array, tensor
from minembed.sentence_transformers.tokenizer import Features, padded
from minembed.sentence_transformers.util.quantization import quantize_embeddings
from minembed.transformer.modules import transform
from minembed.transformer.pooling import pool
from minembed.transformer.tokens import Tokens
from minembed.transformer.vectors import l2_normalize
from minembed.types import Array

if TYPE_CHECKING:
    from minembed.models.engine import Engine


def read(engine: "Engine", texts: Any, prompt: str, errors: str = "replace") -> Tokens:
    """Tokenize texts with a prompt in front, or pairs of texts; a pair is read as one text with two segments.

    Raises UnsupportedCallError for pairs with a prompt, and for pairs with static embeddings.
    """
    pairs = pairs_in(texts)
    if not pairs:
        return engine.tokenizer([prompt + text for text in as_texts(texts, "inputs")], errors)
    if prompt:
        raise UnsupportedCallError("a prompt for pairs of texts is not supported: prepend it to their first texts")
    if isinstance(engine.tokenizer, StaticTokenizer):
        raise UnsupportedCallError("static embeddings read no pairs of texts: join each pair to one text")
    return engine.tokenizer.pairs([first for first, _ in pairs], [second for _, second in pairs], errors)


def cut_in(tokens: Tokens) -> list[int]:
    """The indices of the texts that were truncated.

    >>> cut_in(Tokens(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(1, np.int64)))
    []
    """
    return [] if tokens.truncated is None else np.flatnonzero(tokens.truncated).tolist()


def tell_cut(cut: list[int], limit: int, options: Options) -> None:
    """Warn about truncated texts, or raise InputError, depending on the options.

    >>> tell_cut([3], 256, Options(truncation="silent"))
    """
    if cut and options.truncation == "error":
        raise InputError(
            f"inputs[{min(cut)}] has more than {limit} tokens; shorten it, or let truncation='warn' cut it"
        )
    report_truncation(sorted(cut), limit, options)


def features_of(engine: "Engine", tokens: Tokens, prompt: str, tokenizer: Any) -> Features:
    """The result of the reference's `preprocess`: int64 arrays (B, T) padded on the tokenizer's side, as tensors."""
    if not len(tokens):
        return Features()
    ids, types = (np.split(x.astype(np.int64), tokens.cu_seqlens[1:-1]) for x in (tokens.ids, tokens.types))
    if engine.checkpoint.is_static:
        return Features(input_ids=tensor(tokens.ids.astype(np.int64)), offsets=tensor(tokens.cu_seqlens[:-1]))
    side = tokenizer.padding_side
    features = Features(input_ids=tensor(padded(ids, tokenizer.pad_token_id or 0, side)))
    if engine.tokenizer.has_types:
        features["token_type_ids"] = tensor(padded(types, 0, side))
    features["attention_mask"] = tensor(padded([np.ones_like(row) for row in ids], 0, side))
    features["modality"] = "text"
    if prompt:
        features["prompt_length"] = engine.tokenizer.prompt_length(prompt)
    return features


def tokens_of(features: Mapping[str, Any]) -> Tokens:  # (B, T) -> (T,) packed
    """Turn padded arrays back into packed tokens, without masked places.

    Raises InputError for features without input_ids, or with different shapes.

    >>> tokens_of({"input_ids": np.array([[5, 6], [7, 0]]), "attention_mask": np.array([[1, 1], [1, 0]])}).ids.tolist()
    [5, 6, 7]
    """
    if "input_ids" not in features:
        raise InputError("the features have no input_ids: give what tokenize or preprocess returned")
    ids = as_array(features["input_ids"], "input_ids")
    if "offsets" in features:
        cu = np.append(as_array(features["offsets"], "offsets"), len(ids))
        return Bags(ids.astype(np.int32), np.zeros(len(ids), np.int32), cu)
    mask = as_array(features.get("attention_mask", np.ones_like(ids)), "attention_mask").astype(bool)
    types = as_array(features.get("token_type_ids", np.zeros_like(ids)), "token_type_ids")
    if not (ids.ndim == 2 and ids.shape == mask.shape == types.shape):
        raise InputError(f"input_ids, attention_mask and token_type_ids must be (B, T); got {ids.shape}, {mask.shape}")
    bounds = np.concatenate([[0], np.cumsum(mask.sum(axis=1))])
    return Tokens(ids[mask].astype(np.int32), types[mask].astype(np.int32), bounds)


def computed(engine: "Engine", features: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of the reference's forward: token_embeddings (B, T, D), zeros if masked, and sentence_embedding."""
    tokens = tokens_of(features)
    states, checkpoint = states_of(engine, tokens), engine.checkpoint
    skipped = 0 if checkpoint.include_prompt else int(features.get("prompt_length", 0))
    hidden = np.concatenate(states)
    if checkpoint.is_static:
        pooled = engine.compute.pooled(tokens, checkpoint.pooling, skipped)
        return {**features, "sentence_embedding": tensor(transform(pooled, checkpoint.modules, engine.modules))}
    pooled = pool(hidden, tokens.cu_seqlens, checkpoint.pooling, skipped)
    vectors = transform(pooled, checkpoint.modules, engine.modules)
    laid = _laid_out(states, as_array(features.get("attention_mask", np.ones(np.shape(features["input_ids"])))))
    return {**features, "token_embeddings": tensor(laid), "sentence_embedding": tensor(vectors)}


def _laid_out(states: Sequence[Array], mask: Array) -> Array:  # of (T_i, D) -> (B, T, D)
    out = np.zeros((*mask.shape, states[0].shape[1]), np.float32)
    out[mask.astype(bool)] = np.concatenate(states)
    return out


def by_text(features: Mapping[str, Any], n: int) -> list[dict[str, Any]]:
    """Split features into one dictionary per text.

    >>> by_text({"input_ids": np.array([[1], [2]]), "modality": "text"}, 2)[1]
    {'input_ids': array([2]), 'modality': 'text'}
    """
    return [
        {name: value[i] if np.ndim(value) and len(value) == n else value for name, value in features.items()}
        for i in range(n)
    ]


def pairs_in(texts: Any) -> list[tuple[str, str]] | None:
    """The pairs of texts if all inputs are pairs; None if none is.

    Raises InputTypeError if only some are pairs, or if they are pairs of something else than texts.

    >>> pairs_in([["a title", "its passage"]])
    [('a title', 'its passage')]
    """
    if not isinstance(texts, list | tuple) or not any(isinstance(text, list | tuple) for text in texts):
        return None
    for i, pair in enumerate(texts):
        if not (isinstance(pair, list | tuple) and len(pair) == 2 and all(isinstance(part, str) for part in pair)):
            raise InputTypeError(f"inputs[{i}] is no pair of str, and others are pairs: give all in one form")
    return [(first, second) for first, second in texts]


def states_of(engine: "Engine", tokens: Tokens) -> list[Array]:  # of (T_i, D)
    """The hidden states of each text."""
    with Progress(tokens, "text", show=False) as progress:
        return engine.hidden_states(tokens, None, progress)


def vectors_of(
    engine: "Engine", tokens: Tokens, *, normalize_embeddings: bool, truncate_dim: int | None, precision: str
) -> Array:  # (N, D)
    """One vector for each text."""
    checkpoint = engine.checkpoint
    pooled = pool(np.concatenate(states_of(engine, tokens)), tokens.cu_seqlens, checkpoint.pooling)
    vectors = transform(pooled, checkpoint.modules, engine.modules)[:, :truncate_dim]
    vectors = l2_normalize(vectors) if normalize_embeddings else np.ascontiguousarray(vectors)
    found: Array = vectors if precision == "float32" else quantize_embeddings(vectors, precision)
    return found
