"""Before a race, each contestant tries its settings on the workload; the fastest is the one that races.

Batches of 32 or of 64, one batch at a time or one on each thread, one exported graph or another: which is the best
differs between libraries and workloads, and a peer deserves its best. What the others took stays in the record.
"""

from argparse import Namespace
from pathlib import Path

from environment import WORK
from harness import Failed, Unavailable, Worker
from peers import Contestant
from workloads import Workload


def choose(who: Contestant, name: str, work: Workload, folder: Path, options: Namespace) -> dict:
    """The setting to race in, and the seconds of every setting that was tried (best of `heats` laps)."""
    settings = who.settings(work.name, options.threads)
    if len(settings) == 1:
        return {"setting": settings[0], "heats": []}
    tried = []
    worker = Worker(f"{name}-heats", options.threads)
    try:
        worker.ask("give", work.name, list(work.texts), work.one_by_one)
        for setting in settings:
            tried.append({"setting": setting, "seconds": heat(worker, who, work.name, setting, folder, options)})
    except Unavailable as error:  # the race will meet with it again, and say so
        tried = [one for one in tried if one["seconds"] is not None]
        print(f"{name}: {error}", flush=True)
    finally:
        worker.close()
    best = min((one for one in tried if one["seconds"]), key=lambda one: one["seconds"], default=None)
    return {"setting": best["setting"] if best else settings[0], "heats": tried}


def heat(
    worker: Worker, who: Contestant, workload: str, setting: dict, folder: Path, options: Namespace
) -> float | None:
    """The best lap in one setting; None where the contestant cannot run in it."""
    try:
        worker.ask("load", who.module, str(folder), options.threads, str(WORK), setting)
        worker.ask("warm_up", workload)
        return round(min(worker.lap(workload).seconds for _ in range(options.heats)), 4)
    except Failed:
        if worker.process.poll() is not None:
            raise
        return None
