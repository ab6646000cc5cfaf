"""One text through CTranslate2's encoder on a converted model."""


def main(folder, threads, work, mark, kind):
    import numpy as np

    mark("import numpy")
    import ctranslate2
    from tokenizers import Tokenizer

    mark("import the library")
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    encoder = ctranslate2.Encoder(f"{work}/ctranslate2-{kind}", device="cpu", compute_type=kind, intra_threads=threads)
    mark("load the model")
    hidden = encoder.forward_batch([tokenizer.encode("The first text of a new process.").ids]).last_hidden_state
    vector = np.array(hidden)[0].mean(axis=0)
    vector /= np.linalg.norm(vector)
    mark("first text")
    return vector
