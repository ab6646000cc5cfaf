"""Corpora for the tests of jobs, and what is in the folder of a job."""

import csv
import json

import pyarrow.parquet

FOLDER_FILES = {".lock", "job.json", "manifest.json"}
WORDS = "rye bread sweet cake green tea black bean soup river stone cloud".split()


def write_corpus(folder, sizes=(40, 25), gap=None):
    """Write tables "0.csv", ... with ids, texts and numbers; row `gap` of each has no text."""
    paths, number = [], 0
    for place, size in enumerate(sizes):
        path = folder / f"{place}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "text", "price"])
            for i in range(size):
                text = " ".join(WORDS[(number * k + i) % len(WORDS)] for k in range(1, 2 + number % 7))
                writer.writerow([f"k{number}", "" if i == gap else text, number])
                number += 1
        paths.append(path)
    return paths


def rows_of(folder):
    """All rows of the shards in parquet, in the order of the files' names."""
    names = sorted(path for path in folder.glob("part-*.parquet"))
    return [row for path in names for row in pyarrow.parquet.read_table(path).to_pylist()]


def contents(folder):
    """The bytes of every file of a job but the lock."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"}


def assert_whole(folder, number_of_shards):
    """Assert that a folder has a finished job, and nothing else."""
    names = {path.name for path in folder.iterdir()}
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert names == FOLDER_FILES | {shard["name"] for shard in manifest["shards"]}
    assert len(manifest["shards"]) == number_of_shards
