"""Where the network stores a text's meaning: causal tracing over a grid of layers and tokens."""

from dataclasses import dataclass

import numpy as np

from minembed.errors import InputError
from minembed.models.embedder import Embedder
from minembed.study.changes import patch
from minembed.study.editing import edit
from minembed.study.given import check_embedder, check_layers
from minembed.study.importance import cosine_to
from minembed.study.on_numpy import on_numpy
from minembed.study.tracing import trace
from minembed.types import Array

PARTS = {"": "what a layer gives", "attention": "what attention adds", "feed_forward": "what the block adds"}
SMALLEST = 1e-4  # difference of the clean and the corrupted cosine: shares of less are lost in float32's rounding


@dataclass(frozen=True, slots=True, eq=False)
class Restored:
    """By layer and token, the share of the cosine that returns if a corrupted text gets its clean numbers back."""

    pieces: tuple[str, ...]  # (N,) of the clean text
    corrupted: tuple[str, ...]  # (N,)
    rows: tuple[str, ...]  # (R,) the steps that are restored: "embeddings", "layer.0", ...
    clean_cosine: float  # of the clean text with the target
    corrupted_cosine: float
    shares: Array  # (R, N) float64: 0 as corrupted, 1 as clean; outside of these if numbers counteract each other

    def table(self) -> str:
        """The grid as text: a row per step, a column per token."""
        wide = max(map(len, self.rows))
        columns = [max(6, len(piece) + 1) for piece in self.pieces]
        lines = [" " * wide + "".join(p.rjust(n) for p, n in zip(self.pieces, columns, strict=True))]
        lines += [" " * wide + "".join(p.rjust(n) for p, n in zip(self.corrupted, columns, strict=True))]
        for name, row in zip(self.rows, self.shares.tolist(), strict=True):
            cells = (f"{x + 0.0:.2f}".rjust(n) for x, n in zip(row, columns, strict=True))
            lines.append(name.ljust(wide) + "".join(cells))
        return "\n".join(lines)


def causal_trace(model: Embedder, clean: str, corrupted: str, target: str, *, part: str = "") -> Restored:
    """Restore one row at a time in a corrupted text, and measure how much of its cosine with a target returns.

    Corruption is another text of as many tokens, such as the clean one with a word exchanged, so that the numbers are
    those of real language; all that the two have in common is no cause of the difference.  For every layer and every
    token the corrupted text is computed with that token's row of the clean text, and all that follows from it (causal
    tracing: Meng et al., 2022).  `part` is "" for what layers give (and the embeddings), "attention" or "feed_forward"
    for what these blocks add.  L N passes over one text.

    Raises InputError if the texts have different numbers of tokens, or their cosines with the target are almost equal:
    then there is nothing to restore.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> found = causal_trace(model, "a cat sleeps", "a train sleeps", "a kitten naps")  # doctest: +SKIP
    >>> found.shares.shape  # doctest: +SKIP
    (7, 5)
    """
    if part not in PARTS:
        raise InputError(f"part must be one of {', '.join(map(repr, PARTS))}, not {part!r}")
    check_embedder(model, "causal_trace")
    if part:
        check_layers(model, f"causal_trace with part={part!r}")
    model = on_numpy(model)
    whole, broken, wanted = trace(model, [clean, corrupted, target])
    if len(whole.pieces) != len(broken.pieces):
        raise InputError(
            f"clean has {len(whole.pieces)} tokens and corrupted {len(broken.pieces)}: exchange words that are as many "
            f"tokens; they are {' '.join(whole.pieces)} and {' '.join(broken.pieces)}"
        )
    number = cosine_to(wanted["vector"])
    best, worst = number(whole["vector"])[0], number(broken["vector"])[0]
    if abs(best - worst) < SMALLEST:
        raise InputError(
            f"clean and corrupted have the same cosine with target, {best:.5f}: there is nothing to restore"
        )
    layers = range(model.config.num_hidden_layers)
    rows = tuple(f"layer.{i}.{part}" for i in layers) if part else ("embeddings", *(f"layer.{i}" for i in layers))
    shares = np.zeros((len(rows), len(whole.pieces)))
    for i, name in enumerate(rows):
        for token in range(len(whole.pieces)):
            vector = edit(model, {name: patch(whole, token=token)}).encode(corrupted)
            shares[i, token] = (number(vector)[0] - worst) / (best - worst)
    return Restored(whole.pieces, broken.pieces, rows, best, worst, shares)
