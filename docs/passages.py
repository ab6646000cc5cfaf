"""Write 20,000 passages that every machine has, and 1,000 more to search for, as docs/stores.md uses them.

    python docs/passages.py FOLDER

They are paragraphs of docstrings: of the standard library, then of the packages that are installed beside minembed.
FOLDER gets passages.jsonl, a passage a line with its id, its text and the module that it is from, and queries.txt.
Other packages, other passages: what is compared must be compared on one machine.
"""

import json
import sys
import sysconfig
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path

from standard_library import docstrings, topics

PASSAGES, QUERIES = 20_000, 1_000
SHORTEST, LONGEST = 8, 150  # words: shorter ones say little, longer ones are cut by models


def found() -> Iterator[tuple[str, str]]:
    """Paragraphs, each with its module, in one order; none twice."""
    known = set()
    language = (("language", text) for parts in topics().values() for text in parts)
    everything = chain(docstrings(), docstrings(Path(sysconfig.get_path("purelib"))))
    for module, text in chain(language, ((d.module, text) for d in everything for text in d.paragraphs())):
        if SHORTEST <= len(text.split()) <= LONGEST and ">>>" not in text and text not in known:
            known.add(text)
            yield module, text


def passages_and_queries() -> tuple[list[dict[str, object]], list[str]]:
    """One paragraph in every PASSAGES / QUERIES + 1 is kept out, to search for."""
    every = PASSAGES // QUERIES + 1
    some = list(islice(found(), PASSAGES + QUERIES))
    if len(some) < PASSAGES + QUERIES:
        sys.exit(f"the packages here have {len(some)} paragraphs, {PASSAGES + QUERIES} are needed; install one more")
    kept = [pair for i, pair in enumerate(some) if i % every]
    queries = [text for _, text in some[::every]]
    return [{"id": i, "module": module, "text": text} for i, (module, text) in enumerate(kept)], queries


def main(folder: Path) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    passages, queries = passages_and_queries()
    lines = "".join(json.dumps(passage, ensure_ascii=False) + "\n" for passage in passages)
    (folder / "passages.jsonl").write_text(lines, encoding="utf-8")
    (folder / "queries.txt").write_text("".join(query + "\n" for query in queries), encoding="utf-8")
    print(f"{len(passages):,} passages and {len(queries):,} queries in {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
