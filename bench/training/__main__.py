"""Train with one program in a fresh process and print what it saw as one line of JSON.

    python bench/training PROGRAM FOLDER THREADS WORKLOAD CSV DROPOUT STEPS

PROGRAM is "minembed", "minembed-numpy" or "sentence_transformers"; WORKLOAD "pairs" (of CSV, as they come) or "equal"
(made, 128 tokens each).  All take the same batches in the same order: 16 scored pairs, CoSENT, AdamW with a learning
rate of 5e-5, gradients clipped to 1.  The first steps are not timed.  STEPS may be "epochs=3:DEV.csv": then the whole
recipe is run, with linear warm-up and decay, and Spearman's correlation on DEV told after every epoch.
"""

import csv
import json
import random
import sys
import time
from pathlib import Path

BATCH, RATE, WARM = 16, 5e-5, 3


def read(path: str) -> list[tuple[str, str, float]]:
    """Scored pairs, scores from 0 to 5 as 0 to 1, shuffled once and for all."""
    with open(path, encoding="utf-8", newline="") as file:  # noqa: PTH123  a path as it was given
        rows = [(a, b, float(score) / 5) for a, b, score in csv.reader(file)]
    random.Random(7).shuffle(rows)
    return rows


def batches(workload: str, path: str, steps: int) -> list[list[tuple[str, str, float]]]:
    """A number of batches."""
    rows = read(path)
    if workload == "equal":
        rows = [(" ".join(["word"] * 126), " ".join(["text"] * 126), i % 6 / 5) for i in range(BATCH * steps)]
    return [rows[i * BATCH : (i + 1) * BATCH] for i in range(steps)]


def minembed(folder: str, threads: int, dropout: float, backend: str = "numba"):
    """A function that takes a batch and a rate, makes a step and returns (loss, tokens); and one that scores pairs."""
    import numpy as np

    from minembed.evaluation.pairs import spearman
    from minembed.search.similarity import pairwise
    from minembed.train.backward.gradients import clip
    from minembed.train.backward.trees import flat
    from minembed.train.dropout import Dropout
    from minembed.train.losses import cosent
    from minembed.train.model import Trainee
    from minembed.train.optim import AdamW
    from minembed.train.step import Method, contrastive_gradients

    trainee, word = Trainee.load(folder), "encoder.embeddings.word"
    optimizer = AdamW(flat(trainee.weights), lazy=frozenset({word}), backend=backend, threads=threads)
    done = [0]

    def step(batch: list, rate: float) -> tuple[float, int]:
        columns = [trainee.tokenizer([row[i] for row in batch]) for i in (0, 1)]
        optimizer.catch_up({word: np.unique(np.concatenate([c.ids for c in columns]))})
        drop = Dropout(dropout, 1).at(done[0]) if dropout else None
        method = Method(threads=threads, dropout=drop, backend=backend)
        found = contrastive_gradients(trainee, columns, np.array([row[2] for row in batch]), cosent, method)
        clip(found.gradients, 1.0)
        optimizer.step(found.gradients, rate)
        done[0] += 1
        return found.loss, found.n_tokens

    def score(rows: list) -> float:
        optimizer.catch_up()
        model = trainee.embedder(backend, threads)
        a, b = (model.encode([row[i] for row in rows]) for i in (0, 1))
        return spearman(pairwise(a, b), [row[2] for row in rows])

    return step, score


def sentence_transformers(folder: str, threads: int, dropout: float):
    """The same with torch."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.losses import CoSENTLoss

    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model = SentenceTransformer(folder, device="cpu")
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    loss_of = CoSENTLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)

    def step(batch: list, rate: float) -> tuple[float, int]:
        features = [model.preprocess([row[i] for row in batch]) for i in (0, 1)]
        tokens = sum(int(f["attention_mask"].sum()) for f in features)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(features, torch.tensor([row[2] for row in batch]))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return float(loss.detach()), tokens

    def score(rows: list) -> float:
        from scipy.stats import spearmanr

        model.eval()
        a, b = (model.encode([row[i] for row in rows], normalize_embeddings=True) for i in (0, 1))
        model.train()
        return float(spearmanr((a * b).sum(axis=1), [row[2] for row in rows])[0])

    return step, score


PROGRAMS = {
    "minembed": minembed,
    "minembed-numpy": lambda *options: minembed(*options, backend="numpy"),
    "sentence_transformers": sentence_transformers,
}


def whole(step, score, path: str, epochs: int, dev: str) -> dict:
    """The whole recipe; the pairs are shuffled anew for every epoch."""
    rows, judged = read(path), read(dev)
    per_epoch = -(-len(rows) // BATCH)
    total, found = epochs * per_epoch, [score(judged)]
    warm = total // 10
    for epoch in range(epochs):
        random.Random(epoch).shuffle(rows)
        for i in range(per_epoch):
            at = epoch * per_epoch + i
            rate = RATE * (at / warm if at < warm else (total - at) / (total - warm))
            step(rows[i * BATCH : (i + 1) * BATCH], rate)
        found.append(score(judged))
    return {"spearman": found}


def main() -> None:
    """Run, and print the line."""
    program, folder, threads, workload, path, dropout, steps = sys.argv[1:]
    step, score = PROGRAMS[program](folder, int(threads), float(dropout))
    if steps.startswith("epochs="):
        epochs, _, dev = steps.removeprefix("epochs=").partition(":")
        found = whole(step, score, path, int(epochs), dev)
    else:
        losses, times, tokens = [], [], []
        for batch in batches(workload, path, int(steps)):
            begun = time.perf_counter()
            loss, n = step(batch, RATE)
            times.append(time.perf_counter() - begun)
            losses.append(loss)
            tokens.append(n)
        found = {"losses": losses, "tokens_per_s": sum(tokens[WARM:]) / sum(times[WARM:]), "tokens": sum(tokens[WARM:])}
    sys.path.append(str(Path(sys.path[0]).parent))
    import memory

    print(json.dumps(found | {"peak_mb": memory.peak_mb()}))


main()
