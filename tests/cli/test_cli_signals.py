"""Commands that are sent signals at random moments: each ends by its signal, and leaves nothing half done."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from command import MODULE, SIGNALS, heeds_signals, leftovers

LATE = 0.5  # seconds; who writes its output so much later has not noticed the signal
TEXTS = "a cat\nthe dog\n" * 300


def start(place, checkpoint, tier):
    (place / "texts.txt").write_text(TEXTS)
    command = [*MODULE, "embed", "-m", checkpoint, "--backend", tier, "-i", "texts.txt", "-o", "out.npy"]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=place, preexec_fn=heeds_signals)


def is_whole(place):
    return np.load(place / "out.npy").shape[0] == TEXTS.count("\n")


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
@pytest.mark.parametrize(("times", "seed"), [(4, 1), pytest.param(250, 2, marks=pytest.mark.slow)])
def test_signals_at_random_moments(tiny_checkpoint, tmp_path, tier, times, seed):
    dice, ends = random.Random(seed), []
    begin = time.monotonic()
    assert start(tmp_path, tiny_checkpoint, tier).communicate() and is_whole(tmp_path)
    seconds = time.monotonic() - begin
    for i in range(times):
        place = tmp_path / f"{i}"
        place.mkdir()
        process, number = start(place, tiny_checkpoint, tier), dice.choice(SIGNALS)
        time.sleep(dice.uniform(0, seconds))
        sent, over = time.time(), process.poll() is not None
        process.send_signal(number)
        error, out = process.communicate()[1], place / "out.npy"
        ends.append(process.returncode)
        if process.returncode == 0:
            assert is_whole(place) and (over or out.stat().st_mtime < sent + LATE), (number, error)
        elif number == signal.SIGINT and "Traceback" in error:  # before the command had begun: Python's own answer
            assert process.returncode in (-number, 1) and ("KeyboardInterrupt" in error or "ImportError" in error), (
                error
            )
        else:
            assert process.returncode in (-number, 128 + number), (number, process.returncode, error)
        assert leftovers(place) == [] and (not out.exists() or is_whole(place))
    assert times < 100 or sum(map(bool, ends)) > times / 2, ends
