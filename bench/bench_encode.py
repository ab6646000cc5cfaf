"""Throughput: texts in, vectors out, beside the peers."""

import sys
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import numpy as np

import workloads
from harness import Absent, Failed, Lap, Model, Worker, WrongAnswer, compare, earlier, race, record, summarise
from heats import choose, known
from peers import CLOSEST, CONTESTANTS, OURS, TRUTH, Contestant
from peers.folder import describe, resolve
from workloads import Workload

COUNTER = "tokenizers"  # only tokenises: gives the number of tokens, and the share of the time that tokenising takes
TABLE = {**CONTESTANTS, COUNTER: Contestant("tokenising alone", "peers.tokenizers_alone")}


def run(options: Namespace) -> int:
    """Measure and write results/encode.json; returns 1 if minembed itself is missing or wrong."""
    model = Model(resolve(options.model))
    names = [name for name in TABLE if wanted(name, options)]
    before = earlier("encode", options.out, options.threads) if options.same_settings else {}
    prepared = prepare({TABLE[name].module for name in names}, model)
    status: dict[str, dict] = {name: {"title": TABLE[name].title} for name in names}
    described, results = {}, {}
    for work in chosen_workloads(options):
        able = [name for name in names if takes_part(name, work.name, options) and not unable(status[name])]
        heats = {
            name: known(name, work.name, before) or choose(TABLE[name], name, work, model, options) for name in able
        }
        workers = enter({name: heat["setting"] for name, heat in heats.items()}, status, model, options.threads)
        try:
            described[work.name], rows = contest(work, workers, options)
        finally:
            for worker in workers.values():
                worker.close()
        results[work.name] = {name: row | heats[name] for name, row in rows.items()}
    settings = {name: getattr(options, name) for name in ("threads", "laps", "heats")} | {"settle_s": options.settle}
    found = {
        "model": describe(model.folder),
        "tile_peaks": tile_peaks(),
        "prepared": prepared,
        "contestants": status,
        "workloads": described,
        "results": results,
    }
    record("encode", settings, found, options.out)
    entered = [name for name in OURS.values() if name in names]
    return 0 if all("median_s" in rows.get(name, {}) for name in entered for rows in results.values()) else 1


def tile_peaks() -> dict[str, float]:
    """The peak of one core's tile units, in billions of operations per second; empty if there are none."""
    worker = Worker("probe", threads=1)
    try:
        return worker.ask("measure", "probe_tiles")
    except (Absent, Failed) as error:
        print(f"tile units: {error}", file=sys.stderr, flush=True)
        return {}
    finally:
        worker.close()


def wanted(name: str, options: Namespace) -> bool:
    """Whether a contestant was requested; tokens are always counted."""
    among = CLOSEST if options.closest else TABLE
    return name == COUNTER or (name in among and (not options.contestants or name in options.contestants))


def takes_part(name: str, workload: str, options: Namespace) -> bool:
    """Whether a contestant runs a workload."""
    narrow = options.closest and name != COUNTER
    return workload in TABLE[name].workloads and (not narrow or workload in CLOSEST[name])


def prepare(modules: set[str], model: Model) -> dict:
    """Convert the models, each module in a process of its own; returns the records, or why there are none."""
    found: dict[str, dict] = {}
    for module in sorted(modules):
        if "def prepare" not in Path(__file__).with_name("peers").joinpath(module[6:] + ".py").read_text("utf-8"):
            continue
        worker = Worker(f"prepare-{module[6:]}", threads=2)
        try:
            found[module[6:]] = worker.ask("prepare", module, str(model.folder), str(model.work))
        except Absent as error:
            found[module[6:]] = {"absent": str(error)}
        except Failed as error:
            found[module[6:]] = {"failed": str(error)}
        finally:
            worker.close()
    return found


def unable(status: dict) -> bool:
    """Whether a contestant is missing or broken."""
    return "absent" in status or "failed" in status


