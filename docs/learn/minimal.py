"""From a text to its vector with all-MiniLM-L6-v2: the whole model, in NumPy.

    python docs/learn/minimal.py MODEL_FOLDER "a text"        (`minembed info` shows the folder)

N tokens of the text, D = 384 numbers for each, F = 1536 inside the feed-forward block, H = 12 heads of K = 32;
6 layers.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer


def linear(x, w, name):  # (N, in) -> (N, out)
    return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def layer_norm(x, w, name, eps=1e-12):  # (N, D) -> (N, D): rows to mean 0, variance 1; then a learned scale and shift
    z = (x - x.mean(axis=-1, keepdims=True)) / np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return z * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x):  # (..., N) -> (..., N): positive numbers that sum to 1
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def gelu(x):  # (N, F) -> (N, F): x times the probability that a normal random number is below x
    return x * (1 + np.vectorize(math.erf, otypes=[x.dtype])(x / math.sqrt(2))) / 2


def attention(x, w, name, H):  # (N, D) -> (N, D): every token attends to all tokens, in H heads side by side
    # query: what a token looks for; key: what it offers to others; value: what it gives
    parts = [linear(x, w, f"{name}.self.{part}") for part in ("query", "key", "value")]  # three times (N, D)
    q, k, v = (part.reshape(len(x), H, -1).swapaxes(0, 1) for part in parts)  # (N, D) -> (H, N, K)
    scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])  # (H, N, N): how well key j answers query i
    context = softmax(scores) @ v  # (H, N, N) @ (H, N, K) -> (H, N, K): a weighted mean of the values
    context = context.swapaxes(0, 1).reshape(len(x), -1)  # (H, N, K) -> (N, D)
    return linear(context, w, f"{name}.output.dense")


def feed_forward(x, w, name):  # (N, D) -> (N, D): every token alone
    h = gelu(linear(x, w, f"{name}.intermediate.dense"))  # (N, D) -> (N, F)
    return linear(h, w, f"{name}.output.dense")  # (N, F) -> (N, D)


def encode(ids, w, config):  # (N,) -> (N, D): embeddings, then in each layer attention and feed-forward
    x = w["embeddings.word_embeddings.weight"][ids]  # (N, D): the token itself
    x = x + w["embeddings.position_embeddings.weight"][: len(ids)]  # its position
    x = x + w["embeddings.token_type_embeddings.weight"][0]  # its text of a pair, here always the first
    x = layer_norm(x, w, "embeddings.LayerNorm")
    for i in range(config["num_hidden_layers"]):
        name, H = f"encoder.layer.{i}", config["num_attention_heads"]
        x = layer_norm(x + attention(x, w, f"{name}.attention", H), w, f"{name}.attention.output.LayerNorm")
        x = layer_norm(x + feed_forward(x, w, name), w, f"{name}.output.LayerNorm")
    return x


def embed(folder, text):  # str -> (D,)
    folder = Path(folder)
    config = json.loads((folder / "config.json").read_bytes())
    limit = json.loads((folder / "sentence_bert_config.json").read_bytes())["max_seq_length"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(limit)  # a longer text is cut
    ids = tokenizer.encode(text).ids  # "Hi" -> [101, 7632, 102]: [CLS] hi [SEP]
    x = encode(ids, load_file(folder / "model.safetensors"), config)  # (N,) -> (N, D)
    vector = x.mean(axis=0)  # (N, D) -> (D,): the mean of all tokens,
    return vector / np.linalg.norm(vector)  # at length 1: then the dot product of two vectors is their cosine


if __name__ == "__main__":
    print(embed(*sys.argv[1:]))
