"""The mathematics a second time: float64, one text, one head, one row after another, sharing no code with minembed.

Slow on purpose. Only matrix products are left to NumPy, so that the real six-layer model runs in seconds. `tensors`
are the checkpoint's own, under their own names and in their own (out, in) layout.
"""

import math
from itertools import pairwise

import numpy as np


def each(f, x):
    """Apply a scalar function to every element."""
    x = np.asarray(x, np.float64)
    return np.array([f(v) for v in x.ravel().tolist()]).reshape(x.shape)


def erf(x):
    """Return erf of every element."""
    return each(math.erf, x)


def gelu(x):
    """Return x Phi(x) of every element; erfc keeps the negative side's digits, where 1 + erf would cancel."""
    return each(lambda v: v * math.erfc(-v / math.sqrt(2)) / 2, x)


def linear(x, weight, bias):
    """Return x weight^T + bias for a checkpoint's (out, in) weight."""
    return np.asarray(x, np.float64) @ np.asarray(weight, np.float64).T + np.asarray(bias, np.float64)


def layer_norm(x, weight, bias, eps):
    """Normalise each row, with exactly rounded sums."""
    rows = []
    for row in np.asarray(x, np.float64).tolist():
        mean = math.fsum(row) / len(row)
        variance = math.fsum((v - mean) ** 2 for v in row) / len(row)
        scale = 1 / math.sqrt(variance + eps)
        rows.append([(v - mean) * scale * w + b for v, w, b in zip(row, weight, bias, strict=True)])
    return np.array(rows)


def softmax(row):
    """Turn one list of scores into weights that sum to 1."""
    largest = max(row)
    powers = [math.exp(v - largest) for v in row]
    total = math.fsum(powers)
    return np.array([p / total for p in powers])


def attention(q, k, v, heads, bias=None):
    """Attention of one text: (N, D) three times -> (N, D); bias(head, distance) is added to the score."""
    n, d = q.shape
    width = d // heads
    out = np.zeros((n, d))
    for h in range(heads):
        columns = slice(h * width, (h + 1) * width)
        for i in range(n):
            scores = k[:, columns] @ q[i, columns] / math.sqrt(width)
            if bias is not None:
                scores += [bias(h, j - i) for j in range(n)]
            out[i, columns] = softmax(scores.tolist()) @ v[:, columns]
    return out


def attend(qkv, cu_seqlens, heads):
    """Attention of packed texts: (T, 3D), (B+1,) -> (T, D)."""
    q, k, v = np.split(np.asarray(qkv, np.float64), 3, axis=1)
    return np.concatenate([attention(q[a:b], k[a:b], v[a:b], heads) for a, b in pairwise(cu_seqlens)])


