"""Interrupts at each moment in turn: KeyboardInterrupt wherever CPython can raise what a signal's handler raises.

That is after calls, at the beginning of functions and at the end of loops (`interrupts.py` raises at random moments,
also within functions in C).  `anywhere` also raises where CPython never would, between any two bytecodes: what is
promised there needs no `finally`, and few things can be.
"""

import dis
import gc
import sys
import warnings
from collections.abc import Callable
from functools import cache

import pytest

needs_tables = pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no tables of exceptions")
CHECKS = ("CALL", "RESUME", "JUMP_BACKWARD", "POP_JUMP_BACKWARD")  # bytecodes after which signals are looked for


@cache
def _bytecodes(code) -> dict[int, tuple[bool, object]]:
    """By place: whether CPython checks for signals after it, and the handler of exceptions there."""
    table = dis._parse_exception_table(code)

    def handler(place):
        return next((entry.target for entry in reversed(table) if entry.start <= place < entry.end), None)

    return {each.offset: (each.opname.startswith(CHECKS), handler(each.offset)) for each in dis.get_instructions(code)}


class _Strike:
    """A tracer that raises at the n-th moment, once."""

    def __init__(self, n: int, anywhere: bool) -> None:
        self.left, self.anywhere = n, anywhere
        self.before: dict[object, int] = {}  # the bytecode before this one, by frame
        self.where = ""

    def __call__(self, frame, event, arg):
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        if event == "opcode" and self._is_a_moment(frame):
            self.left -= 1
            if not self.left:
                sys.settrace(None)
                self.before.clear()
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_name}"
                raise KeyboardInterrupt
        return self

    def _is_a_moment(self, frame) -> bool:
        codes, here = _bytecodes(frame.f_code), frame.f_lasti
        before = self.before.get(frame)
        self.before[frame] = here
        if self.anywhere:
            return True
        if before not in codes or here not in codes:
            return False
        checked, handler = codes[before]
        return checked and handler == codes[here][1]  # otherwise the interpreter would not raise there


def interrupt_each(
    work: Callable[[], object], check: Callable[[str], object], step: int = 1, anywhere: bool = False
) -> int:
    """Interrupt a function at every step-th moment, each time in a call of its own; then `check(where)`.

    An interrupt must come out of the function.  Returns how many times it was interrupted.
    """
    tracer, times = sys.gettrace(), 0
    while True:
        strike, came_out = _Strike(1 + times * step, anywhere), False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)  # a file that is forgotten while it is opened is closed
            gc.disable()  # what is raised in a callback of the collector (Hypothesis sets one) never comes out
            sys.settrace(strike)
            try:
                work()
            except KeyboardInterrupt:
                came_out = True
            finally:
                sys.settrace(tracer)
                gc.enable()
        if not strike.where:
            return times
        assert came_out, f"swallowed: {strike.where}"
        check(strike.where)
        times += 1
