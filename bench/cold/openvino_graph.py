"""One text through OpenVINO on a converted graph; what it compiles is kept from one process to the next."""


def main(folder, threads, work, mark, graph, hint):
    import numpy as np

    mark("import numpy")
    import openvino
    from tokenizers import Tokenizer

    mark("import the library")
    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)
    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": threads,
        # One for each precision: OpenVINO finds a model compiled for float32 where bfloat16 is asked for, and on tile
        # units runs it with wrong results.
        "CACHE_DIR": f"{work}/openvino-cache-{hint}",
    }
    model = openvino.Core().compile_model(f"{work}/openvino-{graph}.xml", "CPU", config)
    mark("load the model")
    ids = np.array([tokenizer.encode("The first text of a new process.").ids])
    feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    vector = model(feed)[0][0].mean(axis=0)
    vector /= np.linalg.norm(vector)
    mark("first text")
    return vector
