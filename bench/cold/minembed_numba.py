"""One text through minembed's kernels, compiled by an earlier process; int8 from a folder stored as int8."""


def main(folder, threads, work, mark, dtype):
    from pathlib import Path

    small = Path(work) / f"minembed-{dtype}"
    import numpy  # noqa: F401  (marked apart, as for the others)

    mark("import numpy")
    from minembed import Embedder

    mark("import the library")
    model = Embedder.load(small if small.is_dir() else folder, backend="numba", dtype=dtype, threads=threads)
    mark("load the model")
    vector = model.encode("The first text of a new process.")
    mark("first text")
    return vector
