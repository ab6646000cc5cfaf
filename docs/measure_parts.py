"""One index, and the same index in parts on a Ray cluster: the same rows and scores, and what each takes.

    make measure-parts MADE=10000000 PRECISION=int8 FOLDER=/somewhere/with/room

The texts are those of docs/made_texts.py; in the middle, where the parts meet, some of the first ones come again.  The
cluster is two nodes of a core each on this machine; one index has two threads.  Texts, vectors and index stay in
FOLDER and are not made again; the comparison is.  The script rewrites a table of docs/jobs.md; other work on the
machine distorts the clock's seconds.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from made_texts import made_texts, write_model, write_texts
from measure_scale import check_room, forget, run, write_page
from scale_steps import Facts, Watch

PAGE = Path(__file__).resolve().parent / "jobs.md"
AGAIN, MANY = 400, 80  # texts that come again, twice each; and one more, so often
NEAR, EQUAL = 60, 40  # queries near some rows, and equal to the first rows
FIT = 2_000_000  # rows whose shards are read into memory, too
COUNTS = (1, 10, 60, 100)  # k: the one row that comes 81 times is cut on this side of the middle, beyond it, and not
LAPS = 20  # queries alone


def write_corpus(folder: Path, rows: int) -> None:
    """Write made texts, and in their middle some of the first again: a b c ... z z z z ... c b a."""
    words, half = write_model(folder / "model"), rows // 2
    first = next(made_texts(words, half))
    again = first[1 : AGAIN + 1] + first[:1] * (MANY // 2)
    middle = [again + again[::-1]]
    write_texts(folder, chain(made_texts(words, half), middle, made_texts(words, rows - half, seed=3)))


def one(folder: Path, precision: str) -> Facts:
    """The answers of one index, memory-mapped."""
    from minembed import Index

    small = Index.build(np.ones((9000, 384), np.float32), precision=precision)  # type: ignore[arg-type]
    small.search(np.ones((NEAR + EQUAL, 384)))  # kernels are compiled, or read from the cache
    started = time.perf_counter()
    opened = Index.load(folder / precision)
    open_seconds = time.perf_counter() - started
    vectors = opened._rows.blocks[0].vectors  # unchecked: made into queries
    dice = np.random.default_rng(5)
    near = vectors[np.sort(dice.integers(0, len(opened), NEAR))]
    near += dice.standard_normal(near.shape, np.float32) * np.float32(0.5 / opened.dimension**0.5)
    queries = np.concatenate([near, vectors[:EQUAL]])
    np.save(folder / "queries.npy", queries)
    facts = answers(lambda *said, **more: opened.search(*said, threads=2, **more), queries, folder / "one", ["self"])
    return facts | {"rows": len(opened), "open": open_seconds}


def parts(folder: Path, precision: str, of: str) -> Facts:
    """The answers of two parts, each on its node: of the index, or of the shards of the job."""
    import ray
    from measure_ray import cluster

    from minembed import jobs

    with cluster({}, {}) as made:
        ray.init(address=made.address, log_to_driver=False)
        started = time.perf_counter()
        with jobs.ShardedIndex.open(folder / of, precision=precision) as opened:
            open_seconds = time.perf_counter() - started
            actors = [actor for actor in ray._private.state.actors().values() if actor["State"] == "ALIVE"]
            assert len({actor["Address"]["NodeID"] for actor in actors}) == len(actors) == 2
            processes = [*(str(actor["Pid"]) for actor in actors), "self"]
            facts = answers(opened.search, np.load(folder / "queries.npy"), folder / "parts", processes)
            return facts | {"rows": len(opened), "open": open_seconds}


def answers(search: Callable[..., Any], queries: np.ndarray, into: Path, processes: Sequence[str]) -> Facts:
    """The seconds that answers take, and the memory of the processes; the answers themselves go into files."""
    watches, facts = [Watch(process) for process in processes], Facts()
    with lap(facts, "first", processes):
        search(queries[0])
    for name, some in (("later", list(queries[:LAPS])), ("all", [queries] * 2)):
        laps = [Facts() for _ in some]
        for each, asked in zip(laps, some, strict=True):
            with lap(each, name, processes):
                search(asked)
        facts |= min(laps, key=lambda each: each[name])
    for k in COUNTS:
        scores, rows = search(queries, k, as_arrays=True)
        np.savez(f"{into}-{k}.npz", scores=scores, rows=rows)
    hits = [[asdict(hit) for hit in search(query, k)] for query in queries[::7] for k in COUNTS]
    Path(f"{into}.json").write_text(json.dumps(hits))
    *others, own = [watch.facts()["peak"] for watch in watches]
    return facts | {"peak": own} | ({"part": max(others)} if others else {})


@contextmanager
def lap(facts: Facts, name: str, processes: Sequence[str]) -> Iterator[None]:
    """Note the seconds of a block: of the clock, and of the processes' CPU."""
    began, cpu = time.perf_counter(), cpu_of(processes)
    yield
    facts[name], facts[f"{name}_cpu"] = time.perf_counter() - began, cpu_of(processes) - cpu


