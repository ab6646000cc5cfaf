"""The batches of examples: a pure function of the seed and the epoch, so that no state has to be saved."""

from collections.abc import Sequence

import numpy as np

from minembed.types import Array

WINDOW = 64  # batches, within which examples of similar length are put together


def order(n: int, seed: int, epoch: int) -> Array:  # -> (n,)
    """The examples of an epoch, shuffled: by Philox (Salmon et al., 2011), keyed by seed and epoch.

    >>> order(5, seed=1, epoch=0).tolist() == order(5, seed=1, epoch=0).tolist() != order(5, seed=1, epoch=1).tolist()
    True
    """
    return np.random.Generator(np.random.Philox(key=np.array([seed, epoch], np.uint64))).permutation(n)


def batches(
    n: int, batch_size: int, seed: int, epoch: int, lengths: Array | None = None, texts: Sequence[Sequence[str]] = ()
) -> list[Array]:
    """Divide the examples of an epoch into batches.

    With `lengths` (n,), examples of similar length are put together, within a window of batches; with `texts` (columns
    of n texts), no text occurs twice in a batch: an example whose text is already there is put into a later one.

    >>> [len(batch) for batch in batches(10, 4, seed=0, epoch=0)]
    [4, 4, 2]
    >>> [batch.tolist() for batch in batches(4, 2, seed=0, epoch=0, texts=[["a", "a", "b", "b"]])]
    [[1, 2], [0, 3]]
    """
    shuffled = order(n, seed, epoch)
    if lengths is not None:
        span = batch_size * WINDOW
        parts = [shuffled[i : i + span] for i in range(0, n, span)]
        shuffled = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in parts])
    if texts:
        made = _without_duplicates(shuffled.tolist(), batch_size, texts)
    else:
        made = [shuffled[i : i + batch_size] for i in range(0, n, batch_size)]
    if lengths is not None:  # short and long batches in random order
        made = [made[i] for i in order(len(made), seed, epoch)]
    return made


def _without_duplicates(shuffled: list[int], batch_size: int, texts: Sequence[Sequence[str]]) -> list[Array]:
    """Put each example into the first batch with room after those that have one of its texts."""
    made: list[list[int]] = []
    free: list[int] = []  # a batch -> a later one that may have room; itself, while it has room
    behind: dict[str, int] = {}  # text -> the batch after the last that has it

    def with_room(i: int) -> int:
        way = []
        while i < len(made) and free[i] != i:
            way.append(i)
            i = free[i]
        for passed in way:  # the next search takes one step
            free[passed] = i
        return i

    for example in shuffled:
        own = {column[example] for column in texts}
        i = with_room(max(behind.get(text, 0) for text in own))
        if i == len(made):
            made.append([])
            free.append(i)
        made[i].append(example)
        behind |= dict.fromkeys(own, i + 1)
        if len(made[i]) == batch_size:
            free[i] = i + 1
    return [np.array(batch) for batch in made]
