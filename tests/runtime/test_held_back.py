"""Signals that are held back: none is lost, none is heard inside, and all is as before afterwards."""

import os
import signal
import sys
import threading
from importlib import import_module

import pytest

from minembed.runtime.interrupts import forget, held_back, note


@pytest.fixture(params=["python", "ours"])
def handler(request):
    """A handler of SIGINT that raises: Python's own, or that of the commands."""
    handlers = {"python": signal.default_int_handler, "ours": lambda number, frame: note(number)}
    before = signal.signal(signal.SIGINT, handlers[request.param])
    yield handlers[request.param]
    signal.signal(signal.SIGINT, before)
    forget()


def press():
    signal.raise_signal(signal.SIGINT)


def test_a_signal_waits_for_the_end(handler):
    steps = []
    with pytest.raises(KeyboardInterrupt), held_back():
        press()
        steps.append("the end")
    assert steps == ["the end"] and signal.getsignal(signal.SIGINT) is handler
    with held_back():
        assert signal.getsignal(signal.SIGINT) is not handler
    assert signal.getsignal(signal.SIGINT) is handler


def test_a_second_one_waits_no_longer(handler):
    with pytest.raises(KeyboardInterrupt), held_back():
        press()
        press()
        pytest.fail("it went on")
    assert signal.getsignal(signal.SIGINT) is handler


def test_firmly(handler):
    steps = []
    with pytest.raises(KeyboardInterrupt), held_back(firmly=True):
        for _ in range(5):
            press()
        steps.append("the end")
    assert steps == ["the end"] and signal.getsignal(signal.SIGINT) is handler


@pytest.mark.parametrize("firmly", [False, True])
def test_blocks_within_blocks(handler, firmly):
    """The outermost counts, and two signals are two, wherever they come."""
    steps = []
    with pytest.raises(KeyboardInterrupt), held_back():
        with held_back(firmly):
            press()
        steps.append("between")
        with held_back(firmly):
            press()
            steps.append("inside")
        steps.append("after two")
    assert steps == ["between", "inside"] if firmly else ["between"]
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_error_and_a_signal(handler):
    with pytest.raises(KeyboardInterrupt) as caught, held_back():
        press()
        raise ValueError("damaged")
    assert isinstance(caught.value.__context__, ValueError)
    with pytest.raises(ValueError, match="alone"), held_back():
        raise ValueError("alone")
    assert signal.getsignal(signal.SIGINT) is handler


def test_handlers_that_do_not_raise_are_called_in_turn():
    heard = []
    kept = [signal.signal(number, lambda n, frame: heard.append(n)) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        with held_back(firmly=True):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
                signal.raise_signal(number)
            assert heard == []
        assert heard == [signal.SIGTERM, signal.SIGINT, signal.SIGTERM]
    finally:
        for number, before in zip((signal.SIGINT, signal.SIGTERM), kept, strict=True):
            signal.signal(number, before)


def test_what_is_ignored_stays_so():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_back():
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            press()
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hold_nothing_back(handler):
    seen = []

    def work():
        with held_back():
            seen.append(signal.getsignal(signal.SIGINT))

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    assert seen == [handler]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no fork")
def test_a_forked_child_hears_at_once(handler):
    """Another thread may have forked it, whose work knows nothing of the block."""
    with held_back():
        child = os.fork()
        if not child:
            try:
                press()
            except KeyboardInterrupt:
                os._exit(7)
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_module_is_imported_to_its_end(handler, tmp_path, monkeypatch):
    name = f"struck_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\nwhole = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt), held_back():
        import_module(name)
    assert sys.modules.pop(name).whole