def cpu_of(processes: Sequence[str]) -> float:
    """Seconds of CPU that processes have used."""
    fields = [Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split() for process in processes]
    return sum(int(each[11]) + int(each[12]) for each in fields) / os.sysconf("SC_CLK_TCK")


def check_same(folder: Path) -> None:
    """Exit unless both found the same, bit for bit, and found the rows that come again."""
    for k in COUNTS:
        theirs, mine = (np.load(folder / f"{name}-{k}.npz") for name in ("one", "parts"))
        for what in ("scores", "rows"):
            a, b = theirs[what], mine[what]
            if (a.dtype, a.shape, a.tobytes()) != (b.dtype, b.shape, b.tobytes()):
                sys.exit(f"k={k}: {what} differ in {np.count_nonzero((a != b).any(axis=1)):,} of {len(a):,} queries")
        rows, scores = theirs["rows"][NEAR], theirs["scores"][NEAR]
        again = [0, *range(rows[1] if k > 1 else 0, rows[1] + MANY if k > 1 else 0)][:k]
        if rows[: len(again)].tolist() != again or len(set(scores[: len(again)].tolist())) != 1:
            sys.exit(f"k={k}: the rows that come again are not found in order: {rows.tolist()}")
    if (folder / "one.json").read_bytes() != (folder / "parts.json").read_bytes():
        sys.exit("the hits of both differ")


def compare(folder: Path, precision: str) -> Facts:
    """One index and parts, each in a process of its own."""
    script = Path(__file__)
    forget(folder / precision)
    facts = {"one": run(folder, "one", precision, script=script)}
    for name, of in (("parts", precision), ("shards", "vectors")):
        if name == "parts" or facts["one"]["rows"] < FIT:
            forget(folder / precision)
            facts[name] = run(folder, "parts", precision, of, script=script)
            check_same(folder)
    return facts


def table(facts: Facts) -> str:
    """What was measured, for the page."""
    lines = [
        "| rows | scan in | | opening | first answer | later | 100 queries | memory of its own |",
        "|--:|---|---|--:|--:|--:|--:|--:|",
    ]
    kinds = {
        "one": "one index, two threads",
        "parts": "Ray, two parts",
        "shards": "Ray, two parts, of the job's shards",
    }
    for corpus, every in sorted(facts.items(), reverse=True):
        for name, found in every.items():
            peak = f"{found['peak']:.0f} MB" + (f", a part {found['part']:.0f} MB" if "part" in found else "")
            laps = (f"{found[lap]:.2f} s ({found[lap + '_cpu']:.2f} s)" for lap in ("first", "later", "all"))
            cells = (f"{found['rows']:,}", corpus.split()[1], kinds[name], f"{found['open']:.1f} s", *laps, peak)
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Build what is not there, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--made", type=int, default=100_000, metavar="N", help="texts")
    parser.add_argument("--precision", default="int8", help="of the scan: int8, binary or float32")
    said = parser.parse_args()
    folder = said.folder / f"parts-{said.made}"
    folder.mkdir(parents=True, exist_ok=True)
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # as quick as one index
    if not (folder / "vectors" / "manifest.json").exists():
        check_room(folder, said.made)
        write_corpus(folder, said.made)
        run(folder, "embed")
    if not (folder / said.precision).exists():
        run(folder, "index", said.precision)
    noted = said.folder / "parts.json"
    facts: Facts = json.loads(noted.read_text()) if noted.exists() else {}
    facts[f"{said.made:012} {said.precision}"] = compare(folder, said.precision)
    noted.write_text(json.dumps(facts, indent=1))
    write_page("<!-- measured: parts -->", "<!-- end: parts -->", table(facts), PAGE)


STEPS: dict[str, Callable[..., Facts]] = {"one": one, "parts": parts}

if __name__ == "__main__":
    if sys.argv[2:] and sys.argv[2] in STEPS:
        print(json.dumps(STEPS[sys.argv[2]](Path(sys.argv[1]), *sys.argv[3:])))
    else:
        main()
