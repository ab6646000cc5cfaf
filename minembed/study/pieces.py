"""The strings of token ids."""

from typing import Any

import numpy as np

from minembed.types import Array


def pieces_of(tokenizer: Any, ids: Array) -> tuple[tuple[str, ...], Array]:  # (N,) -> N str, (N,) bool
    """The pieces of a vocabulary for ids, as it has them ("##ing"), and which are special, like "[CLS]".

    `tokenizer` is a tokenizers.Tokenizer.

    >>> from tokenizers import Tokenizer, models
    >>> tokenizer = Tokenizer(models.WordLevel({"[CLS]": 0, "cat": 1}, "cat"))
    >>> _ = tokenizer.add_special_tokens(["[CLS]"])
    >>> pieces_of(tokenizer, np.array([0, 1]))
    (('[CLS]', 'cat'), array([ True, False]))
    """
    special = {i for i, added in tokenizer.get_added_tokens_decoder().items() if added.special}
    pieces = tuple(tokenizer.id_to_token(i) or f"[{i}]" for i in ids.tolist())
    return pieces, np.array([i in special for i in ids.tolist()], dtype=bool)