def chosen_workloads(options: Namespace) -> list[Workload]:
    """The generated texts, or the given file's for the short ones; a part of each with `--fraction`."""
    short = workloads.short()
    if options.stsb:
        short = workloads.from_pairs(options.stsb)
    elif options.texts:
        short = workloads.from_lines(options.texts)
    every = [short, workloads.mixed(), workloads.long(), workloads.arrival(), workloads.single(short)]
    wanted = [work for work in every if not options.workloads or work.name in options.workloads]
    return [work.head(options.fraction) for work in wanted]


def enter(settings: dict[str, dict], status: dict[str, dict], model: Model, threads: int) -> dict[str, Worker]:
    """Start each contestant in its process, with the chosen setting; returns the workers of those that run."""
    workers = {}
    for name, setting in settings.items():
        worker, said = Worker(name, threads), status[name]
        try:
            loaded = worker.ask("load", TABLE[name].module, str(model.folder), threads, str(model.work), setting)
            status[name] = loaded | said
            workers[name] = worker
        except Absent as error:
            said["absent"] = str(error)
        except Failed as error:
            said["failed"] = str(error)
        if name not in workers:
            worker.close()
            print(f"{name} takes no part: {said.get('absent') or said['failed']}", file=sys.stderr, flush=True)
    return workers


def contest(work: Workload, workers: dict[str, Worker], options: Namespace) -> tuple[dict, dict]:
    """One workload: check all contestants, then race those that are right; returns its description and its rows."""
    print(f"{work.name}: {len(work.texts)} texts, {len(workers) - 1} contestants", flush=True)
    answers = {}
    for name, worker in workers.items():
        worker.ask("give", work.name, list(work.texts), work.one_by_one)
        answers[name] = worker.ask("vectors", work.name)
    lengths = answers.pop(COUNTER)[:, 0]
    rows, truth = check(answers, work)
    racing = [name for name in workers if "refused" not in rows.get(name, {})]
    runners = {name: lap_of(workers[name], work.name) for name in racing}
    laps = race(runners, options.laps, options.settle, options.budget)
    texts, tokens = (1, float(lengths.mean())) if work.one_by_one else (len(work.texts), int(lengths.sum()))
    for name in racing:
        base = laps.get(OURS[TABLE[name].precision])
        row, peak = summarise(laps[name], base, texts, tokens), workers[name].ask("peak")
        rows[name] = {**row, "peak_mb": peak and round(peak, 1), **rows.get(name, {})}
        cosine = f"  cosine {rows[name]['mean_cosine']:.5f}" if "mean_cosine" in rows[name] else ""
        print(f"  {name:24} {row['median_s']:9.4f} s  {row['tokens_per_s']:8.0f} tokens/s{cosine}", flush=True)
    counts = {"tokens": int(lengths.sum()), "mean_tokens": round(float(lengths.mean()), 1), "most": int(lengths.max())}
    about = {"source": work.source, "sha256": work.digest, "texts": len(work.texts), **counts, "checked_by": truth}
    return about, rows


def check(answers: dict[str, np.ndarray], work: Workload) -> tuple[dict[str, dict], str | None]:
    """Each contestant's distance to the reference, or its refusal; and the reference (None: there is none)."""
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
        if work.pairs:
            rows[name]["spearman"] = judge(vectors, work)
    return rows, truth


def judge(vectors: np.ndarray, work: Workload) -> float:
    """Spearman's correlation, times 100, of cosines with human scores of the pairs."""
    from minembed.evaluation.pairs import spearman

    first, second, scores = (np.array(column) for column in zip(*work.pairs, strict=True))
    return round(100 * spearman((vectors[first] * vectors[second]).sum(axis=1), scores), 3)


def lap_of(worker: Worker, workload: str):
    """A function without arguments that runs one lap."""

    def lap() -> Lap:
        return worker.lap(workload)

    return lap
