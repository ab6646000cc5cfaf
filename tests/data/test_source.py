"""The bytes of a user's file: looked at, and then read."""

import io
import time

from minembed.data.source import Stream


def test_what_is_looked_at_is_read_once_more():
    stream = Stream(io.BytesIO(bytes(range(100))), "x")
    assert stream.look(3)[:3] == b"\0\1\2" and stream.read(2) == b"\0\1"
    assert stream.look(5)[:5] == bytes(range(2, 7)) and stream.read() == bytes(range(2, 100))
    assert stream.look(1) == b"" and stream.ended and stream.read() == b""


def test_long_beginnings_take_time_that_grows_with_them_alone():
    """As of one line of hundreds of megabytes; copied anew for each block, this one would take minutes."""
    content = bytes(40_000_000)
    begin = time.process_time()
    stream = Stream(io.BytesIO(content), "x")
    assert len(stream.look(len(content))) == len(content)
    assert sum(len(block) for block in iter(lambda: stream.read(8192), b"")) == len(content)
    assert time.process_time() - begin < 5
