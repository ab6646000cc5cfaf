"""Write what sentence-transformers answers to the calls of its own pages.

    python tests/goldens/make/make_call_goldens.py MODEL tests/goldens/calls [PAGE ...]

MODEL is the folder of all-MiniLM-L6-v2; the other models are small and made on the spot.  With pages, such as
"quickstart", the answers of the others are kept.  faiss and usearch must be there: the reference searches with them.
"""

import json
import logging
import lzma
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import published_calls
import torch
import transformers
from published_calls.models import Models
from published_calls.running import REFERENCE, Runner, is_there, record

LIBRARIES = ("sentence-transformers", "transformers", "torch", "numpy", "scikit-learn", "faiss-cpu", "usearch")


def answer(runner, call):
    """What the reference answers to a call."""
    try:
        return record(runner.run(call))
    except Exception as fault:
        raise SystemExit(f"{call.name}: {type(fault).__name__}: {fault}\n{runner.translate(call.code)}") from fault


def main():
    """Run every call that is not refused, or those of the pages asked for, and write the answers."""
    minilm, path, pages = sys.argv[1], Path(sys.argv[2]) / "answers.json.xz", sys.argv[3:] or published_calls.PAGES
    torch.set_num_threads(1)
    logging.disable(logging.ERROR)
    transformers.logging.disable_progress_bar()
    answers = json.loads(lzma.decompress(path.read_bytes())) if sys.argv[3:] else {}
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(REFERENCE, Models(Path(folder) / "models", minilm), folder)
        for call in published_calls.CALLS:
            if call.page in pages and not call.is_refused and all(map(is_there, call.needs)):
                answers[call.name] = answer(runner, call)
    answers = {"versions": {name: version(name) for name in LIBRARIES}} | {
        call.name: answers[call.name] for call in published_calls.CALLS if call.name in answers and not call.is_refused
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lzma.compress(json.dumps(answers, ensure_ascii=False).encode(), preset=9))
    print(f"{path}: {len(answers) - 1} answers, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
