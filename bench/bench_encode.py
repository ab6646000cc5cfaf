"""Throughput: texts in, vectors out, beside the peers."""

from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import numpy as np

import workloads
from environment import WORK
from harness import Absent, Failed, Lap, Worker, WrongAnswer, compare, race, record, summarise
from peers import CONTESTANTS, OURS, TRUTH, Contestant
from peers.folder import describe, resolve
from workloads import Workload

COUNTER = "tokenizers"  # tokenises and stops: says how many tokens there are, and what share of the time that takes
TABLE = {**CONTESTANTS, COUNTER: Contestant("tokenising alone", "peers.tokenizers_alone")}


def run(options: Namespace) -> int:
    """Measure and write results/encode.json; 1 when minembed itself is missing or wrong."""
    folder = resolve(options.model)
    graph = prepare_graph(folder)
    names = [*(options.contestants or CONTESTANTS), COUNTER]
    status, workers = enter(names, folder, options.threads)
    described, results = {}, {}
    try:
        for work in chosen_workloads(options):
            described[work.name], results[work.name] = contest(work, workers, options)
    finally:
        for worker in workers.values():
            worker.close()
    settings = {"threads": options.threads, "laps": options.laps, "settle_s": options.settle}
    found = {
        "model": describe(folder),
        "graph": graph,
        "contestants": status,
        "workloads": described,
        "results": results,
    }
    record("encode", settings, found, options.out)
    return 0 if OURS not in names or all("median_s" in rows.get(OURS, {}) for rows in results.values()) else 1


def prepare_graph(folder: Path) -> dict:
    """The fused ONNX graph's record, or why there is none; made in another process, since it needs torch."""
    exporter = Worker("export", threads=1)
    try:
        return exporter.ask("export", str(folder), str(WORK))
    except Absent as error:
        return {"absent": str(error)}
    except Failed as error:
        return {"failed": str(error)}
    finally:
        exporter.close()


def chosen_workloads(options: Namespace) -> list[Workload]:
    """The generated texts, or the given file's for the short ones; a part of each with `--fraction`."""
    short = workloads.short()
    if options.stsb:
        short = workloads.from_pairs(options.stsb)
    elif options.texts:
        short = workloads.from_lines(options.texts)
    every = [short, workloads.mixed(), workloads.long()]
    wanted = [work for work in every if not options.workloads or work.name in options.workloads]
    return [work.head(options.fraction) for work in wanted]


def enter(names: list[str], folder: Path, threads: int) -> tuple[dict[str, dict], dict[str, Worker]]:
    """Start each contestant in its process: what is to be said of each, and the workers of those that run."""
    status, workers = {}, {}
    for name in names:
        who = TABLE[name]
        status[name] = {"title": who.title}
        worker = Worker(name, threads)
        try:
            status[name] |= worker.ask("load", who.module, str(folder), threads, str(WORK), who.options)
            workers[name] = worker
        except Absent as error:
            status[name]["absent"] = str(error)
        except Failed as error:
            status[name]["failed"] = str(error)
        if name not in workers:
            worker.close()
            print(f"{name} takes no part: {status[name].get('absent') or status[name]['failed']}", flush=True)
    return status, workers


def contest(work: Workload, workers: dict[str, Worker], options: Namespace) -> tuple[dict, dict]:
    """One workload: check everybody, then race those that are right; its description and its rows."""
    entered = {name: worker for name, worker in workers.items() if work.name in TABLE[name].workloads}
    print(f"{work.name}: {len(work.texts)} texts, {len(entered) - 1} contestants", flush=True)
    answers = {}
    for name, worker in entered.items():
        worker.ask("give", work.name, list(work.texts))
        answers[name] = worker.ask("vectors", work.name)
    lengths = answers.pop(COUNTER)[:, 0]
    rows, truth = check(answers)
    racing = [name for name in entered if "refused" not in rows.get(name, {})]
    laps = race({name: lap_of(entered[name], work.name) for name in racing}, options.laps, options.settle)
    for name in racing:
        row = summarise(laps[name], laps.get(OURS), len(work.texts), int(lengths.sum()))
        peak = entered[name].ask("peak")
        rows[name] = {**row, "peak_mb": peak and round(peak, 1), **rows.get(name, {})}
        print(f"  {name:24} {row['median_s']:8.3f} s  {row['tokens_per_s']:8.0f} tokens/s", flush=True)
    tokens = {"tokens": int(lengths.sum()), "mean_tokens": round(float(lengths.mean()), 1), "most": int(lengths.max())}
    description = {
        "source": work.source,
        "sha256": work.digest,
        "texts": len(work.texts),
        **tokens,
        "checked_by": truth,
    }
    return description, rows


def check(answers: dict[str, np.ndarray]) -> tuple[dict[str, dict], str | None]:
    """Each contestant's distance to the reference, or its refusal; who the reference was (None: nobody to compare)."""
    truth = next((name for name in TRUTH if name in answers), None)
    rows: dict[str, dict] = {}
    for name, vectors in answers.items():
        if truth is None:
            rows[name] = {}
            continue
        try:
            rows[name] = asdict(compare(vectors, answers[truth], TABLE[name].limit))
        except WrongAnswer as error:
            rows[name] = {"refused": str(error)}
            print(f"  {name} is refused: {error}", flush=True)
    return rows, truth


def lap_of(worker: Worker, workload: str):
    """A function without arguments that runs one lap."""

    def lap() -> Lap:
        return worker.lap(workload)

    return lap
