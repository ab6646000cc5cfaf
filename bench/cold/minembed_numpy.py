"""One text through minembed."""


def main(folder, threads, work, mark):
    import numpy  # noqa: F401  (marked apart: minembed needs it, but so does every peer)

    mark("import numpy")
    from minembed import Embedder

    mark("import the library")
    model = Embedder.load(folder, backend="numpy", threads=threads)
    mark("load the model")
    vector = model.encode("The first text of a new process.")
    mark("first text")
    return vector
