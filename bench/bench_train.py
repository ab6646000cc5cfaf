"""Training beside sentence-transformers: tokens per second and peak memory, same batches, loss and optimiser.

Each run is a new process; programs take turns.  Before anything is timed, the losses of the first steps without dropout
are compared.  With --dev, the whole recipe (three epochs over --stsb) is run too, and scored on that file.
"""

import json
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import machine
from environment import BENCH, WORK, process_environment
from harness import record
from peers.folder import describe, resolve

PROGRAMS = ("minembed", "minembed-numpy", "sentence_transformers")
STEPS = {"pairs": 40, "equal": 10}
CHECKED = 10  # steps, whose losses must agree
CLOSE = 1e-5  # relative
ROUNDS = 3


def run(options: Namespace) -> int:
    """Measure and write results/train.json; returns 1 if minembed's losses are not the reference's."""
    if options.stsb is None:
        print("train needs --stsb FILE: scored pairs, from 0 to 5")
        return 1
    folder = resolve(options.model)
    first = {name: launch(name, folder, options, "pairs", "0", str(CHECKED)) for name in PROGRAMS}
    truth, apart = first["sentence_transformers"]["losses"], {}
    for name in PROGRAMS[:-1]:
        apart[name] = max(abs(a / b - 1) for a, b in zip(first[name]["losses"], truth, strict=True))
        print(f"{name}: losses of {CHECKED} steps within {apart[name]:.1e} of sentence-transformers", flush=True)
    found: dict[str, dict] = {}
    for workload, steps in STEPS.items():
        rows: dict[str, list[dict]] = {name: [] for name in PROGRAMS}
        for _ in range(ROUNDS):
            for name in PROGRAMS:
                rows[name].append(launch(name, folder, options, workload, "0.1", str(steps)))
        found[workload] = {name: summary(runs) for name, runs in rows.items()}
        for name, row in found[workload].items():
            print(f"{workload} {name}: {row['tokens_per_s']:.0f} tokens/s, {row['peak_mb']:.0f} MB", flush=True)
    whole = {}
    if options.dev is not None:
        for name in (PROGRAMS[0], PROGRAMS[-1]):
            whole[name] = launch(name, folder, options, "pairs", "0.1", f"epochs=3:{options.dev.absolute()}")
            print(f"{name}: Spearman by epoch {whole[name]['spearman']}", flush=True)
    settings = {"threads": options.threads, "rounds": ROUNDS, "steps": STEPS}
    about = {"model": describe(folder), "losses_apart": apart, "results": found, "whole": whole}
    record("train", settings, about, options.out)
    return 0 if max(apart.values()) <= CLOSE else 1


def launch(name: str, folder: Path, options: Namespace, workload: str, dropout: str, steps: str) -> dict:
    """One fresh process: its output, and the share of the machine that other processes used meanwhile."""
    command = [sys.executable, "-W", "ignore", str(BENCH / "training"), name, str(folder), str(options.threads)]
    command += [workload, str(options.stsb.absolute()), dropout, steps]
    busy, own, start = machine.busy_seconds(), machine.children_seconds(), time.perf_counter()
    done = subprocess.run(
        command, cwd=WORK, env=process_environment(options.threads), capture_output=True, text=True, check=True
    )
    elapsed = time.perf_counter() - start
    others = machine.disturbance(busy, own, machine.children_seconds(), elapsed)
    return json.loads(done.stdout.strip().splitlines()[-1]) | {"disturbance": others}


def summary(runs: list[dict]) -> dict:
    """Medians."""
    others = [run["disturbance"] for run in runs if run["disturbance"] is not None]
    return {
        "tokens_per_s": statistics.median(run["tokens_per_s"] for run in runs),
        "peak_mb": statistics.median(run["peak_mb"] for run in runs),
        "disturbance": round(statistics.median(others), 3) if others else None,
    }
