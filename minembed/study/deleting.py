"""The effect of leaving tokens out: the score of texts without some of their tokens, computed by the model itself.

Tokens are left out of the packed ids, not of the string: those after them move up a place.  Special tokens and those
of a prompt that is not pooled stay.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from minembed.errors import InputError
from minembed.models.batching import plan
from minembed.models.embedder import Embedder
from minembed.models.engine import find_prompt
from minembed.models.options import Options
from minembed.models.reranker import Reranker
from minembed.runtime.threads import run, single_threaded_blas
from minembed.study.explanation import Side
from minembed.study.pieces import pieces_of
from minembed.text.tokenizer import clean
from minembed.transformer.heads import through
from minembed.transformer.tokens import Tokens
from minembed.types import Array

Places = frozenset[int]  # of tokens that are left out
Cut = tuple[Places, Places]  # of the first text, and of the second
NONE: Places = frozenset()
PAIRS = 4096  # that are scored at a time


@dataclass(frozen=True, slots=True)
class Scored:
    """Two texts, and a function for their score without some of their tokens."""

    similarity: str
    a: Side
    b: Side
    may_go: tuple[list[int], list[int]]  # the places of tokens that can be left out
    rows: tuple[list[int], list[int]]  # their indices among the pieces of their side
    scores: Callable[[Sequence[Cut]], Array]  # -> (len(cuts),) float64


def without(tokens: Tokens, cuts: Sequence[Places]) -> Tokens:
    """Copies of one text, one for each set of places that are left out of it.

    >>> text = Tokens(np.array([5, 6, 7]), np.zeros(3, int), np.array([0, 3]))
    >>> without(text, [NONE, frozenset({1})]).ids.tolist()
    [5, 6, 7, 5, 7]
    """
    kept = [[i for i in range(len(tokens.ids)) if i not in cut] for cut in cuts]
    rows = np.array([i for some in kept for i in some], dtype=np.int64)
    bounds = np.concatenate([[0], np.cumsum([len(some) for some in kept])]).astype(np.int64)
    return type(tokens)(tokens.ids[rows], tokens.types[rows], bounds)


def computed(work: Callable[[Tokens], Array], tokens: Tokens, threads: int) -> Array:  # -> (B, .)
    """Compute texts in chunks of similar length on the threads, as `encode` does.

    >>> text = Tokens(np.array([5, 6, 7]), np.zeros(3, int), np.array([0, 1, 3]))
    >>> computed(lambda tokens: tokens.lengths()[:, None], text, 1).tolist()
    [[1], [2]]
    """
    chunks = plan(tokens.lengths(), threads, None)
    found: list[Array] = [np.empty(0)] * len(tokens)

    def quietly(chunk: Array) -> Array:
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            return work(tokens.select(chunk))

    with single_threaded_blas(), closing(run(quietly, chunks, threads)) as results:
        for i, rows in results:
            for text, row in zip(chunks[i].tolist(), rows, strict=True):
                found[text] = row
    return np.stack(found)


def of_embedder(model: Embedder, texts: tuple[str, str], options: tuple[Options, Options]) -> Scored:
    """The similarity of two texts, by the checkpoint's own measure."""
    engine = model.engine
    packed, sides, may_go, works = [], [], [], []
    for i, (text, own) in enumerate(zip(texts, options, strict=True)):
        prompt = find_prompt(engine.checkpoint, own)
        skipped = engine.skipped(prompt)
        packed.append(engine.tokenize([prompt + clean(text, i)], "replace"))
        sides.append(Side(prompt + text, *pieces_of(engine.tokenizer.reference, packed[-1].ids)))
        may_go.append([at for at, special in enumerate(sides[-1].special) if not special and at >= skipped])
        works.append(lambda t, s=skipped, o=own: engine.shaped(engine.embed(t, s), o))

    def scores(cuts: Sequence[Cut]) -> Array:
        ends = []
        for side in (0, 1):
            own = {cut[side]: None for cut in cuts}
            vectors = computed(works[side], without(packed[side], list(own)), engine.threads)
            places = {cut: i for i, cut in enumerate(own)}
            ends.append((vectors, np.array([places[cut[side]] for cut in cuts])))
        (a, of_a), (b, of_b) = ends
        some = (slice(i, i + PAIRS) for i in range(0, len(cuts), PAIRS))
        return np.concatenate([_similar(model, a[of_a[s]], b[of_b[s]]) for s in some])

    return Scored(
        model.checkpoint.similarity_fn_name, sides[0], sides[1], (may_go[0], may_go[1]), (may_go[0], may_go[1]), scores
    )


