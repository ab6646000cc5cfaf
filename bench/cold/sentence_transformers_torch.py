"""One text through sentence-transformers."""


def main(folder, threads, work, mark):
    import numpy  # noqa: F401  (marked apart, as for the others)

    mark("import numpy")
    import torch
    from sentence_transformers import SentenceTransformer

    mark("import the library")
    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu")
    mark("load the model")
    vector = model.encode("The first text of a new process.", show_progress_bar=False)
    mark("first text")
    return vector
