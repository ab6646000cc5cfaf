"""Texts for a server: split into requests, several of which run at a time, with the results in order."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from minembed.errors import InputError, MinembedError, of_text
from minembed.models.remote_calls import Alone, Call
from minembed.text.tokenizer import clean

Result = TypeVar("Result")
Known = TypeVar("Known", bound=MinembedError)
TEXTS = 64  # per request
CHARACTERS = 200_000  # per request, unless one text has more: below a server's limit in any language

ITEM = re.compile(r"item (\d{1,9}) of the request (.*)", re.DOTALL)  # as the server says it


@dataclass(frozen=True, slots=True)
class Piece:
    """The texts of one request, and the caller's index of the first."""

    start: int
    texts: list[str]

    @property
    def place(self) -> str:
        """The name of these texts in messages.

        >>> Piece(4, ["a", "b"]).place
        'texts[4:6]'
        """
        many = len(self.texts)
        return f"texts[{self.start}]" if many == 1 else f"texts[{self.start}:{self.start + many}]"


def placed(error: Known, piece: Piece) -> Known:
    """A server's error about a request, with the caller's index of the text, or of all its texts.

    >>> str(placed(InputError("item 1 of the request is too long"), Piece(4, ["a", "b"])))
    'texts[5] is too long'
    >>> str(placed(InputError("the prompt is too long"), Piece(4, ["a", "b"])))
    'texts[4:6]: the prompt is too long'
    """
    found = ITEM.match(str(error))
    if found is None or int(found[1]) >= len(piece.texts):
        return type(error)(f"{piece.place}: {error}")
    return of_text(type(error), piece.start + int(found[1]), found[2])


def pieces(texts: Iterable[object], errors: str, most: int) -> Iterator[Piece]:
    """Split texts into requests of at most `most`; raises InputError for an empty text, which servers refuse.

    >>> [piece.texts for piece in pieces(iter(["a", "b", "c"]), "replace", 2)]
    [['a', 'b'], ['c']]
    """
    kept: list[str] = []
    start = size = 0
    for i, text in enumerate(texts):
        ready = clean(text, i, errors)
        if not ready:
            raise InputError(f"texts[{i}] is empty, which servers of OpenAI's interface refuse: leave it out")
        if kept and (len(kept) == most or size + len(ready) > CHARACTERS):
            yield Piece(start, kept)
            start, kept, size = i, [], 0
        kept.append(ready)
        size += len(ready)
    if kept:
        yield Piece(start, kept)


def in_order(
    work: Callable[[Piece, Call], Result], some: Iterator[Piece], concurrency: int, call: Call | None = None
) -> Iterator[Result]:
    """Yield work(piece, call) for each piece, in order.

    Up to `concurrency` pieces are worked on at a time, and as many results may wait.  At the end, also after an error
    or an interrupt, the call is stopped: no thread goes on sending.

    >>> list(in_order(lambda piece, call: piece.start, iter([Piece(0, ["a"]), Piece(1, ["b"])]), 2))
    [0, 1]
    """
    first, second = next(some, None), next(some, None)
    if first is not None and second is None:  # one request needs no threads
        yield work(first, call or Alone())
    if first is None or second is None:
        return
    waiting: deque[Future[Result]] = deque()
    call = call or Call()
    pool = ThreadPoolExecutor(concurrency, "minembed-connect")
    try:
        waiting += [pool.submit(work, first, call), pool.submit(work, second, call)]
        for piece in some:
            waiting.append(pool.submit(work, piece, call))
            while len(waiting) > concurrency:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        call.stop()
        pool.shutdown(wait=False, cancel_futures=True)
