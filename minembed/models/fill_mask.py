"""Filling masks: the words that a masked-language model predicts for a mask token."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from minembed.errors import InputError, NumericalError, TokenizationError, TruncationWarning, warn
from minembed.models.batching import plan
from minembed.runtime.checks import whole_number
from minembed.runtime.columns import column
from minembed.runtime.threads import run, single_threaded_blas
from minembed.text.settings import ask
from minembed.transformer.heads import MaskedHead, word_scores
from minembed.transformer.ops import softmax
from minembed.transformer.tokens import Tokens
from minembed.types import Array

if TYPE_CHECKING:
    from pathlib import Path

    from minembed.models.engine import Engine

TOGETHER = 64  # texts per step: every mask has a row of logits as wide as the vocabulary
USUAL = {"mask_token": ("[MASK]", "<mask>"), "pad_token": ("[PAD]", "<pad>")}


def special_id(reference: Any, folder: "Path", kind: str) -> int | None:
    """The id of the special token that a checkpoint's tokenizer files call mask_token or pad_token, or None."""
    from minembed.runtime.json_files import optional_json

    named: Any = None
    for file in ("tokenizer_config.json", "special_tokens_map.json"):
        named = named or optional_json(folder / file).get(kind)
    if isinstance(named, dict):
        named = named.get("content")
    ids = [ask(reference.token_to_id, token) for token in ((named,) if isinstance(named, str) else USUAL[kind])]
    return next((int(i) for i in ids if i is not None), None)


@dataclass(frozen=True, slots=True)
class MaskFiller:
    """An encoder with its masked-LM head: call it with texts.  It is immutable, so threads can share it.

    `Embedder.fill_mask` makes one for each call, so that an Embedder keeps no head in memory; for many calls, keep one.
    """

    engine: "Engine"
    head: MaskedHead
    mask_id: int
    pad_id: int | None

    @classmethod
    def load(cls, engine: "Engine") -> "MaskFiller":
        """Read the masked-LM head from the files of an encoder's checkpoint.

        Raises MissingHeadError if it was saved without one, TokenizationError if its tokenizer has no mask token.
        """
        from minembed.weights.heads import read_masked

        checkpoint, reference = engine.checkpoint, engine.tokenizer.reference
        head = read_masked(checkpoint)
        mask, pad = (special_id(reference, checkpoint.folder, kind) for kind in ("mask_token", "pad_token"))
        if mask is None:
            raise TokenizationError(
                f"{checkpoint.folder}: the tokenizer has no mask token, in whose place to put words"
            )
        return cls(engine, head, mask, pad)

    @property
    def mask_token(self) -> str:
        """The token that marks the word to predict."""
        return str(self.engine.tokenizer.reference.id_to_token(self.mask_id))

    @overload
    def __call__(self, texts: str, top_k: int = 5) -> list[Any]: ...

    @overload
    def __call__(self, texts: Iterable[str], top_k: int = 5) -> list[list[Any]]: ...

    def __call__(self, texts: str | Iterable[str], top_k: int = 5) -> list[Any]:
        """Predict the most probable words for the masks of one text, or of several.

        A text with one mask gives a list of {"score", "token", "token_str", "sequence"}, the most probable first; with
        several masks, one such list per mask, in which the other masks stay.  An iterable of texts gives a list of
        these.  Raises InputError for a text without a mask, or a bad `top_k`.
        """
        words, number = len(self.head.decoder), whole_number(top_k)
        if number is None or not 1 <= number <= words:
            raise InputError(f"top_k must be a whole number from 1 to the {words} words of the model, not {top_k!r}")
        if isinstance(texts, str):
            return next(self._fill([texts], number, 0))
        found: list[Any] = []
        iterator = iter(column(texts, "texts"))
        while window := list(islice(iterator, TOGETHER)):
            found += self._fill(window, number, len(found))
        return found

    def _fill(self, texts: list[str], top_k: int, start: int) -> Iterator[list[Any]]:
        tokens = self.engine.tokenizer(texts, first_index=start)
        self._check(tokens, start)
        bounds = tokens.cu_seqlens
        scores = self.probabilities(tokens, start)
        for i in range(len(tokens)):
            ids = tokens.ids[bounds[i] : bounds[i + 1]]
            places = np.flatnonzero(ids == self.mask_id).tolist()
            rows = [
                self._row(p, ids, place, top_k, len(places) == 1) for p, place in zip(scores[i], places, strict=True)
            ]
            yield rows[0] if len(places) == 1 else rows

    def _check(self, tokens: Tokens, start: int) -> None:
        limit = self.engine.checkpoint.max_seq_length
        counts = np.add.reduceat(tokens.ids == self.mask_id, tokens.cu_seqlens[:-1], dtype=np.int64)
        if not counts.all():
            text = start + int(counts.argmin())
            raise InputError(f"texts[{text}] has no {self.mask_token} among the first {limit} tokens, which are read")
        if tokens.truncated is not None and tokens.truncated.any():
            which = ", ".join(str(start + i) for i in np.flatnonzero(tokens.truncated)[:5])
            warn(f"texts longer than {limit} tokens were cut: texts[{which}]; shorten them", TruncationWarning)

    def probabilities(self, tokens: Tokens, start: int = 0) -> list[Array]:
        """Compute the probability of every word for every mask: (masks, V) per text.

        `start` is the index of the first text.  Raises NumericalError if the result would contain NaN or infinity.
        """
        found: list[Array] = [np.empty(0)] * len(tokens)

        def work(chunk: Array) -> Array:  # -> (M, V): of all masks of the chunk
            some = tokens.select(chunk)
            with np.errstate(over="ignore", invalid="ignore", under="ignore"):  # the result is checked instead
                hidden = self.engine.compute(some)[some.ids == self.mask_id]  # (T, D) -> (M, D)
                return softmax(word_scores(hidden, self.head))

        chunks = plan(tokens.lengths(), self.engine.threads, None)
        with single_threaded_blas(), closing(run(work, chunks, self.engine.threads)) as results:
            for i, result in results:
                if not np.isfinite(result).all():
                    texts = (start + chunks[i]).tolist()
                    raise NumericalError(f"one of texts{texts} gives NaN or infinity: the weights overflow float32")
                masks = [int((tokens.select([text]).ids == self.mask_id).sum()) for text in chunks[i]]
                for text, rows in zip(chunks[i], np.split(result, np.cumsum(masks)[:-1]), strict=True):
                    found[text] = rows
        return found

    def _row(self, p: Array, ids: Array, place: int, top_k: int, alone: bool) -> list[dict[str, Any]]:
        """The most probable words for one mask; ties in order of their ids."""
        reference, row = self.engine.tokenizer.reference, []
        for word in np.argsort(-p, kind="stable")[:top_k].tolist():
            filled = ids.copy()
            filled[place] = word
            kept = filled[filled != self.pad_id].tolist() if self.pad_id is not None else filled.tolist()
            texts = reference.decode([word], skip_special_tokens=False), reference.decode(kept, alone)
            row.append({"score": float(p[word]), "token": word, "token_str": texts[0], "sequence": texts[1]})
        return row
