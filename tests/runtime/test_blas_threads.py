"""The libraries whose threads are limited are found without keeping other threads from loading libraries."""

import subprocess
import sys
import textwrap

import pytest

LOADS = """
    import ctypes, shutil, sys, threading, time
    from pathlib import Path

    import numpy
    import threadpoolctl

    from minembed.runtime.threads import single_threaded_blas

    small = min(Path(numpy.__file__).parent.rglob("*.so"), key=lambda path: path.stat().st_size)
    copies = [shutil.copy(small, Path(sys.argv[1]) / f"{i}.so") for i in range(50)]
    begun = threading.Event()

    def slowly(frame, event, argument):  # so that libraries are loaded at every step of the search
        if frame.f_code.co_filename == threadpoolctl.__file__:
            begun.set()
            time.sleep(0.005)

    def limit():
        sys.settrace(slowly)
        with single_threaded_blas():
            pass

    first = threading.Thread(target=limit)
    first.start()
    assert begun.wait(30)
    for copy in copies:  # as the import of a compiled module does, and like that without letting others run Python
        ctypes.CDLL(copy)
        time.sleep(0.005)
    first.join()
    print("done")
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the search differs on other systems, and calls nothing back")
def test_a_thread_may_load_libraries_while_another_limits_blas_for_the_first_time(tmp_path):
    command = [sys.executable, "-c", textwrap.dedent(LOADS), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60)  # it used to wait for ever
    assert found.returncode == 0 and found.stdout == "done\n", found.stderr
