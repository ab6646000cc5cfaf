"""The numbers of docs/scale.md: a corpus from texts to an index that is searched, each step in a process of its own.

    make measure-scale ROWS=1000000 MADE=10000000 FOLDER=/somewhere/with/room

`real` texts (docs/real_texts.py) go through all-MiniLM-L6-v2; `made` texts (docs/made_texts.py) through a model
without layers: they show what reading, writing and searching take, not what computing does.  For every step the page
has the seconds of CPU and of the clock, and the peak of its own memory (RssAnon, read every 20 ms: without pages of
mapped files, which the system takes back when it needs them).  Finished steps in FOLDER are not repeated.  The script
rewrites the tables between the marks of the page; other work on the machine distorts the clock's seconds, and with
them the error of the estimate.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scale_steps import Facts

PAGE = Path(__file__).resolve().parent / "scale.md"
STEPS = Path(__file__).resolve().parent / "scale_steps.py"


def forget(folder: Path) -> None:
    """Ask the system to take an index out of the page cache."""
    for path in folder.glob("data-*/*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def run(folder: Path, step: str, *more: str, script: Path = STEPS) -> Facts:
    """A step in a process of its own."""
    print(f"{folder.name}: {step} {' '.join(more)}".rstrip(), flush=True)
    done = subprocess.run([sys.executable, script, folder, step, *more], stdout=subprocess.PIPE, check=True)
    facts: Facts = json.loads(done.stdout.splitlines()[-1])
    print(f"    {json.dumps({name: round(value, 4) for name, value in facts.items()})}", flush=True)
    return facts


def measure(folder: Path, rows: int, kind: str, dtype: str) -> Facts:
    """All steps of one corpus; those that are noted in FOLDER/facts.json are not done again."""
    folder.mkdir(parents=True, exist_ok=True)
    noted = folder / "facts.json"
    facts: Facts = json.loads(noted.read_text()) if noted.exists() else {}

    def once(name: str, step: str, *more: str) -> None:
        if name not in facts:
            facts[name] = run(folder, step, *more)
            noted.write_text(json.dumps(facts, indent=1))

    if not any(folder.glob("texts-*.parquet")):
        make_texts(folder, rows, kind)
    once("embed", "embed", dtype)
    once("encode", "encode", dtype)
    for precision in ("int8", "binary"):
        once(f"index {precision}", "index", precision)
        with forgotten(folder / precision):
            once(f"search {precision}, not cached", "search", precision)
        with forgotten(folder / precision):
            once(f"search {precision}, not cached, memory used before", "search", precision, "used")
        once(f"search {precision}", "search", precision)
        if precision == "int8":
            once("exact", "exact")
            once("near", "near")
        shutil.rmtree(folder / precision, ignore_errors=True)
    if not (folder / "all.jsonl").exists():
        as_lines(folder)
    once("equal", "equal")
    return facts


def make_texts(folder: Path, rows: int, kind: str) -> None:
    """The corpus."""
    if kind == "made":
        from made_texts import main
    else:
        from real_texts import main as real

        real(folder / "texts-000.parquet", rows)
        return
    main(folder, rows)


@contextmanager
def forgotten(folder: Path) -> Iterator[None]:
    """An index that the page cache has not."""
    if folder.exists():
        forget(folder)
    yield


def as_lines(folder: Path) -> None:
    """All texts as one file."""
    import pyarrow.parquet

    with (folder / "all.jsonl").open("w", encoding="utf-8") as file:
        for path in sorted(folder.glob("texts-*.parquet")):
            for batch in pyarrow.parquet.ParquetFile(path).iter_batches(10_000, columns=["text"]):
                file.writelines(json.dumps({"text": text}) + "\n" for text in batch.column(0).to_pylist())


def table(facts: Facts) -> str:
    """What was measured, for the page."""
    lines = ["| step | rows | CPU | clock | memory of its own | |", "|---|---:|---:|---:|---:|---|"]
    for name, found in facts.items():
        if "cpu" not in found:
            continue
        more = []
        if name == "embed":
            found = found | {"peak": found["above"]}
            more.append("memory above the model")
            if "estimate" in found:
                off = f"{100 * found['estimate']:+.0f} % ({100 * found['estimate_cpu']:+.0f} % in seconds of CPU)"
                more.append(f"what a minute's estimate was off: {off}")
        if "job_cpu" in found:
            by_clock, by_cpu = found["seconds"] / found["job_seconds"], found["cpu"] / found["job_cpu"]
            more.append(f"a job of the same texts, in turn: {by_clock:.2f} times this rate ({by_cpu:.2f} by CPU)")
        if "first" in found:
            more.append(f"{100 * max(found['cached'], 0):.0f} % of the file cached")
            more.append(f"first answer {found['first_cpu']:.2f} s of CPU ({found['first']:.2f} s)")
            more.append(f"later {1000 * found['later']:.0f} ms (median {1000 * found['median']:.0f})")
            share = f"{100 * found['pace_cpu'] / found['memory_cpu']:.0f} % of a core's pace of reading memory"
            more.append(f"{found['pace']:.1f} GB/s, {found['later_cpu']:.2f} s of CPU: {share}")
        if "bytes" in found:
            more.append(f"{found['bytes'] / 1e9:.1f} GB")
        if "again" in found:
            more.append(f"{found['again']:,} of them repeat others")
        cells = f"{name} | {found['rows']:,} | {found['cpu']:.1f} s | {found['seconds']:.1f} s | {found['peak']:.0f} MB"
        lines.append(f"| {cells} | {'; '.join(more)} |")
    return "\n".join(lines)


def computed(real: Facts, made: Facts) -> str:
    """What larger corpora would take, by what was measured."""
    cpu = real["encode"]["cpu"] / real["encode"]["rows"]  # seconds a passage
    pace = made["search int8"]["pace"]  # by the clock
    disk = made["index int8"]["bytes"] / made["index int8"]["rows"]
    cores = (2, 16, 64, 512)
    head = "".join(f" {n} cores |" for n in cores)
    lines = [f"| rows |{head} shards | int8 index | a search |", "|---:|" + "---:|" * (len(cores) + 3)]
    for rows in (10**6, 10**7, 10**8, 10**9):
        times = "".join(f" {clock(rows * cpu / n)} |" for n in cores)
        sizes = f"{size_told(rows * (disk - 396))} | {size_told(rows * disk)}"
        lines.append(f"| {rows:,} |{times} {sizes} | {rows * 396 / pace / 1e9:.2f} s |")
    return "\n".join(lines)


def clock(seconds: float) -> str:
    """A time for people."""
    for unit, size in (("years", 365 * 86400), ("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.0f} s"


def size_told(size: float) -> str:
    """Bytes for people."""
    return (
        f"{size / 1e12:.1f} TB" if size >= 1e12 else f"{size / 1e9:.0f} GB" if size >= 1e10 else f"{size / 1e9:.1f} GB"
    )


def check_room(folder: Path, rows: int) -> None:
    """Exit if the disk has no room for the texts, vectors and an index."""
    needed = rows * (4 * 384 * 2.3 + 600)
    if shutil.disk_usage(folder).free < needed:
        sys.exit(f"{rows:,} rows need {needed / 1e9:.0f} GB in {folder}")


def write_page(begin: str, end: str, table: str, path: Path = PAGE) -> None:
    """Put a table in its place."""
    page = path.read_text(encoding="utf-8")
    before, after = page[: page.index(begin)], page[page.index(end) :]
    path.write_text(f"{before}{begin}\n\n{table}\n\n{after}", encoding="utf-8")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="real texts; 0: none")
    parser.add_argument("--made", type=int, default=0, metavar="N", help="made texts; 0: none")
    parser.add_argument("--dtype", default="float32", help="of the model for real texts")
    said = parser.parse_args()
    facts: dict[str, Facts] = {}
    for kind, rows in (("real", said.rows), ("made", said.made)):
        noted = said.folder / kind / "facts.json"
        if noted.exists():
            facts[kind] = json.loads(noted.read_text())
        if rows:
            check_room(said.folder if said.folder.exists() else said.folder.parent, rows)
            facts[kind] = measure(said.folder / kind, rows, kind, said.dtype if kind == "real" else "float32")
            write_page(f"<!-- measured {kind} -->", f"<!-- /measured {kind} -->", table(facts[kind]))
    if len(facts) == 2:
        write_page("<!-- computed -->", "<!-- /computed -->", computed(facts["real"], facts["made"]))


if __name__ == "__main__":
    main()
