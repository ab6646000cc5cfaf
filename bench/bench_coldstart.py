"""From the start of a process to its first vector, part by part; peak memory; and the time of the import.

Files are in the system's cache (a first round, unmeasured, reads them); each run is a new process; programs take turns.
"""

import json
import statistics
import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import asdict
from pathlib import Path

import numpy as np

import machine
from bench_encode import prepare
from environment import BENCH, WORK, process_environment
from harness import Absent, Failed, Model, WrongAnswer, compare, record
from peers import CONTESTANTS, NATIVE, NATIVE_SUFFIX, NUMPY, OURS, TRUTH
from peers.folder import describe, resolve

# program with its options, and how often it runs: in every n-th round, since some take ten times as long as others
PROGRAMS = {
    NUMPY: (("minembed_numpy",), 1),
    **{name: (("minembed_kernels", precision, "native"), 1) for precision, name in NATIVE.items()},
    **{name: (("minembed_kernels", precision, "numba"), 1) for precision, name in OURS.items()},
    "onnxruntime-float32": (("onnxruntime_graph", "fused"), 1),
    "onnxruntime-int8": (("onnxruntime_graph", "int8-fused"), 1),
    "fastembed": (("fastembed_text",), 1),
    "openvino-float32": (("openvino_graph", "float32", "f32"), 1),
    "openvino-bfloat16": (("openvino_graph", "float32", "bf16"), 1),
    "openvino-int8": (("openvino_graph", "int8", "bf16"), 1),
    "ctranslate2-float32": (("ctranslate2_encoder", "float32"), 1),
    "ctranslate2-int8": (("ctranslate2_encoder", "int8"), 1),
    "sentence-transformers": (("sentence_transformers_torch",), 3),
}
IMPORTS = {"numpy": ("import_numpy",), "minembed": ("import_minembed",)}


def run(options: Namespace) -> int:
    """Measure and write results/coldstart.json; returns 1 if minembed itself is missing or wrong."""
    folder = resolve(options.model)
    prepare({who.module for who in CONTESTANTS.values()}, Model(folder))
    contestants = check({name: attempt(program, folder, options.threads) for name, (program, _) in PROGRAMS.items()})
    able = [name for name, row in contestants.items() if "max_abs_diff" in row]
    starts: dict[str, list[dict]] = {name: [] for name in able}
    for round_number in range(options.runs):
        for name in able:
            program, every = PROGRAMS[name]
            if round_number % every == 0:
                starts[name].append(launch(program, folder, options.threads))
    for name in able:
        contestants[name] |= summarise_starts(starts[name])
        print(f"{name:24} {contestants[name]['median_s']:.3f} s, peak {contestants[name]['peak_mb']} MB", flush=True)
    found = {
        "model": describe(folder),
        "contestants": contestants,
        "numba_mb": numba_memory(folder, options.threads),
        "imports": imports(folder, options) if NUMPY in able else None,
    }
    record("coldstart", {"threads": options.threads, "runs": options.runs}, found, options.out)
    return 0 if all("median_s" in contestants[name] for name in (NUMPY, *OURS.values())) else 1


def launch(program: tuple[str, ...], folder: Path, threads: int) -> dict:
    """One fresh process: seconds by part, the total, peak memory and the vector."""
    command = [sys.executable, str(BENCH / "cold"), program[0], str(folder), str(threads), str(WORK), *program[1:]]
    busy, own, start = machine.busy_seconds(), machine.children_seconds(), time.perf_counter()
    done = subprocess.run(
        command, cwd=WORK, env=process_environment(threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise Absent(last[0]) if last[0].startswith(("ModuleNotFoundError", "ImportError")) else Failed(last[0])
    others = machine.disturbance(busy, own, machine.children_seconds(), time.perf_counter() - start)
    line = json.loads(done.stdout.strip().splitlines()[-1])
    parts, before = {}, start
    for part, reading in line["marks"].items():
        parts[part], before = reading - before, reading
    vector = None if line["vector"] is None else np.array(line["vector"])
    return {
        "parts": parts,
        "total": before - start,
        "peak_mb": line["peak_mb"],
        "vector": vector,
        "disturbance": others,
    }


def attempt(program: tuple[str, ...], folder: Path, threads: int) -> dict:
    """The first run, which is not timed: its vector, or the reason why there is none."""
    try:
        return launch(program, folder, threads)
    except Absent as error:
        return {"absent": str(error)}
    except Failed as error:
        return {"failed": str(error)}


def check(first: dict[str, dict]) -> dict[str, dict]:
    """For each contestant, before it is timed: its distance to the reference, or the reason why it takes no part."""
    truth = next((name for name in TRUTH if "vector" in first[name]), NUMPY)
    rows = {}
    for name, outcome in first.items():
        if "vector" not in outcome:
            rows[name] = outcome
            print(f"{name} takes no part: {outcome}", flush=True)
            continue
        try:
            limit = CONTESTANTS[name.removesuffix(NATIVE_SUFFIX)].limit  # the same bits as Numba's
            agreement = compare(outcome["vector"][None], first[truth]["vector"][None], limit)
            rows[name] = {**asdict(agreement), "checked_by": truth}
        except WrongAnswer as error:
            rows[name] = {"refused": str(error)}
    return rows


def summarise_starts(starts: list[dict]) -> dict:
    """Medians over the runs of one contestant: in all, by part, and of its peak memory."""
    totals = [start["total"] for start in starts]
    parts = {part: round(statistics.median(start["parts"][part] for start in starts), 4) for part in starts[0]["parts"]}
    peaks = [start["peak_mb"] for start in starts if start["peak_mb"] is not None]
    others = [start["disturbance"] for start in starts if start["disturbance"] is not None]
    return {
        "runs": len(starts),
        "median_s": round(statistics.median(totals), 4),
        "best_s": round(min(totals), 4),
        "parts_s": parts,
        "peak_mb": round(statistics.median(peaks), 1) if peaks else None,
        "disturbance": round(statistics.median(others), 3) if others else None,
    }


def numba_memory(folder: Path, threads: int) -> float | None:
    """Peak memory of a process that only imports NumPy and Numba."""
    peak = attempt(("import_numba",), folder, threads).get("peak_mb")
    return peak and round(peak, 1)


def imports(folder: Path, options: Namespace) -> dict:
    """Seconds that each import statement takes in a fresh process, and minembed's over NumPy's."""
    seconds: dict[str, list[float]] = {name: [] for name in IMPORTS}
    for round_number in range(options.runs + 1):
        for name, program in IMPORTS.items():
            taken = launch(program, folder, options.threads)["parts"]["import"]
            if round_number:  # the first round only warms the file cache
                seconds[name].append(taken)
    medians = {name: round(statistics.median(values), 4) for name, values in seconds.items()}
    ratio = round(medians["minembed"] / medians["numpy"], 3)
    print(f"import minembed {medians['minembed']} s, import numpy {medians['numpy']} s, ratio {ratio}", flush=True)
    return {"median_s": medians, "best_s": {name: round(min(v), 4) for name, v in seconds.items()}, "ratio": ratio}
