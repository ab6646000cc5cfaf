"""Whole processes: forks and spawns, signals, exits and peaks of memory, each in a script of its own."""

import os
import signal
import subprocess
import sys
import textwrap

import pytest
from examples import heavy


@pytest.fixture(autouse=True)
def every_tier(tier, monkeypatch):
    """Each script runs with each backend."""
    monkeypatch.setenv("TIER", tier)


def finish(command, expect=0, seconds=240):
    """Run a command to its end and return what it prints; whatever it started is gone afterwards."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8", start_new_session=True
    )
    try:
        out, errors = process.communicate(timeout=seconds)  # only tells a hang
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL) if hasattr(os, "killpg") else process.kill()
        raise
    assert process.returncode == expect, (process.returncode, errors)
    return out.split()


def script(folder, body, *arguments, **options):
    """Run Python with a tiny model at hand, and return what it prints."""
    preamble = """
    import os, random, signal, sys, threading, time
    import numpy as np
    from minembed import Embedder
    texts = [" ".join(random.Random(i).choices("the cat dog oven rain 中 x".split(), k=i % 25)) for i in range(300)]
    def load():
        return Embedder.load(sys.argv[1], threads=2, backend=os.environ["TIER"])
    """
    program = textwrap.dedent(preamble) + textwrap.dedent(body)
    return finish([sys.executable, "-W", "error", "-c", program, str(folder), *arguments], **options)


@pytest.mark.parametrize("method", ["fork", "spawn", *heavy(["forkserver"])] if hasattr(os, "fork") else ["spawn"])
def test_processes_started_after_the_first_use(tiny_checkpoint, tmp_path, method, amount):
    """The model is sent to the child, or is there already, and gives the same bytes."""
    program = tmp_path / "program.py"
    program.write_text(
        textwrap.dedent("""
        import multiprocessing, os, sys, warnings
        from minembed import Embedder

        TEXTS = [("the cat " * (i % 20)) + str(i) for i in range(200)]

        def work(model):
            return model.encode(TEXTS).tobytes()

        if __name__ == "__main__":
            model = Embedder.load(sys.argv[1], threads=2, backend=os.environ["TIER"])
            expected = work(model)
            context = multiprocessing.get_context(sys.argv[2])
            with context.Pool(2) as pool:
                assert pool.map(work, [model] * 4) == [expected] * 4
            assert work(model) == expected
            print("same")
        """)
    )
    for _ in range(amount.rounds(1)):
        assert finish([sys.executable, str(program), str(tiny_checkpoint), method]) == ["same"]


WHILE_OTHERS_ENCODE = """
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 advises against what is tried here
    import threadpoolctl
    threadpoolctl.threadpool_limits(2, user_api="blas")
    model, stop = load(), threading.Event()
    expected = model.encode(texts).tobytes()
    def endless():
        while not stop.is_set():
            model.encode(texts)
    others = [threading.Thread(target=endless) for _ in range(2)]
    for other in others:
        other.start()
    codes = []
    forks = int(sys.argv[2])
    for i in range(forks):
        time.sleep(0.02 * i / forks)
        child = os.fork()
        if child == 0:
            same = model.encode(texts).tobytes() == expected
            limits = {info["num_threads"] for info in threadpoolctl.threadpool_info() if info["user_api"] == "blas"}
            os._exit(0 if same and limits == {2} else 1)
        codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    stop.set()
    for other in others:
        other.join()
    assert model.encode(texts).tobytes() == expected
    print(*codes)
    """

if hasattr(os, "fork"):  # Windows has none

    @pytest.mark.parametrize("forks", [8, *heavy([20])])
    def test_forks_while_other_threads_encode(tiny_checkpoint, forks):
        assert script(tiny_checkpoint, WHILE_OTHERS_ENCODE, str(forks)) == ["0"] * forks


@pytest.mark.parametrize("call", ["stream", *heavy(["encode"])])
def test_an_interrupt_comes_out_and_the_model_goes_on(tiny_checkpoint, call):
    body = """
    signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored by whoever started the tests
    model = load()
    expected = model.encode(texts).tobytes()
    def endless():
        threading.Timer(0.3, os.kill, [os.getpid(), signal.SIGINT]).start()
        while True:
            yield from texts
    for _ in range(3):
        try:
            if sys.argv[2] == "encode":
                model.encode(endless())
            else:
                for block in model.stream(endless()):
                    pass
            raise SystemExit("the work has an end?")
        except KeyboardInterrupt:
            assert model.encode(texts).tobytes() == expected
    others = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]
    for other in others:
        other.join(60)
    assert not any(other.is_alive() for other in others)  # no worker is left waiting for work
    print("interrupted")
    signal.signal(signal.SIGINT, signal.default_int_handler)
    model.encode(endless())
    """
    # Python ends itself by the signal when the interrupt is not caught
    assert script(tiny_checkpoint, body, call, expect=-signal.SIGINT) == ["interrupted"]


def test_the_interpreter_ends_while_a_thread_encodes(tiny_checkpoint):
    body = """
    model = load()
    model.encode(texts)
    def endless():
        while True:
            model.encode(texts)
    threading.Thread(target=endless, daemon=True).start()
    time.sleep(0.2)
    print("over", flush=True)
    """
    assert script(tiny_checkpoint, body) == ["over"]


# ---- memory ----

PEAK = """
    def megabytes():
        if os.path.exists("/proc/self/status"):  # ru_maxrss would begin with what the parent had
            with open("/proc/self/status") as file:
                return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024
        import resource
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
"""


@pytest.mark.parametrize("number", [5000, *heavy([20_000])])  # a window has 4096
def test_a_stream_needs_no_more_memory_the_longer_it_is(tiny_checkpoint, number):
    body = """
    model, number = load(), int(sys.argv[2])
    model.encode(texts)
    before, n = megabytes(), 0
    for block in model.stream(f"the cat {i}" for i in range(number)):
        n += len(block)
    middle = megabytes()
    for block in model.stream(f"the cat {i}" for i in range(3 * number)):
        n += len(block)
    assert n == 4 * number
    print(middle - before, megabytes() - middle)
    """
    first, more = map(float, script(tiny_checkpoint, PEAK + body, str(number)))
    assert first < 100  # the bound of the specification; a window of 4096 texts is what is held
    assert more < 10  # three times as many texts: nothing is added but what the allocator scatters


@pytest.mark.parametrize("rounds", [20, *heavy([60])])
def test_memory_is_flat_over_random_lengths(tiny_checkpoint, rounds, amount):
    body = """
    dice, model, rounds = random.Random(int(sys.argv[3])), load(), int(sys.argv[2])
    def some():
        return ["the cat " * dice.randrange(40) for _ in range(dice.randrange(1, 400))]
    model.encode(["the cat " * 40] * 400, truncation="silent")
    for _ in range(max(rounds // 20, 10)):
        model.encode(some(), truncation="silent")
    before = megabytes()
    for _ in range(rounds):
        model.encode(some(), truncation="silent")
        model.token_embeddings(["the cat"] * 50)
    print(megabytes() - before)
    """
    rounds = amount.rounds(rounds, each=200)
    (growth,) = map(float, script(tiny_checkpoint, PEAK + body, str(rounds), str(amount.seed(8)), seconds=240 + rounds))
    assert growth < 10  # 60 rounds that each left 200 kB behind would show, or 20 that left 500
