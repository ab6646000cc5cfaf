"""A second implementation of the parts of a BERT's vector: float64, one token, one head, one number after another.

Shares no code with minembed.  The text goes through once to see the gates; then each part goes through alone.
"""

import math

import numpy as np


def mean_vector_parts(tensors, ids, heads, eps=1e-12):
    """Of one text of a BERT with mean pooling: what each token's word, all positions, all segments and all biases add.

    -> (len(ids) + 3, D), whose sum is the mean of the last hidden states.
    """
    layers = sum(name.endswith("attention.self.query.weight") for name in tensors)
    n = len(ids)
    rows = {
        "word": [row(tensors, "word", i) for i in ids],
        "position": [row(tensors, "position", i) for i in range(n)],
        "token_type": [row(tensors, "token_type", 0) for _ in ids],
    }
    width = len(rows["word"][0])
    blank = [[0.0] * width for _ in ids]
    whole = [[sum(rows[kind][i][d] for kind in rows) for d in range(width)] for i in range(n)]
    gates = []
    walk(tensors, whole, heads, eps, layers, gates, record=True, biases=True)
    parts = []
    for i in range(n):
        alone = [rows["word"][j] if i == j else blank[j] for j in range(n)]
        parts.append(walk(tensors, alone, heads, eps, layers, list(gates), record=False, biases=False))
    parts.append(walk(tensors, rows["position"], heads, eps, layers, list(gates), record=False, biases=False))
    parts.append(walk(tensors, rows["token_type"], heads, eps, layers, list(gates), record=False, biases=False))
    parts.append(walk(tensors, blank, heads, eps, layers, list(gates), record=False, biases=True))
    return np.array([[math.fsum(token[d] for token in part) / n for d in range(width)] for part in parts])


def row(tensors, kind, i):
    return [float(v) for v in tensors[f"embeddings.{kind}_embeddings.weight"][i]]


def walk(tensors, x, heads, eps, layers, gates, record, biases):
    """Send rows through; gates are recorded on the first way, and taken from the list, in order, on later ones."""

    def gate(make):
        if record:
            gates.append(make())
            return gates[-1]
        return gates.pop(0)

    def times(vector, name):
        weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
        out = []
        for o in range(len(weight)):
            total = math.fsum(float(w) * v for w, v in zip(weight[o], vector, strict=True))
            out.append(total + (float(bias[o]) if biases else 0.0))
        return out

    def norm(vector, name):
        mean = math.fsum(vector) / len(vector)
        centred = [v - mean for v in vector]
        factor = gate(lambda: 1 / math.sqrt(math.fsum(v * v for v in centred) / len(centred) + eps))
        weight, bias = tensors[f"{name}.LayerNorm.weight"], tensors[f"{name}.LayerNorm.bias"]
        return [
            v * factor * float(w) + (float(b) if biases else 0.0) for v, w, b in zip(centred, weight, bias, strict=True)
        ]

    def activate(v):
        return v * gate(lambda: math.erfc(-v / math.sqrt(2)) / 2)

    x = [norm(vector, "embeddings") for vector in x]
    for i in range(layers):
        at = f"encoder.layer.{i}"
        values = [times(vector, f"{at}.attention.self.value") for vector in x]
        shares = gate(lambda at=at, x=x: shares_of(tensors, x, at, heads))
        width = len(values[0]) // heads
        found = [
            [
                math.fsum(shares[h][token][other] * values[other][h * width + k] for other in range(len(x)))
                for h in range(heads)
                for k in range(width)
            ]
            for token in range(len(x))
        ]
        found = [times(vector, f"{at}.attention.output.dense") for vector in found]
        x = [
            norm([a + b for a, b in zip(*two, strict=True)], f"{at}.attention.output")
            for two in zip(x, found, strict=True)
        ]
        wide = [[activate(v) for v in times(vector, f"{at}.intermediate.dense")] for vector in x]
        narrow = [times(vector, f"{at}.output.dense") for vector in wide]
        x = [norm([a + b for a, b in zip(*two, strict=True)], f"{at}.output") for two in zip(x, narrow, strict=True)]
    return x


def shares_of(tensors, x, at, heads):
    """Attention's probabilities, [head][token that attends][token attended to]."""

    def project(vector, part):
        weight, bias = tensors[f"{at}.attention.self.{part}.weight"], tensors[f"{at}.attention.self.{part}.bias"]
        return [
            math.fsum(float(w) * v for w, v in zip(row, vector, strict=True)) + float(b)
            for row, b in zip(weight, bias, strict=True)
        ]

    q, k = ([project(vector, part) for vector in x] for part in ("query", "key"))
    width = len(q[0]) // heads
    out = []
    for h in range(heads):
        columns = range(h * width, (h + 1) * width)
        table = []
        for asking in q:
            scores = [math.fsum(asking[c] * asked[c] for c in columns) / math.sqrt(width) for asked in k]
            powers = [math.exp(s - max(scores)) for s in scores]
            table.append([p / math.fsum(powers) for p in powers])
        out.append(table)
    return out
