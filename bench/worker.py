"""The child's side: one contestant in a process of its own, which gets its tasks through a pipe.

Requests and replies are pickles on stdin and stdout. The process holds one contestant only, so that its memory is its
own and no other library's idle threads live beside it.
"""

import importlib
import importlib.metadata
import os
import pickle
import statistics
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import memory
from workloads import WARM_UP


class Servant:
    """The requests that a worker answers, one method each."""

    def __init__(self):
        self.peer = None
        self.texts: dict[str, list[str]] = {}
        self.one_by_one = False

    def load(self, module: str, folder: str, threads: int, work: str, options: dict) -> dict:
        """Load the contestant and encode one text, so that all lazy work is done."""
        start = time.perf_counter()
        self.peer = None  # a second one takes the place of the first
        self.peer = importlib.import_module(module).load(Path(folder), threads, Path(work), options)
        self.peer.encode(["a first text"])
        seconds = time.perf_counter() - start
        versions = {name: importlib.metadata.version(name) for name in self.peer.libraries}
        resident = memory.resident_mb() or memory.peak_mb() or 0.0
        return {
            "versions": versions,
            "load_s": round(seconds, 3),
            "loaded_mb": round(resident, 1),
            "pools": thread_pools(),
        }

    def prepare(self, module: str, folder: str, work: str) -> dict:
        """Convert what the contestants of a module need, unless it is there; the records."""
        return importlib.import_module(module).prepare(Path(folder), Path(work))

    def measure(self, module: str, *arguments) -> dict:
        """The results of a module of this folder that measures without contestants."""
        return importlib.import_module(module).measure(*arguments)

    def give(self, workload: str, texts: list[str], one_by_one: bool) -> None:
        """Keep the texts of a workload: sending them is no part of a lap."""
        self.texts[workload] = texts
        self.one_by_one = one_by_one

    def vectors(self, workload: str):
        """Encode a whole workload once, untimed: the answer that is checked, and the warm-up."""
        memory.reset_peak()
        texts = self.texts[workload]
        if self.one_by_one:
            return np.concatenate([self.peer.encode([text]) for text in texts])
        return self.peer.encode(texts)

    def warm_up(self, workload: str) -> None:
        """Encode an eighth of the texts, of all lengths; or whatever the contestant itself needs to be ready."""
        if hasattr(self.peer, "ready"):
            self.peer.ready(self.texts[workload])
            return
        texts = self.texts[workload][::8]
        for part in [[text] for text in texts] if self.one_by_one else [texts]:
            self.peer.encode(part)

    def lap(self, workload: str) -> float:
        """Encode a whole workload, timed; seconds, of the median call where each text is one."""
        calls = [[text] for text in self.texts[workload]] if self.one_by_one else [self.texts[workload]]
        seconds = []
        for texts in calls:
            start = time.perf_counter()
            self.peer.encode(texts)
            seconds.append(time.perf_counter() - start)
        return statistics.median(seconds[WARM_UP:] if self.one_by_one else seconds)

    def peak(self) -> float | None:
        """The peak of resident memory since `vectors` of this workload began."""
        return memory.peak_mb()


def thread_pools() -> list[dict]:
    """The thread pools of the loaded libraries, without their paths."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    kept = ("user_api", "internal_api", "version", "architecture", "threading_layer", "num_threads")
    return [{name: pool[name] for name in kept if pool.get(name) is not None} for pool in threadpool_info()]


def serve() -> int:
    """Answer requests until the pipe closes."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries may print to stdout; the pipe must carry only replies
    servant = Servant()
    while True:
        try:
            task, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return 0
        try:
            reply = ("done", getattr(servant, task)(*arguments))
        except ImportError as error:
            reply = ("absent", str(error))
        except Exception as error:
            traceback.print_exc()
            reply = ("failed", f"{type(error).__name__}: {error}")
        pickle.dump(reply, replies)
        replies.flush()
