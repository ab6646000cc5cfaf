"""How texts are dealt out: windows of an iterable, and chunks of texts of like length within a token budget.

A chunk goes through all layers on one thread, so its activations should stay in that core's cache; it should also have
rows enough for the matrix products to run at full speed. Neither changes a bit of the result.
"""

import sys
from collections.abc import Iterable, Iterator, Sized
from itertools import chain, islice
from types import TracebackType
from typing import Any

import numpy as np

from minembed.errors import InputTypeError
from minembed.params import Array

WINDOW = 4096  # texts: what is tokenized and sorted together, and so bounds memory on endless input
CHUNK_TOKENS = 1024
SMALLEST_CHUNK = 64  # tokens: a little work is not spread thinner than this


def check_texts(texts: object) -> None:
    """Raise InputTypeError, with what to do, for what cannot be an iterable of texts.

    >>> check_texts(["a", "b"])
    """
    if isinstance(texts, bytes | bytearray | memoryview):
        raise InputTypeError(f"texts is {type(texts).__name__}, not str: decode it first, as in texts.decode()")
    if isinstance(texts, str):
        return
    try:
        iter(texts)  # type: ignore[call-overload]
    except TypeError:
        kind = type(texts).__name__
        raise InputTypeError(f"texts is {kind}; give a str, or a list or other iterable of str") from None


def windows(texts: Iterable[Any], prompt: str) -> Iterator[tuple[int, list[Any]]]:
    """Cut an iterable into lists of at most WINDOW texts, with the prompt put in front of each.

    >>> list(windows(iter(["a", "b"]), "q: "))
    [(0, ['q: a', 'q: b'])]
    """
    iterator, start = iter(texts), 0
    for first in iterator:
        window = list(chain([first], islice(iterator, WINDOW - 1)))
        yield start, [prompt + text if prompt and isinstance(text, str) else text for text in window]
        start += len(window)


def plan(lengths: Array, threads: int, batch_size: int | None) -> list[Array]:  # (B,) -> indices of texts, by chunk
    """Group texts by length, longest first, within the token budget (one text may exceed it by itself).

    >>> [chunk.tolist() for chunk in plan(np.array([3, 500, 4, 200]), threads=2, batch_size=None)]
    [[1], [3, 2, 0]]
    """
    budget = max(SMALLEST_CHUNK, min(CHUNK_TOKENS, -(-int(lengths.sum()) // threads)))
    order = np.argsort(-lengths, kind="stable")
    chunks: list[Array] = []
    begin = total = 0
    for at, length in enumerate(lengths[order].tolist()):
        if at > begin and (total + length > budget or at - begin == batch_size):
            chunks.append(order[begin:at])
            begin, total = at, 0
        total += length
    if begin < len(order):
        chunks.append(order[begin:])
    return chunks


class Progress:
    """A progress bar on standard error: if asked for, or on a terminal for work of more than two seconds.

    >>> with Progress(["a"], "text", show=False) as progress:
    ...     progress.advance(1)
    """

    def __init__(self, work: object, unit: str, show: bool | None) -> None:
        self._bar: Any = None
        total = len(work) if isinstance(work, Sized) else None
        if show or (show is None and (total is None or total > 64) and sys.stderr is not None and sys.stderr.isatty()):
            from tqdm import tqdm  # late: `import minembed` stays light

            self._bar = tqdm(total=total, unit=unit, delay=0 if show else 2, leave=bool(show))

    def advance(self, n: int, note: str = "") -> None:
        """Move on by n; `note` stands behind the bar."""
        if self._bar is not None:
            if note:
                self._bar.set_postfix_str(note, refresh=False)
            self._bar.update(n)

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
