"""Before a race, each contestant tries its settings on the workload; the fastest is the one that races.

Batches of 8 to 64, one batch at a time or one on each thread, open or fixed shapes, one exported graph or another: the
best differs between libraries and workloads, and a peer deserves its best. What the others took stays in the record.
Where there are many settings they are tried in stages, each with the best of the one before; and on a part of the
texts.
"""

from argparse import Namespace

from harness import Failed, Model, Unavailable, Worker, digits
from peers import Contestant
from workloads import Workload


def choose(who: Contestant, name: str, work: Workload, model: Model, options: Namespace) -> dict:
    """The setting for the race, and the seconds of every setting that was tried (best of `heats` laps)."""
    stages = who.stages(work.name, options.threads)
    best, tried = stages[0][0], []
    if sum(map(len, stages)) == 1:
        return {"setting": best, "heats": []}
    worker, work = Worker(f"{name}-heats", options.threads), work.sample()
    try:
        worker.ask("give", work.name, list(work.texts), work.one_by_one)
        for stage in stages:
            for setting in [best | change for change in stage]:
                if setting not in [one["setting"] for one in tried]:
                    tried.append({"setting": setting, "seconds": heat(worker, who, work.name, setting, model, options)})
            best = fastest(tried) or best
    except Unavailable as error:  # the race meets the same error, and reports it
        print(f"{name}: {error}", flush=True)
    finally:
        worker.close()
    return {"setting": fastest(tried) or best, "heats": tried}


def fastest(tried: list[dict]) -> dict | None:
    """The best setting so far; None if none could run."""
    able = [one for one in tried if one["seconds"]]
    return min(able, key=lambda one: one["seconds"])["setting"] if able else None


def known(name: str, workload: str, before: dict) -> dict | None:
    """The choice of an earlier run, with its heats."""
    row = before.get("results", {}).get(workload, {}).get(name, {})
    return {"setting": row["setting"], "heats": row.get("heats", [])} if "setting" in row else None


def heat(
    worker: Worker, who: Contestant, workload: str, setting: dict, model: Model, options: Namespace
) -> float | None:
    """The best lap in one setting; None if the contestant cannot run in it."""
    try:
        worker.ask("load", who.module, str(model.folder), options.threads, str(model.work), setting)
        worker.ask("warm_up", workload)
        return digits(min(worker.lap(workload).seconds for _ in range(options.heats)))
    except Failed:
        if worker.process.poll() is not None:
            raise
        return None
