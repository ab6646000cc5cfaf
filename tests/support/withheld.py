"""Run Python in a process that may not use tiles: as in a sandbox, a filter of system calls refuses it the permission.

The filter (seccomp) is Linux's own and needs no rights; what it refuses stays refused for good, so a child installs it.
"""

import ctypes
import os
import struct
import subprocess
import sys
import textwrap

import pytest
from places import SUPPORT

from minembed.kernels.tiles.permission import ARCH_PRCTL, ASK_PERMISSION
from minembed.kernels.vectors.target import TARGET

needs_amx = pytest.mark.skipif(not TARGET.amx, reason="tiles are not compiled for here: the CPU has no AMX")

NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2  # of prctl
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # instructions of the filter
ALLOW, REFUSE = 0x7FFF0000, 0x00050001  # REFUSE is EPERM
X86_64 = 0xC000003E
PROGRAM = (  # instruction, how many to skip if true, if false, operand; a call is number, architecture, ..., arguments
    *((LOAD, 0, 0, 4), (EQUAL, 0, 5, X86_64)),
    *((LOAD, 0, 0, 0), (EQUAL, 0, 3, ARCH_PRCTL)),
    *((LOAD, 0, 0, 16), (EQUAL, 0, 1, ASK_PERMISSION)),
    *((RETURN, 0, 0, REFUSE), (RETURN, 0, 0, ALLOW)),
)
NO_FILTER = 77  # the exit status of a child that could not be restricted


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def withhold():
    """Deny this process, and all that it starts, the registers of tiles; the child's first line."""
    code = b"".join(struct.pack("HBBI", *line) for line in PROGRAM)
    program, call = _Program(len(PROGRAM), code), ctypes.CDLL(None).prctl
    none = ctypes.c_ulong(0)
    if call(NO_NEW_PRIVILEGES, ctypes.c_ulong(1), none, none, none):
        sys.exit(NO_FILTER)
    if call(SECCOMP, ctypes.c_ulong(FILTER), ctypes.byref(program), none, none):
        sys.exit(NO_FILTER)


def python_withheld(body, *arguments, **environment):
    """As processes.python, without permission to use tiles; skips the test if that cannot be denied."""
    script = "from withheld import withhold\nwithhold()\n" + textwrap.dedent(body)
    command = [sys.executable, "-W", "error", "-c", script, *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(SUPPORT)} | environment
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode == NO_FILTER:
        pytest.skip("Linux installs no filter of system calls here")
    assert found.returncode == 0, found.stderr
    return found.stdout.split("\n")[:-1]