def bert(tensors, ids, types, heads, eps=1e-12):
    """Return the hidden states of one text: [after the embeddings, after layer 0, after layer 1, ...], each (N, D)."""

    def weights(name):
        return np.asarray(tensors[f"{name}.weight"], np.float64), np.asarray(tensors[f"{name}.bias"], np.float64)

    def norm(x, name):
        return layer_norm(x, *weights(f"{name}.LayerNorm"), eps)

    def table(name, row):
        return np.asarray(tensors[f"embeddings.{name}_embeddings.weight"][row], np.float64)

    x = [table("word", i) + table("position", at) + table("token_type", types[at]) for at, i in enumerate(ids)]
    states = [norm(np.array(x), "embeddings")]
    while f"encoder.layer.{len(states) - 1}.output.dense.weight" in tensors:
        layer, x = f"encoder.layer.{len(states) - 1}", states[-1]
        q, k, v = (linear(x, *weights(f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        seen = linear(attention(q, k, v, heads), *weights(f"{layer}.attention.output.dense"))
        x = norm(x + seen, f"{layer}.attention.output")
        wide = gelu(linear(x, *weights(f"{layer}.intermediate.dense")))
        states.append(norm(x + linear(wide, *weights(f"{layer}.output.dense")), f"{layer}.output"))
    return states


def alibi(heads):
    """Return the bias of ALiBi (Press et al., 2022), by distance to either side as JinaBERT has it.

    The slopes of n heads, n a power of 2, are 2^(-8/n), 2^(-16/n), ...; for other numbers those of the power of 2
    below come first, and then every second one of the power of 2 above.
    """

    def slopes(n):
        return [2 ** (-8 * (i + 1) / n) for i in range(n)]

    below = 2 ** math.floor(math.log2(heads))
    slope = (slopes(below) + slopes(2 * below)[::2])[:heads]
    return lambda head, distance: -slope[head] * abs(distance)


def jina_bert(tensors, ids, types, heads, eps=1e-12):
    """Return the hidden states of one text like `bert`: slopes for positions, and a gated feed-forward block."""

    def weights(name):
        return np.asarray(tensors[f"{name}.weight"], np.float64), np.asarray(tensors[f"{name}.bias"], np.float64)

    def rows(table, which):
        return np.asarray(tensors[f"embeddings.{table}_embeddings.weight"], np.float64)[which]

    x = rows("word", ids) + rows("token_type", types)
    states = [layer_norm(x, *weights("embeddings.LayerNorm"), eps)]
    while f"encoder.layer.{len(states) - 1}.mlp.wo.weight" in tensors:
        layer, x = f"encoder.layer.{len(states) - 1}", states[-1]
        q, k, v = (linear(x, *weights(f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        seen = linear(attention(q, k, v, heads, alibi(heads)), *weights(f"{layer}.attention.output.dense"))
        x = layer_norm(x + seen, *weights(f"{layer}.attention.output.LayerNorm"), eps)
        wide = linear(x, tensors[f"{layer}.mlp.gated_layers.weight"], 0.0)
        half = wide.shape[1] // 2
        wide = gelu(wide[:, :half]) * wide[:, half:]  # the first half is activated
        x = x + linear(wide, *weights(f"{layer}.mlp.wo"))
        states.append(layer_norm(x, *weights(f"{layer}.mlp.layernorm"), eps))
    return states


POOLING = {  # one column of one text -> one number
    "cls": lambda column: column[0],
    "max": max,
    "mean": lambda column: math.fsum(column) / len(column),
    "mean_sqrt_len_tokens": lambda column: math.fsum(column) / math.sqrt(len(column)),
    "weightedmean": lambda c: math.fsum(i * v for i, v in enumerate(c, start=1)) / sum(range(1, len(c) + 1)),
    "lasttoken": lambda column: column[-1],
}


def pool(hidden, cu_seqlens, mode):
    """Pool packed texts in one mode: (T, D), (B+1,) -> (B, D)."""
    texts = [np.asarray(hidden[start:stop], np.float64) for start, stop in pairwise(cu_seqlens)]
    return np.array([[POOLING[mode](column) for column in text.T.tolist()] for text in texts])


def l2_normalize(x):
    """Scale each row to length 1; zero rows stay zero."""
    out = np.array(x, np.float64)
    for row in out:
        length = math.sqrt(math.fsum(v * v for v in row.tolist()))
        if length:
            row /= length
    return out


def cosine(a, b):
    """Return the cosine of every row of a with every row of b; 0 with a zero row."""
    return np.array([[math.fsum(x * y) for y in l2_normalize(b)] for x in l2_normalize(a)])


def top_k(queries, corpus, k):
    """Return the k largest dot products of each query as (scores, indices); among equals the smaller index first."""
    scores, indices = [], []
    for query in np.asarray(queries, np.float64):
        dots = [math.fsum(query * row) for row in np.asarray(corpus, np.float64)]
        best = sorted(range(len(dots)), key=lambda j, dots=dots: (-dots[j], j))[:k]
        indices.append(best)
        scores.append([dots[j] for j in best])
    return np.array(scores), np.array(indices)


def tail_table(end, step=1e-5):
    """Return (grid, Q(grid)) on [0, end]; linear interpolation in it is within 1e-11 of Q, the normal tail.

    The second derivative of Q stays below 0.25, and a chord strays by step^2 / 8 times that. It lets a test look at
    every float32, for which a call of math.erfc each is too slow.
    """
    grid = np.arange(0, end + step, step)
    return grid, each(lambda v: math.erfc(v / math.sqrt(2)) / 2, grid)
