"""Texts for a server: split into requests, several of which run at a time, with the results in order."""

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from minembed.errors import InputError, MinembedError, of_text
from minembed.models.remote_calls import Alone, Call
from minembed.models.remote_http import encoded
from minembed.text.tokenizer import clean

Result = TypeVar("Result")
Known = TypeVar("Known", bound=MinembedError)
TEXTS = 64  # per request
BYTES = 200_000  # per request, unless one text has more

ITEM = re.compile(r"item (\d{1,9}) of the request (.*)", re.DOTALL)  # as the server says it

MOST, BATCH = re.compile(r"send up to (\d{1,9}) a request"), r"give batch_size=\1"  # the server's remedy, and ours
SHORTEN = "shorten the text, or start the server with a larger --max-body"


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
    >>> str(placed(InputError("`input` has 2 items: send up to 1 a request"), Piece(4, ["a", "b"])))
    'texts[4:6]: `input` has 2 items: give batch_size=1'
    """
    message = str(error)
    found = ITEM.match(message)
    if found is None or int(found[1]) >= len(piece.texts):
        several = SHORTEN if len(piece.texts) == 1 else "give a smaller batch_size="
        message = message.replace("send several requests", several)
        return type(error)(f"{piece.place}: {MOST.sub(BATCH, message)}")
    return of_text(type(error), piece.start + int(found[1]), found[2])


def pieces(texts: Iterable[object], errors: str, most: int, room: int | None = None) -> Iterator[Piece]:
    """Split texts into requests of at most `most`, which take at most `room` bytes of JSON (None: unknown).

    Raises InputError for an empty text, which servers refuse, and for one that has no room even alone.

    >>> [piece.texts for piece in pieces(iter(["a", "b", "c"]), "replace", 2)]
    [['a', 'b'], ['c']]
    >>> [piece.texts for piece in pieces(iter(["one", "two", "six"]), "replace", 3, room=13)]
    [['one', 'two'], ['six']]
    """
    kept: list[str] = []
    start = size = 0
    fitting = BYTES if room is None else min(BYTES, room)
    for i, text in enumerate(texts):
        ready = clean(text, i, errors)
        if not ready:
            raise InputError(f"texts[{i}] is empty, which servers of OpenAI's interface refuse: leave it out")
        added = len(encoded(ready)) + 1  # a comma
        if room is not None and added > room:
            what = f"texts[{i}] has {added} bytes in JSON, and the server takes {max(0, room)} of texts in a request"
            raise InputError(f"{what}: {SHORTEN}")
        if kept and (len(kept) >= most or size + added > fitting):
            yield Piece(start, kept)
            start, kept, size = i, [], 0
        kept.append(ready)
        size += added
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
