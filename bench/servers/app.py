"""A server as people write it by hand: FastAPI around sentence-transformers or ONNX Runtime, one request at a time.

python app.py sentence_transformers|onnxruntime|onnxruntime_padded FOLDER WORK THREADS PRECISION PORT
"""

import sys
from base64 import b64encode
from pathlib import Path

import orjson
import uvicorn
from fastapi import FastAPI, Response
from pydantic import BaseModel

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Embeddings(BaseModel):
    """The part of OpenAI's request that the load uses."""

    input: str | list[str]
    encoding_format: str = "float"


def sentence_transformers(folder: str, work: str, threads: int, precision: str):
    """Its encode, 32 texts a batch as it comes."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    model = SentenceTransformer(folder, device="cpu", model_kwargs={"torch_dtype": getattr(torch, precision)})
    return lambda texts: model.encode(texts, show_progress_bar=False).astype("float32")


def onnxruntime(folder: str, work: str, threads: int, precision: str, batch: int = 1):
    """The fused graph, or int8 of it, as `python bench encode` runs them: a text at a time, which pads nothing."""
    from peers import onnxruntime_graph

    onnxruntime_graph.prepare(Path(folder), Path(work))
    graph = {"float32": "fused", "int8": "int8-fused"}[precision]
    return onnxruntime_graph.load(Path(folder), threads, Path(work), {"graph": graph, "batch": batch}).encode


def onnxruntime_padded(folder: str, work: str, threads: int, precision: str):
    """The same with up to 64 texts in one padded batch."""
    return onnxruntime(folder, work, threads, precision, batch=64)


KINDS = {
    "sentence_transformers": sentence_transformers,
    "onnxruntime": onnxruntime,
    "onnxruntime_padded": onnxruntime_padded,
}


def application(encode) -> FastAPI:
    """The one route; FastAPI runs it in a pool of threads."""
    app = FastAPI()

    @app.post("/v1/embeddings")
    def embeddings(asked: Embeddings) -> Response:
        rows = encode([asked.input] if isinstance(asked.input, str) else asked.input)
        form = (lambda row: b64encode(row.tobytes()).decode()) if asked.encoding_format == "base64" else list
        data = [{"object": "embedding", "index": i, "embedding": form(row)} for i, row in enumerate(rows)]
        return Response(orjson.dumps({"object": "list", "data": data}), media_type="application/json")

    return app


def main() -> None:
    """Load, and serve."""
    kind, folder, work, threads, precision, port = sys.argv[1:]
    app = application(KINDS[kind](folder, work, int(threads), precision))
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
