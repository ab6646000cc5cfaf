"""What jobs on Ray cost, on an idle machine of two cores: `make measure-ray`, which writes a table of docs/jobs.md.

Two nodes of a core each are a cluster on this machine, and are compared in turn with the local engine with two threads,
and with one node.  Seconds are of the clock, and of the CPU: of the whole machine, so that Ray's own processes count.
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from statistics import median

import ray
from ray.cluster_utils import Cluster

PAGE = Path(__file__).resolve().parents[2] / "docs" / "jobs.md"
BEGIN, END = "<!-- measured: ray -->", "<!-- end -->"
NODE = {"num_cpus": 1, "object_store_memory": 400 << 20}
WORDS = "bread tea river cloud stone black green sweet old rye soup late cold crust soft inside it came and the".split()
OWN_WEIGHTS = """
    import sys
    from minembed import Embedder, jobs
    from minembed.jobs import on_ray

    class Own(on_ray.Worker):
        def _model(self):
            return on_ray._loaded(self._order)

    if sys.argv[3] == "own":
        on_ray.Worker = Own
    model = Embedder.load(threads=1)
    jobs.embed(sys.argv[1], sys.argv[2], model, shard_rows=500, engine="ray")
"""


def write_corpus(path, rows):
    dice = random.Random(1)
    with path.open("w") as file:
        for _ in range(rows):
            file.write(" ".join(dice.choices(WORDS, k=dice.randint(6, 16))) + "\n")


@contextmanager
def cluster(*nodes):
    made = Cluster(initialize_head=True, head_node_args={**NODE, **nodes[0], "include_dashboard": False})
    try:
        for node in nodes[1:]:
            made.add_node(**NODE, **node)
        os.environ["RAY_ADDRESS"] = made.address
        yield made
    finally:
        ray.shutdown()
        made.shutdown()
        os.environ.pop("RAY_ADDRESS", None)


def busy():
    """Seconds of CPU that this machine has used."""
    ticks = [int(value) for value in Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
    return (sum(ticks[:3]) + sum(ticks[5:7])) / os.sysconf("SC_CLK_TCK")


def timed(corpus, out, *options):
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "minembed", "embed", str(corpus), "-o", f"{out}/", *options]
    cpu, began = busy(), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - began, busy() - cpu


def compare(folder, rows, small, rounds, dtype):
    """Seconds of each kind of run, by its name and its rows."""
    corpora = {count: folder / f"{count}.txt" for count in (rows, small)}
    for count, path in corpora.items():
        write_corpus(path, count)
    kinds = {
        "local, two threads": (None, ["--threads", "2"]),
        "Ray, two nodes of a core": ([{}, {}], ["--threads", "1", "--engine", "ray"]),
        "Ray, one node of a core": ([{}], ["--threads", "1", "--engine", "ray"]),
    }
    timed(corpora[small], folder / "warm", "--threads", "2", "--dtype", dtype)  # kernels are compiled
    found = {}
    for number in range(rounds):
        for kind, (nodes, options) in kinds.items():
            for count, path in corpora.items():
                said = [*options, "--dtype", dtype, "--shard-rows", str(max(200, count // 40))]
                if nodes is None:
                    result = timed(path, folder / "out", *said)
                else:
                    with cluster(*nodes):
                        result = timed(path, folder / "out", *said)
                found.setdefault((kind, count), []).append(result)
                print(
                    f"round {number + 1}, {kind}, {count:,} texts: {result[0]:.1f} s, {result[1]:.1f} s of CPU",
                    flush=True,
                )
    return found


def memory(folder, rows):
    """Megabytes of two workers on one node, with their own weights and with shared ones: (PSS, RSS)."""
    corpus, found = folder / "memory.txt", {}
    write_corpus(corpus, rows)
    for how in ("own", "shared"):
        shutil.rmtree(folder / "out", ignore_errors=True)
        with cluster({"num_cpus": 2}) as made:
            ray.init(address=made.address, log_to_driver=False)
            command = [sys.executable, "-c", textwrap.dedent(OWN_WEIGHTS), str(corpus), str(folder / "out"), how]
            process, most = subprocess.Popen(command, stderr=subprocess.DEVNULL), []
            while process.poll() is None:
                if len(list((folder / "out").glob("part-*"))) >= 4:
                    most.append([sizes(pid) for pid in workers()])
                time.sleep(0.5)
            assert process.returncode == 0
        two = [one for one in most if len(one) == 2 and all(one)]
        found[how] = [max(sum(each[name] for each in one) for one in two) for name in ("Pss", "Rss")] if two else None
        print(f"weights {how}: {found[how]} MB (PSS, RSS)", flush=True)
    return found


def workers():
    """The processes of actors that make shards, by the names that Ray gives them."""
    return [path.parent.name for path in Path("/proc").glob("[0-9]*/cmdline") if makes_shards(path)]


def makes_shards(path):
    try:
        return path.read_bytes().startswith(b"ray::MapWorker")
    except OSError:
        return False


def sizes(pid):
    try:
        told = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return {}
    return {name: int(re.search(rf"^{name}:\s+(\d+)", told, re.M)[1]) / 1024 for name in ("Pss", "Rss")}


def installed():
    """Megabytes of the environment, without this checkout."""
    return sum(path.lstat().st_size for path in Path(sys.prefix).rglob("*") if path.is_file()) / 1e6


def page(found, used, size, rows, small, rounds, dtype):
    base = median(wall for wall, _ in found["local, two threads", rows])
    one = median(wall for wall, _ in found["Ray, one node of a core", rows])
    said = (
        f"Measured on {date.today()} with Ray {ray.__version__} and all-MiniLM-L6-v2 in {dtype}, {os.cpu_count()} "
        f"cores, runs in turn ({rounds} each): medians of seconds on the clock, and of CPU of the whole machine."
    )
    lines = [
        *textwrap.wrap(said, 130),
        "",
        f"| | {rows:,} short texts | CPU | texts a second | of local | {small:,} texts |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind in ("local, two threads", "Ray, two nodes of a core", "Ray, one node of a core"):
        wall, cpu = (median(one[i] for one in found[kind, rows]) for i in (0, 1))
        few = median(wall for wall, _ in found[kind, small])
        lines.append(f"| {kind} | {wall:.1f} | {cpu:.1f} | {rows / wall:,.0f} | {base / wall:.2f} | {few:.1f} |")
    two = median(wall for wall, _ in found["Ray, two nodes of a core", rows])
    lines += ["", f"From one node to two it is {one / two:.2f} times as fast.  The environment with the extras "
              f"`ray` and `numba` is {size:,.0f} MB."]  # fmt: skip
    if used.get("own") and used.get("shared"):
        lines[-1] += (
            f"  Two workers on one node take {used['own'][0]:,.0f} MB with weights of their own and "
            f"{used['shared'][0]:,.0f} MB with those of the node (each page counted once)."
        )
    return [line.replace(".  ", ". ") for line in lines]


def main():
    asked = argparse.ArgumentParser()
    asked.add_argument("--rows", type=int, default=200_000)
    asked.add_argument("--small", type=int, default=1_000)
    asked.add_argument("--rounds", type=int, default=3)
    asked.add_argument("--dtype", default="float32")
    asked.add_argument("--memory-rows", type=int, default=40_000)
    asked.add_argument("--write", action="store_true", help="write the table into docs/jobs.md")
    said = asked.parse_args()
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    with tempfile.TemporaryDirectory() as name:
        used = memory(Path(name), said.memory_rows) if said.memory_rows else {}
        found = compare(Path(name), said.rows, said.small, said.rounds, said.dtype)
    print(json.dumps({f"{kind}, {rows}": runs for (kind, rows), runs in found.items()}))
    told = "\n".join(page(found, used, installed(), said.rows, said.small, said.rounds, said.dtype))
    print(told)
    if said.write:
        text = PAGE.read_text()
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{told}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
