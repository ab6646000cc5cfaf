"""Measure minembed beside its peers.

    python bench setup       make bench/.work/venv: minembed from this checkout, and the peers that can be installed
    python bench encode      throughput
    python bench wide        encoders of BERT-base's and BERT-large's shape
    python bench kernels     linear layers and attention by themselves, and the hardware's peak
    python bench growth      throughput by length of text and by threads
    python bench coldstart   from the start of the process to the first vector; import time; peak memory
    python bench topk        exact top-k beside FAISS, usearch, NumKong and NumPy
    python bench native      kernels compiled ahead of time beside Numba's, in every cell of encode and topk
    python bench train       training beside sentence-transformers (needs --stsb)
    python bench stream      peak memory while 100,000 texts stream by
    python bench setup-serve what the servers beside ours need, in addition to setup
    python bench serve       servers under load on 127.0.0.1, beside FastAPI by hand and infinity-emb
    python bench soak        a server at full load for 20 minutes: memory and latencies, minute by minute
    python bench report      REPORT.md and its plots, from results/*/*.json, a folder for each generation of CPUs
    python bench all         encode, wide, kernels, growth, coldstart, topk, report
    python bench targets     encode and wide with those alone who may decide the table of targets, report

Any Python can start it; the measurements run in --python, or $MINEMBED_BENCH_PYTHON, or bench/.work/venv.
"""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import environment
from peers import WORKLOADS

WIDTHS, LENGTHS, TARGET_LENGTHS = [768, 1024], [32, 128, 512], [128]
SHAPES = ["short", "batch"]
INSIDE = "MINEMBED_BENCH_INSIDE"  # set in the process that runs in the right interpreter
MEASURED = ("encode", "wide", "kernels", "growth", "coldstart", "stream", "topk", "native", "train", "serve", "soak")
COMMANDS = {name: [f"bench_{name}"] for name in MEASURED}
COMMANDS["report"] = ["report"]
COMMANDS["all"] = [
    "bench_encode",
    "bench_wide",
    "bench_kernels",
    "bench_growth",
    "bench_coldstart",
    "bench_topk",
    "report",
]
COMMANDS["targets"] = ["bench_encode", "bench_wide", "report"]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser("bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("command", choices=["setup", "setup-serve", "worker", *COMMANDS], metavar="command")
    top.add_argument("--python", type=Path, help="interpreter that has minembed and the peers")
    top.add_argument("--model", default="all-MiniLM-L6-v2", help="a folder or a name (default: %(default)s)")
    top.add_argument("--threads", type=int, default=2, help="threads for every contestant (default: %(default)s)")
    top.add_argument("--laps", type=int, default=5, help="encode: timed runs of each contestant (default: %(default)s)")
    top.add_argument(
        "--heats", type=int, default=1, help="encode: laps of each setting, to choose (default: %(default)s)"
    )
    top.add_argument("--settle", type=float, default=0.3, help="pause before each lap, seconds (default: %(default)s)")
    top.add_argument(
        "--budget",
        type=float,
        default=12,
        help="encode, wide: seconds after which three laps will do (default: %(default)s)",
    )
    top.add_argument("--contestants", nargs="+", help="encode, wide, serve: only these")
    top.add_argument("--closest", action="store_true", help="encode: only those who may be the best of their precision")
    top.add_argument("--workloads", nargs="+", choices=WORKLOADS, help="encode: only these")
    top.add_argument("--fraction", type=float, default=1.0, help="encode, wide, native, serve: only this part")
    top.add_argument("--same-settings", action="store_true", help="encode, wide: race in the settings chosen before")
    top.add_argument("--widths", nargs="+", type=int, choices=WIDTHS, default=WIDTHS, help="wide: only these")
    top.add_argument(
        "--lengths", nargs="+", type=int, default=LENGTHS, help="wide: tokens a text (default: 32 128 512)"
    )
    texts = top.add_mutually_exclusive_group()
    texts.add_argument("--stsb", type=Path, help="encode: the short texts are this csv's sentences")
    texts.add_argument("--texts", type=Path, help="encode: the short texts are this file's lines")
    top.add_argument("--dev", type=Path, help="train: scored pairs, to judge the whole recipe on")
    top.add_argument("--runs", type=int, default=15, help="coldstart: fresh processes of each (default: %(default)s)")
    top.add_argument("--count", type=int, default=100_000, help="stream: number of texts (default: %(default)s)")
    top.add_argument("--clients", nargs="+", type=int, default=[1, 8, 64], help="serve: how many (default: 1 8 64)")
    top.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES, help="serve: only these requests")
    top.add_argument("--starts", action="store_true", help="serve: also how soon ours answers")
    top.add_argument("--seconds", type=float, default=10, help="serve: of each measurement (default: %(default)s)")
    top.add_argument("--minutes", type=int, default=20, help="soak: how long (default: %(default)s)")
    top.add_argument("--out", type=Path, default=environment.BENCH, help="folder for results/ and REPORT.md")
    return top


def interpreter(asked: Path | None) -> Path | None:
    """The Python that measures; None if it does not exist."""
    chosen = asked or os.environ.get(environment.PYTHON_VARIABLE) or environment.venv_python()
    path = Path(chosen).absolute()  # not resolved: a virtual environment's python is a link to another one
    return path if path.exists() else None


def main() -> int:
    """Run one command, in the right interpreter."""
    options = parser().parse_args()
    options.out = options.out.absolute()
    if options.command == "targets":
        options.closest, options.lengths = True, options.lengths or TARGET_LENGTHS
    options.lengths = options.lengths or LENGTHS
    if options.command == "setup":
        return environment.make()
    if options.command == "setup-serve":
        return environment.make_serve()
    if options.command == "worker":
        return importlib.import_module("worker").serve()
    if options.command == "report":
        return importlib.import_module("report").run(options)
    if INSIDE in os.environ:
        return max(importlib.import_module(name).run(options) for name in COMMANDS[options.command])
    python = interpreter(options.python)
    if python is None:
        print("no Python to measure with: run `python bench setup` first, or give --python", file=sys.stderr)
        return 1
    command = [str(python), str(environment.BENCH), *sys.argv[1:]]
    return subprocess.run(command, env={**os.environ, "PYTHONSAFEPATH": "1", INSIDE: "1"}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
