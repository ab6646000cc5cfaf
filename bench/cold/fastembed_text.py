"""One text through fastembed on a local folder: what its users write."""


def main(folder, threads, work, mark):
    import numpy as np

    mark("import numpy")
    from fastembed import TextEmbedding

    mark("import the library")
    name = "sentence-transformers/all-MiniLM-L6-v2"
    model = TextEmbedding(name, threads=threads, specific_model_path=f"{work}/fastembed")
    mark("load the model")
    vector = np.asarray(next(iter(model.embed(["The first text of a new process."]))), np.float32)
    mark("first text")
    return vector
