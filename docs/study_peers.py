"""BertViz, TransformerLens and minembed on the same two texts: what each needs, how long it takes, what it asks for.

make study-peers (an environment of its own, with torch).  Prints the rows of the table in docs/report.md.
"""

import inspect
import json
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

A, B = "A cat sleeps on the sofa.", "A kitten is napping on the couch."


def bertviz(folder):
    """All heads of both texts, as a page."""
    from bertviz import model_view
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModel.from_pretrained(folder, output_attentions=True, attn_implementation="eager")
    tokens = tokenizer(A, B, return_tensors="pt")
    attention, pieces = model(**tokens).attentions, tokenizer.convert_ids_to_tokens(tokens["input_ids"][0])
    page = model_view(attention, pieces, html_action="return").data
    return {"page": len(page), "asks": len(set(re.findall(r"https?://cdn[^\s'\"]+", page)))}


def transformer_lens(folder):
    """All results that its hooks get."""
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(folder, device="cpu")
    _, cache = model.run_with_cache(A)
    return {"values": len(cache)}


def minembed_trace(folder):
    """Every intermediate result."""
    from minembed import Embedder
    from minembed.study import trace

    t = trace(Embedder.load(folder, backend="numpy"), A)
    return {"values": len(t)}


def minembed_report(folder):
    """The page."""
    from minembed import Embedder
    from minembed.study.report import report

    page = report(Embedder.load(folder, backend="numpy"), A, B).html()
    return {"page": len(page), "asks": len(re.findall(r"(?:src|href)=.?https?:", page))}


TOOLS = {one.__name__: one for one in (bertviz, transformer_lens, minembed_trace, minembed_report)}


def child(name, folder):
    """Run one tool in this process, and print its time and memory."""
    found = TOOLS[name](folder)
    used = resource.getrusage(resource.RUSAGE_SELF)
    lines = len([line for line in inspect.getsource(TOOLS[name]).splitlines()[2:] if line.strip()])
    found |= {"lines": lines, "cpu": round(used.ru_utime + used.ru_stime, 1), "MB": used.ru_maxrss >> 10}
    print(json.dumps(found))


def installed(python):
    """Megabytes of the packages of an environment, without pip and setuptools."""
    ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
    folder = Path(subprocess.check_output([python, "-c", ask], text=True).strip())
    files = (path for path in folder.rglob("*") if path.is_file() and path.relative_to(folder).parts[0] not in SKIPPED)
    return sum(path.stat().st_size for path in files) // 1_000_000


SKIPPED = {"pip", "setuptools", "pkg_resources", "_distutils_hack"}


def main(theirs, ours):
    """Run each tool twice, offline, in the environment that has it; the second run is shown."""
    ask = "from minembed import Embedder; print(Embedder.load('all-MiniLM-L6-v2').checkpoint.folder)"
    elsewhere = tempfile.gettempdir()  # in a checkout Python would find its folders before what is installed
    folder = subprocess.check_output([ours, "-c", ask], text=True, cwd=elsewhere).strip()
    for name in TOOLS:
        python = ours if name.startswith("minembed") else theirs
        with tempfile.TemporaryDirectory() as home:
            environment = os.environ | {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "MPLCONFIGDIR": home}
            for _ in range(2):
                command = [python, "-W", "ignore", __file__, "--child", name, folder]
                done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        last = done.stdout.strip().splitlines()[-1] if done.returncode == 0 else done.stderr.strip().splitlines()[-1]
        print(f"{name:<18} {installed(python):>6} MB installed  {last}")


if __name__ == "__main__":
    if sys.argv[1] == "--child":
        child(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
