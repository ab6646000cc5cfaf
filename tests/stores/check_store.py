"""Run the program of one page on the passages, compare it with top_k, and measure it.

    python tests/stores/check_store.py STORE WORK PHASE

WORK holds passages.jsonl, passages.npy, queries.npy.  Runs in the store's own environment, which has minembed and
nothing that tests need.  A process a PHASE: "all" runs the page to its end and measures; "again" opens what "all" has
left; "killed" dies right after the insertion; "after" opens what that has left.  Prints what it found as JSON.
"""

import atexit
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from store_checks import Found, K, compared, hold
from store_expected import EXPECTED
from store_pages import page_of, size_of

from minembed import Embedder

FILTER = "email"
MANY, FEW = 300, 100  # queries, searched one by one against the clock; few for filters and after changes
ADDED, CHANGED, DELETED = 20_000, 7, 3  # the ids that the part "Change" of every page uses
Search = Callable[..., Found]


def searched(search: Search, queries: Any, **options: str) -> tuple[list[Found], dict[str, float]]:
    """What is found for each query, and the milliseconds that one takes: the median, and the least."""
    found, laps = [], []
    for query in queries:
        start = time.perf_counter()
        found.append([(int(row), float(score)) for row, score in search(query, k=K, **options)])
        laps.append(1e3 * (time.perf_counter() - start))
    return found, {"median_ms": statistics.median(laps), "best_ms": min(laps)}


class Corpus:
    """The passages and queries, as they were, and as they are after the part "Change"."""

    def __init__(self, work: Path) -> None:
        self.vectors, self.queries = np.load(work / "passages.npy"), np.load(work / "queries.npy")
        passages = (work / "passages.jsonl").read_text(encoding="utf-8").splitlines()
        self.modules = np.array([json.loads(line)["module"] for line in passages])
        self.ids = np.arange(len(self.vectors))

    def filtered(self) -> tuple[Any, Any]:
        mask = self.modules == FILTER
        return self.vectors[mask], self.ids[mask]

    def changed(self, texts: tuple[str, str]) -> tuple[Any, Any, Any]:
        """Vectors, ids, and the vectors of both texts: the one added, the one that replaces another."""
        new = Embedder.load("all-MiniLM-L6-v2").encode_document(list(texts))
        vectors = np.concatenate([self.vectors, new[:1]])
        vectors[CHANGED] = new[1]
        kept = np.arange(len(vectors)) != DELETED
        return vectors[kept], np.flatnonzero(kept), new


def check_changes(name: str, search: Search, corpus: Corpus, texts: tuple[str, str]) -> None:
    """The row that was added and the one that was changed are found, the deleted one is not, nor anything else."""
    vectors, ids, new = corpus.changed(texts)
    assert [search(row, k=1)[0][0] for row in new] == [ADDED, CHANGED]
    assert search(new[0], k=5, module="mine")[0][0] == ADDED
    found, _ = searched(search, corpus.queries[:FEW])
    hold(f"{name}, changed", compared(found, corpus.queries[:FEW], vectors, ids), EXPECTED[name].plain)
    assert DELETED not in [row for row, _ in search(corpus.vectors[DELETED], k=50)]


def inserted(name: str, parts: dict[str, str], space: dict[str, Any]) -> dict[str, float]:
    """Run the part "Insert"; the seconds that it takes."""
    start = time.perf_counter()
    exec(compile(parts["Insert"], f"{name}: Insert", "exec"), space)
    return {"insert_s": time.perf_counter() - start}


def run_all(name: str, corpus: Corpus, parts: dict[str, str], space: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The whole page, part by part."""

    def run(part: str) -> None:
        exec(compile(parts[part], f"{name}: {part}", "exec"), space)

    run("Open")
    facts: dict[str, Any] = inserted(name, parts, space)
    run("Search")
    held, queries, few, search = EXPECTED[name], corpus.queries[:MANY], corpus.queries[:FEW], space["search"]
    found, times = searched(search, queries)
    facts["plain"] = times | hold(name, compared(found, queries, corpus.vectors, corpus.ids), held.plain)
    found, times = searched(search, few, module=FILTER)
    facts["filtered"] = times | hold(f"{name}, filtered", compared(found, few, *corpus.filtered()), held.filtered)
    run("Change")
    texts = space["added"], space["changed"]
    check_changes(name, space["search"], corpus, texts)
    run("Reopen")
    check_changes(name, space["search"], corpus, texts)
    facts["disk"] = size_of(folder)
    (folder.parent / f"{name}.texts.json").write_text(json.dumps(texts))
    if "Smaller vectors" in parts:
        run("Smaller vectors")
    return facts | {"others": smaller(name, corpus, space)}


def smaller(name: str, corpus: Corpus, space: dict[str, Any]) -> dict[str, Any]:
    """What the searches of smaller vectors find; these are made of the vectors as they were."""
    others = {other: search for other, search in space.items() if other.startswith("search_")}
    assert set(others) == set(EXPECTED[name].others)
    queries, facts = corpus.queries[:MANY], {}
    for other, search in others.items():
        found, times = searched(search, queries)
        own = compared(found, queries, corpus.vectors, corpus.ids)
        own = hold(f"{name}, {other}", own, EXPECTED[name].others[other])
        facts[other] = {**own, **times, "about": search.__doc__}
    return facts


def server_of(space: dict[str, Any]) -> dict[str, int]:
    """The process of the page's server, if it has started one; it must not be root's."""
    if "server" not in space:
        return {}
    process = space["server"].get_pid()
    assert Path(f"/proc/{process}").stat().st_uid != 0, "the server runs as root"
    return {"server": process}


def main(name: str, work: Path, phase: str) -> dict[str, Any]:
    page, corpus = page_of(name), Corpus(work)
    folder = work / (f"{name}-killed" if phase in ("killed", "after") else name)
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for file in ("passages.jsonl", "passages.npy"):
        Path(file).unlink(missing_ok=True)
        Path(file).symlink_to(work / file)
    space: dict[str, Any] = {"__name__": "__main__"}
    if phase == "all":
        facts = run_all(name, corpus, page.parts, space, folder)
        versions = {package: version(package.split("[")[0]) for package in page.packages}
        return facts | server_of(space) | {"versions": versions, "python": platform.python_version()}
    exec(compile(page.parts["Open"], name, "exec"), space)
    if phase == "killed":
        print(json.dumps(inserted(name, page.parts, space)), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    if phase == "after" and "server" in space:
        atexit.register(space["server"].stop)  # of itself it waits for the process that was killed
    exec(compile(page.parts["Search"], name, "exec"), space)
    if phase == "again":
        texts = json.loads((work / f"{name}.texts.json").read_text())
        check_changes(name, space["search"], corpus, tuple(texts))
        return server_of(space)
    found, _ = searched(space["search"], corpus.queries[:FEW])
    facts = compared(found, corpus.queries[:FEW], corpus.vectors, corpus.ids)
    return {"killed": hold(f"{name}, killed", facts, EXPECTED[name].plain)["recall"], **server_of(space)}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]).absolute(), sys.argv[3])))
