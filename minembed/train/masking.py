"""Masking for masked language modelling: which tokens are hidden, and which the model has to predict.

15 % of all tokens are chosen; of these 80 % become the mask token, 10 % a random word, and 10 % stay as they are, so
that the model cannot rely on any word it sees (Devlin et al., 2018).  With whole words, all pieces of a word are chosen
together: a single piece is too easily guessed from its neighbours (Cui et al., 2021).

Numbers come from Philox, as in dropout.py: seed and step are the key, so that any step can be repeated by itself.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from minembed.errors import InputError, TokenizationError
from minembed.models.fill_mask import special_id
from minembed.runtime.checks import check_seed
from minembed.text.settings import ask
from minembed.text.tokenizer import Tokenizer
from minembed.transformer.tokens import Tokens
from minembed.types import Array
from minembed.weights.checkpoint import Checkpoint

SPACES = ("Ġ", "▁", "Ċ", "ĉ")  # the first characters of pieces that begin a word, in byte-level BPE and SentencePiece
LEVELS = 2.0**64  # of a number from Philox


@dataclass(frozen=True, slots=True)
class Words:
    """The facts about a vocabulary of V tokens that masking needs."""

    mask: int  # the id of the mask token
    known: Array  # (V,) bool: is a word or a piece of one, not a special token
    begins: Array  # (V,) bool: begins a word; always true if tokens are chosen one by one


@dataclass(frozen=True, slots=True)
class Masked:
    """Texts in which some tokens are masked."""

    tokens: Tokens
    positions: Array  # (M,) int64, ascending: which of the T tokens have to be predicted
    labels: Array  # (M,) int64: their original ids


def words_of(tokenizer: Tokenizer, checkpoint: Checkpoint, *, whole_words: bool = False) -> Words:
    """Read the vocabulary of a checkpoint's tokenizer.

    Words are recognised by the spelling of their pieces: all but the first begin with "##", or the first begins with a
    space.  Raises TokenizationError for a tokenizer without a mask token, InputError for `whole_words` if pieces do not
    show where a word begins.
    """
    reference, folder, V = tokenizer.reference, checkpoint.folder, checkpoint.config.vocab_size
    mask = special_id(reference, folder, "mask_token")
    if mask is None or mask >= V:
        raise TokenizationError(f"{folder}: the tokenizer has no mask token, in whose place to put words")
    pieces = {piece: i for piece, i in ask(reference.get_vocab, True).items() if i < V}  # those that have weights
    special = np.array(sorted({i for i in _special(reference, folder) if i < V} | {mask}))
    known, begins = np.zeros(V, np.bool_), np.ones(V, np.bool_)
    known[list(pieces.values())] = True
    known[special] = False
    if not known.any():
        raise TokenizationError(f"{folder}: the tokenizer knows no words, but special tokens alone")
    if whole_words:
        own = set(ask(reference.get_added_tokens_decoder))  # added tokens are whole words
        for piece, i in pieces.items():
            begins[i] = i in own or _begins(piece, reference.model)
        if begins[known].all() or not begins[known].any():
            raise InputError(f"{folder}: pieces do not show where words begin: choose tokens, not whole words")
    return Words(mask, known, begins)


def _begins(piece: str, model: Any) -> bool:
    """Whether a piece begins a word."""
    prefix = getattr(model, "continuing_subword_prefix", None)
    return not piece.startswith(prefix) if prefix else piece.startswith(SPACES)


def _special(reference: Any, folder: Path) -> set[int]:
    """The ids of all tokens that are not words."""
    found = {i for i, token in ask(reference.get_added_tokens_decoder).items() if token.special}
    encoding = ask(reference.encode, "")  # the special tokens around a text
    found |= {i for i, special in zip(encoding.ids, encoding.special_tokens_mask, strict=True) if special}
    unknown, padding = getattr(reference.model, "unk_token", None), special_id(reference, folder, "pad_token")
    ids = [padding, None if unknown is None else ask(reference.token_to_id, unknown)]
    return found | {i for i in ids if i is not None}


def mask_tokens(
    tokens: Tokens,
    words: Words,
    *,
    seed: int,
    step: int,
    mlm_probability: float = 0.15,
    mask_replace_prob: float = 0.8,
    random_replace_prob: float = 0.1,
) -> Masked:
    """Choose tokens or whole words, each independently with `mlm_probability`, and mask them; never special tokens.

    Of the chosen tokens, a share of `mask_replace_prob` become the mask token and `random_replace_prob` a random word
    of the vocabulary; the rest stay as they are.  The names are those of transformers.  The same seed, step and tokens
    give the same result.  Raises InputError for invalid shares, and for a seed or a step that is not a whole number
    from 0 to 2^64 - 1.

    >>> words = Words(0, np.arange(100) > 1, np.ones(100, np.bool_))
    >>> tokens = Tokens(np.array([1, *range(10, 30), 1]), np.zeros(22, int), np.array([0, 22]))
    >>> masked = mask_tokens(tokens, words, seed=0, step=3)
    >>> masked.positions.tolist(), masked.labels.tolist(), masked.tokens.ids[masked.positions].tolist()
    ([4, 5, 6, 16, 18], [13, 14, 15, 25, 27], [0, 14, 0, 47, 0])
    """
    _check(seed, step, mlm_probability, mask_replace_prob, random_replace_prob)
    ids, T = tokens.ids, len(tokens.ids)
    if T and int(ids.max()) >= len(words.known):
        raise InputError(f"token {ids.argmax()} has the id {ids.max()}, but the vocabulary ends at {len(words.known)}")
    # never overlaps with dropout of the same step, whose counters contain a hash instead of 0
    key = np.array([seed, step], np.uint64)
    choice, fate, other = np.random.Philox(key=key, counter=np.zeros(4, np.uint64)).random_raw(3 * T).reshape(3, T)
    chosen = words.known[ids] & (choice[_first_pieces(tokens, words)] < mlm_probability * LEVELS)
    positions = np.flatnonzero(chosen)
    replaced = ids.copy()
    share = fate[positions] / LEVELS
    vocabulary = np.flatnonzero(words.known)
    hidden = positions[share < mask_replace_prob]
    swapped = positions[(share >= mask_replace_prob) & (share < mask_replace_prob + random_replace_prob)]
    replaced[hidden] = words.mask
    replaced[swapped] = vocabulary[other[swapped] % len(vocabulary)]
    return Masked(replace(tokens, ids=replaced), positions, ids[positions].astype(np.int64))


def _first_pieces(tokens: Tokens, words: Words) -> Array:  # -> (T,)
    """For every token, the index of the first token of its word; a special token is its own word."""
    known = words.known[tokens.ids]
    starts = words.begins[tokens.ids] | ~known
    starts[1:] |= ~known[:-1]
    starts[tokens.cu_seqlens[:-1]] = True
    return np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))


def _check(seed: int, step: int, mlm_probability: float, mask_replace_prob: float, random_replace_prob: float) -> None:
    check_seed("seed", seed)
    check_seed("step", step)
    for share in (mlm_probability, mask_replace_prob, random_replace_prob):
        if isinstance(share, bool) or not isinstance(share, int | float):
            raise InputError(f"a share of tokens must be a number from 0 to 1, not {share!r}")
    if not 0 < mlm_probability <= 1:
        raise InputError(f"mlm_probability is the share that is chosen, above 0 and at most 1; not {mlm_probability!r}")
    shares = mask_replace_prob, random_replace_prob
    if not (min(shares) >= 0 and sum(shares) <= 1 + 1e-9):
        raise InputError(f"mask_replace_prob and random_replace_prob are shares of one whole; not {shares}")