def _similar(model: Embedder, a: Array, b: Array) -> Array:  # (n, V), (n, V) -> (n,)
    found: Array = model.similarity_pairwise(a.astype(np.float64), b.astype(np.float64))
    return np.asarray(found, np.float64)


def of_reranker(model: Reranker, texts: tuple[str, str]) -> Scored:
    """The logit of a cross-encoder for a pair; raises InputError if it has several labels."""
    if len(model.labels) != 1:
        raise InputError(f"the model scores {len(model.labels)} labels, {', '.join(model.labels)}: there is no score")
    tokens = model.tokenizer.pairs([clean(texts[0], 0)], [clean(texts[1], 1)])
    pieces, special = pieces_of(model.tokenizer.reference, tokens.ids)
    may_go = two_runs(special)
    sides = [
        Side(text, tuple(pieces[i] for i in own), np.zeros(len(own), bool))
        for text, own in zip(texts, may_go, strict=True)
    ]

    def work(some: Tokens) -> Array:
        return through(model.compute.pooled(some, model.model.checkpoint.pooling), model.head)

    def scores(cuts: Sequence[Cut]) -> Array:
        packed = without(tokens, [a | b for a, b in cuts])
        return computed(work, packed, model.threads)[:, 0].astype(np.float64)

    rows = list(range(len(may_go[0]))), list(range(len(may_go[1])))
    return Scored("score", sides[0], sides[1], may_go, rows, scores)


def two_runs(special: Array) -> tuple[list[int], list[int]]:  # (N,)
    """The places of two texts in a pair: those before and after the special tokens in the middle.

    Raises InputError if either has no tokens.

    >>> two_runs(np.array([True, False, False, True, True, False, True]))
    ([1, 2], [5])
    """
    own = np.flatnonzero(~special).tolist()
    gaps = [i for i, (before, after) in enumerate(pairwise(own)) if after - before > 1]
    if not gaps:
        raise InputError("both texts of a pair must have tokens, to be explained")
    return own[: gaps[0] + 1], own[gaps[0] + 1 :]


def deleted(pair: Scored) -> tuple[float, Array, Array, Array]:
    """The score, its loss without each token of a (N,) and of b (M,), and the loss that only both cause (N, M).

    The last is s - s(without i) - s(without j) + s(without both): 0 if the tokens do not interact.  Tokens that stay
    have 0.

    >>> side = Side("x", ("x",), np.zeros(1, bool))
    >>> product = lambda cuts: np.array([(3.0 - 2 * len(a)) * (5.0 - 4 * len(b)) for a, b in cuts])
    >>> [np.asarray(x).tolist() for x in deleted(Scored("dot", side, side, ([0], [0]), ([0], [0]), product))]
    [15.0, [10.0], [12.0], [[8.0]]]
    """
    of_a, of_b = pair.rows
    cuts: list[Cut] = [(NONE, NONE)]
    cuts += [(frozenset({i}), NONE) for i in pair.may_go[0]] + [(NONE, frozenset({j})) for j in pair.may_go[1]]
    cuts += [(frozenset({i}), frozenset({j})) for i in pair.may_go[0] for j in pair.may_go[1]]
    found = pair.scores(cuts)
    n, m = len(of_a), len(of_b)
    whole, less_a, less_b = found[0], found[1 : 1 + n], found[1 + n : 1 + n + m]
    both = found[1 + n + m :].reshape(n, m)
    a, b = np.zeros(len(pair.a.pieces)), np.zeros(len(pair.b.pieces))
    matrix = np.zeros((len(a), len(b)))
    a[of_a], b[of_b] = whole - less_a, whole - less_b
    matrix[np.ix_(of_a, of_b)] = whole - less_a[:, None] - less_b + both
    return float(whole), a, b, matrix
