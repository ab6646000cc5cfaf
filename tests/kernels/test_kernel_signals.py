"""Signals while Numba loads or compiles a kernel: LLVM gets what it asks for, and the exception comes afterwards."""

import pytest
from kernel_store import loaded
from places import SUPPORT
from processes import python

STRUCK = """
import signal, sys, threading
sys.path.insert(0, sys.argv[1])
from llvmlite.binding.executionengine import ExecutionEngine
from minembed.runtime import interrupts

def strike(engine, compiled, get_code, set_both=ExecutionEngine.set_object_cache):
    def get_struck(module):
        for _ in range(0 if struck else int(sys.argv[3])):
            struck.append(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return get_code(module)
    set_both(engine, compiled, get_struck)

struck, ExecutionEngine.set_object_cache = [0], strike  # not yet
ours = sys.argv[2] == "ours"
handler = (lambda number, frame: interrupts.note(number)) if ours else signal.default_int_handler
signal.signal(signal.SIGINT, handler)

from kernel_store import SIGNATURE, twice
kernel = twice()
kernel.targetctx.codegen()  # Numba starts, and compiles functions of its own
struck.clear()
"""
MAIN = """
try:
    kernel.compile(SIGNATURE)
except KeyboardInterrupt:
    print("interrupted", len(kernel.overloads), sum(kernel.stats.cache_hits.values()))
print(len(struck), kernel(21), signal.getsignal(signal.SIGINT) is handler)
"""
OTHER = """
worker = threading.Thread(target=kernel.compile, args=[SIGNATURE])
try:
    worker.start()
    worker.join()
    threading.Event().wait(60)
except KeyboardInterrupt:
    worker.join()
    print("interrupted", len(kernel.overloads), sum(kernel.stats.cache_hits.values()))
print(len(struck), kernel(21), signal.getsignal(signal.SIGINT) is handler)
"""


@pytest.mark.parametrize(("handler", "signals"), [("ours", 1), ("python's", 1), ("python's", 2)])
def test_signals_while_llvm_asks_for_the_code_of_a_kernel(cache, handler, signals):
    """What was raised there was lost, and LLVM ended the process (SIGSEGV)."""
    assert loaded() == "compiled"
    told = python(STRUCK + MAIN, SUPPORT, handler, signals, NUMBA_CACHE_DIR="")
    loads = int(signals == 1)  # a second one does not wait for the rest of what Numba does
    assert told == [f"interrupted {loads} {loads}", f"{signals} 42 True"]


def test_signals_while_another_thread_loads(cache):
    """Python calls handlers in its main thread, where LLVM is not."""
    assert loaded() == "compiled"
    assert python(STRUCK + OTHER, SUPPORT, "python's", 1, NUMBA_CACHE_DIR="") == ["interrupted 1 1", "1 42 True"]


COMPILING = """
import signal, sys
sys.path.insert(0, sys.argv[1])
from kernel_store import SIGNATURE, loaded, twice
signal.signal(signal.SIGINT, signal.default_int_handler)
kernel = twice()
compiler = kernel._compiler.compile
def strike(*arguments):
    for _ in range(int(sys.argv[2])):
        signal.raise_signal(signal.SIGINT)
    return compiler(*arguments)
kernel._compiler.compile = strike
try:
    kernel.compile(SIGNATURE)
except KeyboardInterrupt:
    print("interrupted", loaded())
kernel._compiler.compile = compiler
print(kernel(21), signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


@pytest.mark.parametrize(("signals", "then"), [(1, "from disk"), (2, "compiled")])
def test_signals_while_a_kernel_is_compiled(cache, signals, then):
    """One waits until it is there and kept; a second ends the compiling, and the process can begin again."""
    assert python(COMPILING, SUPPORT, signals, NUMBA_CACHE_DIR="") == [f"interrupted {then}", "42 True"]
