"""How much memory `minembed embed` takes beyond what it begins with: all columns of rows, from a file or a pipe.

The model is a stand-in with vectors of 384 numbers, in windows as large as a real one's: what is measured is the way of
the rows.  `python tests/support/embed_memory.py csv` prints megabytes; `embed_memory.py pipe-csv` reads from a pipe.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

ROWS, WIDTH = 200_000, 384
WORDS = "the cat and a dog in the house by the river where the rain falls on old bread and new books".split()


def rows(count):
    for i in range(count):
        text = " ".join(WORDS[(i * 7 + j * 3) % len(WORDS)] for j in range(18))
        yield {
            "id": f"sku-{i:07d}",
            "text": f"{text} {i}",
            "price": i / 4,
            "tags": ["a", f"t{i % 50}"],
            "kind": f"k{i % 9}",
        }


def write(path, form, count=ROWS):
    """Make the file that is read."""
    if form == "parquet":
        import pyarrow as pa
        import pyarrow.parquet

        pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows(count))), path, row_group_size=20_000)
        return
    with path.open("w", encoding="utf-8") as file:
        if form == "csv":
            file.write("id,text,price,tags,kind\n")
        for row in rows(count):
            csv = f"{row['id']},{row['text']},{row['price']},{'|'.join(row['tags'])},{row['kind']}\n"
            file.write(csv if form == "csv" else json.dumps(row) + "\n")


def status(name):
    text = Path("/proc/self/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith(name)).split()[1]) / 1024


def measure(arguments):
    """Run the command; prints what its memory grew by at most, in MB, and the rows that came out."""
    import numpy as np
    import pyarrow.compute
    import pyarrow.parquet  # noqa: F401

    from minembed.cli import embed_file, main
    from minembed.data import outputs  # noqa: F401
    from minembed.models.batching import windows

    def stream(texts, **options):
        for start, window in windows(texts, ""):
            yield np.random.default_rng(start).standard_normal((len(window), WIDTH)).astype(np.float32)

    loaded = SimpleNamespace(stream=stream, engine=SimpleNamespace(width=lambda dim: WIDTH))
    embed_file.load_model = lambda *args: loaded
    before = status("VmRSS")
    main(["embed", *arguments], standalone_mode=False)
    print(json.dumps(status("VmHWM") - before))


def grown(how, folder, count=ROWS):
    """Megabytes that a process of its own takes, for "csv", "pipe-csv" and the like; the output has all rows."""
    import pyarrow.parquet

    form = how.rpartition("-")[2]
    source, output = folder / f"in.{form}", folder / "out.parquet"
    write(source, form, count)
    piped = how.startswith("pipe")
    arguments = ["-" if piped else f"--input={source}", "-o", str(output), *(["--format", form] if piped else [])]
    command = [sys.executable, __file__, "--measure", *arguments]
    feed = subprocess.Popen(["cat", source], stdout=subprocess.PIPE) if piped else None
    stdin = feed.stdout if feed else subprocess.DEVNULL
    done = subprocess.run(command, stdin=stdin, capture_output=True, text=True)
    if feed:
        feed.stdout.close()
        feed.wait()
    assert done.returncode == 0, done.stderr
    found = pyarrow.parquet.ParquetFile(output)
    names = ["id", "text", "price", "tags", "kind", "embedding"]
    assert found.schema_arrow.names == names and found.metadata.num_rows == count
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    if sys.argv[1] == "--measure":
        measure(sys.argv[2:])
    else:
        with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
            for one in sys.argv[1:]:
                print(f"{one}: {grown(one, Path(place), int(os.environ.get('ROWS', ROWS))):.0f} MB", flush=True)
