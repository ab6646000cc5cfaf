"""Write the golden files: what torch, transformers and sentence-transformers compute, for the tests to compare with.

    python tests/goldens/make/make_goldens.py MODEL_FOLDER tests/goldens

MODEL_FOLDER is all-MiniLM-L6-v2. Only files called make_*goldens.py import those libraries; each golden file records
their versions and the sha256 of the weights. On one machine a second run writes the same bytes.
"""

import hashlib
import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import corpus
import numpy as np
import tiny
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling
from sentence_transformers.util import quantize_embeddings
from transformers import AutoTokenizer, BertConfig, BertModel

TINY = {  # odd sizes, mostly prime: a transposed or swapped axis cannot pass
    "vocab_size": 97,
    "hidden_size": 35,
    "num_hidden_layers": 3,
    "intermediate_size": 37,
    "max_position_embeddings": 41,
    "type_vocab_size": 2,
}
TINY_HEADS = 5
DOCUMENT_ROWS = [0, 1, 127, 255]  # rows of the long text whose hidden states are kept
COMBINATIONS = [("cls", "mean"), ("max", "lasttoken", "weightedmean"), tuple(Pooling.POOLING_MODES)]


def save(folder: Path, name: str, model: str, **arrays: object) -> None:
    """Write one file with its arrays, the versions and the sha256 of the weights it came from."""
    libraries = ("torch", "transformers", "sentence-transformers", "tokenizers", "numpy")
    about = {"versions": {p: version(p) for p in libraries}, "model_sha256": model, "python": sys.version.split()[0]}
    path = folder / name
    np.savez_compressed(path, about=np.array(json.dumps(about)), **arrays)
    print(f"{path.name}: {path.stat().st_size:,} bytes")


def packed(lists: list[list[int]]) -> dict[str, np.ndarray]:
    """Lay lists of token ids end to end."""
    return {
        "ids": np.array([i for ids in lists for i in ids], dtype=np.uint16),
        "cu_seqlens": np.cumsum([0, *map(len, lists)]),
    }


def minilm_tokens(model: SentenceTransformer, folder: Path, out: Path, sha: str) -> None:
    """Write the token ids of the corpus and of the naughty strings, as encode makes them."""
    texts = corpus.texts() + corpus.NAUGHTY
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = [tokenizer(text, truncation=True, max_length=model.max_seq_length)["input_ids"] for text in texts]
    assert ids == [model.preprocess([text])["input_ids"][0].tolist() for text in texts]
    save(out, "minilm_tokens.npz", sha, texts_sha256=np.array(corpus.digest(texts)), **packed(ids))


def minilm_embeddings(model: SentenceTransformer, out: Path, sha: str) -> None:
    """Write the float32 vectors of the corpus, made in sentence-transformers' default batches of 32."""
    texts = corpus.texts()
    vectors = model.encode(texts, batch_size=32, convert_to_numpy=True)
    half = len(texts) // 2
    digest = np.array(corpus.digest(texts))
    for part, rows in enumerate([slice(0, half), slice(half, None)]):
        save(out, f"minilm_embeddings_{part}.npz", sha, texts_sha256=digest, vectors=vectors[rows])


def hidden_states(model: BertModel, ids: list[int], types: list[int] | None = None) -> np.ndarray:
    """Return the hidden states of one text after the embeddings and after every layer."""
    inputs = {"input_ids": torch.tensor([ids]), "token_type_ids": torch.tensor([types or [0] * len(ids)])}
    with torch.no_grad():
        states = model(**inputs, output_hidden_states=True).hidden_states
    return np.stack([state[0].numpy() for state in states])


def minilm_hidden(model: SentenceTransformer, folder: Path, out: Path, sha: str) -> None:
    """Write float64 hidden states of three texts, how large they are by layer, and torch's own distance from them.

    That distance (float32 minus float64) is written for five long texts, as the root of the mean square and as the
    largest, by layer.
    """
    texts = [corpus.ENGLISH[7], "Größe, 東京?", " ".join(corpus.ENGLISH * 3)]
    single, double = (BertModel.from_pretrained(folder, dtype=t).eval() for t in (torch.float32, torch.float64))
    arrays: dict[str, object] = {"texts": np.array(texts)}
    for i, text in enumerate(texts):
        ids = model.preprocess([text])["input_ids"][0].tolist()
        exact = hidden_states(double, ids)
        rows = DOCUMENT_ROWS if len(ids) == 256 else list(range(len(ids)))
        arrays[f"ids_{i}"], arrays[f"rows_{i}"], arrays[f"hidden_{i}"] = np.array(ids), np.array(rows), exact[:, rows]
        arrays[f"largest_{i}"] = np.abs(exact).max(axis=(1, 2))
    documents = [
        ids for ids in (model.preprocess([t])["input_ids"][0].tolist() for t in corpus.texts()) if len(ids) == 256
    ]
    documents = documents[5::20]
    difference = np.stack([hidden_states(single, ids) - hidden_states(double, ids) for ids in documents])
    arrays["documents"] = np.array(documents, dtype=np.uint16)
    arrays["torch_rms"] = np.sqrt((difference**2).mean(axis=(2, 3)))  # (documents, stages)
    arrays["torch_largest"] = np.abs(difference).max(axis=(2, 3))
    save(out, "minilm_hidden.npz", sha, **arrays)


