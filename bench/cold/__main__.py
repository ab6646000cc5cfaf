"""Run one small program of this folder in a fresh process and print what it saw as one line of JSON.

    python bench/cold PROGRAM FOLDER THREADS WORK [OPTION ...]

A program is what a user would write: a function `main(folder, threads, work, mark, *options)` that calls `mark(part)`
after each of its parts and returns its vector. Its imports are inside, since they are what is measured. Times are
readings of `time.perf_counter`, which on Linux, macOS and Windows counts alike in all processes: the parent subtracts
its own.
"""

import time

BEGUN = time.perf_counter()  # read before anything else is imported: up to here it was the interpreter

import sys  # noqa: E402


def run(program: str, folder: str, threads: int, work: str, *options: str) -> tuple[dict, list | None]:
    """The reading after each part, and the vector."""
    marks = {"interpreter": BEGUN}

    def mark(part: str) -> None:
        marks[part] = time.perf_counter()

    vector = __import__(program).main(folder, threads, work, mark, *options)
    return marks, None if vector is None else vector.tolist()


def report(marks: dict, vector: list | None) -> None:
    """Print the line; what this needs is imported now that nothing is timed any more."""
    sys.path.append(sys.path[0] + "/..")
    import json

    import memory

    print(json.dumps({"marks": marks, "peak_mb": memory.peak_mb(), "vector": vector}))


report(*run(sys.argv[1], sys.argv[2], int(sys.argv[3]), *sys.argv[4:]))
