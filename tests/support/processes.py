"""Run Python in a process of its own."""

import os
import subprocess
import sys
import textwrap


def python(body, *arguments, **environment):
    """Run Python in a process of its own, in which a warning is an error; returns its output."""
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(body), *map(str, arguments)]
    found = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment)
    assert found.returncode == 0, found.stderr
    return found.stdout.split("\n")[:-1]