def tiny_bert(out: Path) -> None:
    """Write a small random BERT, and its hidden states and pooled vectors in float32 and float64."""
    tensors = tiny.bert_tensors(**TINY, seed=11)
    rng = np.random.default_rng(12)
    lengths = [1, 2, 3, 7, 13, 41]
    ids = [rng.integers(0, TINY["vocab_size"], n).tolist() for n in lengths]
    types = [rng.integers(0, 2, n).tolist() for n in lengths]
    arrays: dict[str, object] = {f"tensors/{name}": tensor for name, tensor in tensors.items()}
    arrays |= {"config": np.array(json.dumps({**TINY, "num_attention_heads": TINY_HEADS})), **packed(ids)}
    arrays["types"] = np.array([t for text in types for t in text], dtype=np.uint8)
    config = BertConfig(**TINY, num_attention_heads=TINY_HEADS, hidden_act="gelu", layer_norm_eps=1e-12)
    for dtype in (torch.float32, torch.float64):
        model = BertModel(config, add_pooling_layer=False).to(dtype).eval()
        loaded = {name: torch.from_numpy(tensor).to(dtype) for name, tensor in tensors.items()}
        assert not model.load_state_dict(loaded).missing_keys
        states = [hidden_states(model, *text) for text in zip(ids, types, strict=True)]
        arrays[f"hidden_{str(dtype).removeprefix('torch.')}"] = np.concatenate(states, axis=1)
        last = [torch.from_numpy(state[-1]) for state in states]
        padded = torch.nn.utils.rnn.pad_sequence(last, batch_first=True, padding_value=9.0)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones(n, dtype=torch.int64) for n in lengths], batch_first=True)
        for modes in [*((m,) for m in Pooling.POOLING_MODES), *COMBINATIONS]:
            pooled = Pooling(TINY["hidden_size"], modes)({"token_embeddings": padded, "attention_mask": mask})
            key = f"pooled_{str(dtype).removeprefix('torch.')}/{'+'.join(modes)}"
            arrays[key] = pooled["sentence_embedding"].numpy()
    save(out, "tiny_bert.npz", "", **arrays)


def tiny_checkpoint(out: Path) -> None:
    """Write the vectors that sentence-transformers makes of the checkpoint of tests/support/tiny.py."""
    texts = corpus.texts()[:160]
    with tempfile.TemporaryDirectory() as folder:
        model = SentenceTransformer(str(tiny.write_tiny_checkpoint(Path(folder))), device="cpu")
        weights = hashlib.sha256((Path(folder) / "model.safetensors").read_bytes()).hexdigest()
        vectors = model.encode(texts, batch_size=1)
        ids = [model.preprocess([text])["input_ids"][0].tolist() for text in texts]
    digest = np.array(corpus.digest(texts))
    save(out, "tiny_checkpoint.npz", weights, texts_sha256=digest, vectors=vectors, **packed(ids))


def quantized(out: Path) -> None:
    """Write what quantize_embeddings makes of vectors with zeros, a constant column and values outside the ranges."""
    rng = np.random.default_rng(13)
    vectors, other = rng.standard_normal((2, 23, 24)).astype(np.float32)
    vectors[3], vectors[:, 5], other[:, 7], vectors[4, ::2] = 0, 0.25, -1.5, -0.0
    ranges = np.stack([other.min(axis=0), other.max(axis=0)])
    arrays: dict[str, object] = {"vectors": vectors, "calibration": other, "ranges": ranges}
    for precision in ("int8", "uint8"):
        arrays[f"{precision}/ranges"] = quantize_embeddings(vectors, precision, ranges=ranges)
        arrays[f"{precision}/calibration"] = quantize_embeddings(vectors, precision, calibration_embeddings=other)
        arrays[f"{precision}/self"] = quantize_embeddings(np.tile(vectors, (5, 1)), precision)[: len(vectors)]
    double = vectors.astype(np.float64) * 1.1  # ranges are rounded to float32 first, which moves the largest values
    arrays["double"] = double
    arrays["uint8/double"] = quantize_embeddings(double, "uint8", calibration_embeddings=double)
    for precision in ("binary", "ubinary"):
        arrays[precision] = quantize_embeddings(vectors, precision)
        arrays[f"{precision}/19"] = quantize_embeddings(vectors[:, :19], precision)  # not a whole number of bytes
    save(out, "quantized.npz", "", **arrays)


def main() -> None:
    """Write every file."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # the same sums in the same order at every run
    sha = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    model = SentenceTransformer(str(folder), device="cpu")
    tiny_bert(out)
    tiny_checkpoint(out)
    quantized(out)
    minilm_tokens(model, folder, out, sha)
    minilm_hidden(model, folder, out, sha)
    minilm_embeddings(model, out, sha)


if __name__ == "__main__":
    main()
