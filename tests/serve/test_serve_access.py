"""The access log: when its lines are written."""

import asyncio
import io
import time

import pytest

from minembed.serve import access
from minembed.serve.access import AccessLog, Entry

ENTRY = Entry("127.0.0.1", "GET", "/ping", 200, 1.0)


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(access, "PATIENCE", 0.05)
    return AccessLog("human", io.StringIO())


def lines(log):
    return log._stream.getvalue().count("/ping")


async def written(log, number):
    end = time.monotonic() + 10
    while lines(log) < number:
        assert time.monotonic() < end
        await asyncio.sleep(0.01)


def test_the_last_lines_do_not_wait_for_another_request(log):
    async def ask():
        log.add(ENTRY)
        log.add(ENTRY)
        assert lines(log) == 0  # they are written together
        await written(log, 2)
        assert log._timer is None  # none while nothing is buffered
        log.add(ENTRY)
        await written(log, 3)

    asyncio.run(ask())


def test_lines_are_not_lost_with_the_loop_whose_timer_would_have_written_them(log):
    async def once():
        log.add(ENTRY)

    async def again():
        log.add(ENTRY)
        await written(log, 2)

    asyncio.run(once())
    asyncio.run(again())
    asyncio.run(once())
    log.flush()
    assert lines(log) == 3


def test_without_a_loop_lines_are_written_at_once(log):
    log.add(ENTRY)
    assert lines(log) == 1


def test_a_closed_stream_ends_the_log_only(log):
    log._stream.close()
    log.add(ENTRY)
    assert log.kind == "none"
