"""One text through ONNX Runtime on a prepared graph: onnxruntime, tokenizers and NumPy, nothing else."""


def main(folder, threads, work, mark, graph):
    import numpy as np

    mark("import numpy")
    import onnxruntime
    from tokenizers import Tokenizer

    mark("import the library")
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(f"{work}/{graph}.onnx", options, providers=["CPUExecutionProvider"])
    mark("load the model")
    ids = np.array([tokenizer.encode("The first text of a new process.").ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    vector = session.run(None, {entry.name: feed[entry.name] for entry in session.get_inputs()})[0][0].mean(axis=0)
    vector /= np.linalg.norm(vector)
    mark("first text")
    return vector
