"""One text through minembed's kernels: native ones, or those that Numba compiled in an earlier process.

int8 comes from a folder stored as int8.
"""


def main(folder, threads, work, mark, dtype, backend):
    from pathlib import Path

    small = Path(work) / f"minembed-{dtype}"
    import numpy  # noqa: F401  (marked apart, as for the others)

    mark("import numpy")
    from minembed import Embedder

    mark("import the library")
    model = Embedder.load(small if small.is_dir() else folder, backend=backend, dtype=dtype, threads=threads)
    mark("load the model")
    if model.backend != backend:
        raise ImportError(f"{backend} is not here: {model.backend} computed")
    vector = model.encode("The first text of a new process.")
    mark("first text")
    return vector
