"""`aencode`: the vectors of `encode`, from a thread, for as long as somebody waits."""

import asyncio
import inspect
import threading

import pytest

from minembed import Embedder
from minembed.errors import InputError, InputTypeError
from minembed.runtime.progress import Progress, Stopped

TEXTS = ["one text", "another text that is longer", ""]


def test_the_bits_of_encode(tiny_model):
    assert inspect.iscoroutinefunction(Embedder.aencode)
    vectors = asyncio.run(tiny_model.aencode(TEXTS, truncate_dim=8))
    assert (vectors == tiny_model.encode(TEXTS, truncate_dim=8)).all()
    assert (asyncio.run(tiny_model.aencode("one text")) == tiny_model.encode("one text")).all()


def test_many_at_once(tiny_model):
    async def all_of_them():
        return await asyncio.gather(*(tiny_model.aencode(text) for text in TEXTS * 10))

    for vector, expected in zip(asyncio.run(all_of_them()), [tiny_model.encode(t) for t in TEXTS] * 10, strict=True):
        assert (vector == expected).all()


def test_errors_come_out_where_it_is_awaited(tiny_model):
    with pytest.raises(InputTypeError, match=r"texts\[1\]"):
        asyncio.run(tiny_model.aencode(["a", 1]))
    with pytest.raises(InputError, match="precision"):
        asyncio.run(tiny_model.aencode("a", precision="int9"))
    with pytest.raises(InputTypeError, match="did you mean 'precision'"):
        asyncio.run(tiny_model.aencode("a", precison="int8"))


def test_an_error_that_no_thread_can_hand_over(tiny_model):
    """asyncio loses a StopIteration that a thread raises, and waits for ever."""

    class Empty:
        def __iter__(self):
            raise StopIteration

    with pytest.raises(InputError, match="cannot be iterated"):
        asyncio.run(asyncio.wait_for(tiny_model.aencode(Empty()), 20))


@pytest.mark.parametrize("how", ["cancel", "timeout"])
def test_what_nobody_waits_for_ends_at_the_next_chunk(tiny_model, how):
    """Texts come from a generator that lets the first window through and then sees the task go; of what follows,
    at most one more window is read: without the stop, all would be."""
    reading, gone, ended = threading.Event(), threading.Event(), threading.Event()
    read = 0

    def texts():
        nonlocal read
        try:
            for read in range(1, 200_001):
                if read == 100:
                    reading.set()
                    assert gone.wait(30)
                yield "a text"
        finally:
            ended.set()

    async def leave():
        task = asyncio.create_task(tiny_model.aencode(texts()))
        await asyncio.to_thread(reading.wait, 30)
        if how == "cancel":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(task, 0.01)
        gone.set()
        assert await asyncio.to_thread(ended.wait, 30)

    asyncio.run(leave())
    assert read < 50_000
    assert (asyncio.run(tiny_model.aencode(TEXTS)) == tiny_model.encode(TEXTS)).all()


def test_a_step_after_the_stop():
    stop = threading.Event()
    with Progress(["a", "b"], "text", show=False, stop=stop) as progress:
        progress.advance(1)
        stop.set()
        with pytest.raises(Stopped):
            progress.advance(1)
