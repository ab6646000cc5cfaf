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
        if armed:
            struck.append(module)
            signal.raise_signal(signal.SIGINT)
        return get_code(module)
    set_both(engine, compiled, get_struck)

armed, struck, ExecutionEngine.set_object_cache = False, [], strike
handlers = {"ours": lambda number, frame: interrupts.note(number), "python's": signal.default_int_handler}
signal.signal(signal.SIGINT, handlers[sys.argv[2]])

from kernel_store import SIGNATURE, twice
kernel = twice()
kernel.targetctx.codegen()  # Numba starts, and compiles functions of its own
armed = True
"""
MAIN = """
try:
    kernel.compile(SIGNATURE)
except KeyboardInterrupt:
    print("interrupted")
"""
OTHER = """
worker = threading.Thread(target=kernel.compile, args=[SIGNATURE])
try:
    worker.start()
    worker.join()
    threading.Event().wait(60)
except KeyboardInterrupt:
    armed = False
    worker.join()
    print("interrupted")
"""
AFTERWARDS = """
armed = False
print(bool(struck), kernel(21), signal.getsignal(signal.SIGINT) is handlers[sys.argv[2]])
print(sum(kernel.stats.cache_misses.values()))
"""


@pytest.mark.parametrize(
    ("thread", "handler"), [(MAIN, "ours"), (MAIN, "python's"), (OTHER, "python's")], ids=["main", "main", "other"]
)
def test_signals_while_llvm_asks_for_the_code_of_a_kernel(cache, thread, handler):
    """What was raised there was lost, and LLVM ended the process (SIGSEGV).  It asks more than once, and each time a
    signal comes; Python calls handlers in its main thread alone, where LLVM is not if another thread loads."""
    assert loaded() == "compiled"
    told = python(STRUCK + thread + AFTERWARDS, SUPPORT, handler, NUMBA_CACHE_DIR="")
    assert told == ["interrupted", "True 42 True", "0"]


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
