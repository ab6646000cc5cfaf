"""Why two texts are similar: their score as a sum of contributions of tokens, at several levels."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal, overload

import numpy as np

from minembed.errors import InputError, InputTypeError, UnsupportedModelError
from minembed.models.embedder import Embedder
from minembed.models.options import Options
from minembed.models.reranker import Reranker
from minembed.study import deleting, integrated, rules
from minembed.study.explanation import LEVELS, Bias, Explanation, Level, Side, with_bias
from minembed.study.graph import Graph, score_graph
from minembed.study.on_numpy import on_numpy
from minembed.study.parts import Work, begin, begin_wide, beginnings, side_of, vectors_of_parts
from minembed.study.pieces import pieces_of
from minembed.study.putting_to_test import Test, put_to_test
from minembed.study.step import Step
from minembed.study.traced import Trace
from minembed.study.tracing import trace
from minembed.text.tokenizer import clean
from minembed.transformer.tier import NumPyTier, prepare
from minembed.types import Array

OF_PAIRS: tuple[Level, ...] = ("integrated", "deletion")  # the levels for a cross-encoder
ROUNDED: tuple[Level, ...] = ("output", "deletion")  # the levels for bfloat16 and int8
PRODUCTS = ("cosine", "dot")  # similarities that are sums over pairs of parts
AVERAGE = "(average words)"
FINE = 5e-7  # residual above which parts are computed again in float64: large parts that cancel, as with [CLS] pooling


@overload
def explain(
    model: Embedder | Reranker,
    a: str,
    b: str,
    level: Level = ...,
    *,
    bias: Bias = ...,
    test: bool = ...,
    prompt_names: tuple[str | None, str | None] = ...,
) -> Explanation: ...


@overload
def explain(
    model: Embedder | Reranker,
    a: str,
    b: str,
    level: Literal["all"],
    *,
    bias: Bias = ...,
    test: bool = ...,
    prompt_names: tuple[str | None, str | None] = ...,
) -> dict[Level, Explanation]: ...


def explain(
    model: Embedder | Reranker,
    a: str,
    b: str,
    level: Level | Literal["all"] = "input",
    *,
    bias: Bias = "show",
    test: bool = False,
    prompt_names: tuple[str | None, str | None] = (None, None),
) -> Explanation | dict[Level, Explanation]:
    """Split the score of two texts into contributions of their tokens: an Explanation, or one for each level.

    `level` chooses the question:

    - "output": which last hidden states are similar?  Exact if the model pools by the mean.
    - "input": what does each token's embedding contribute, with attention, norms and activations held constant?
    - "integrated": integrated gradients, on the straight line from average words to these tokens.
    - "deletion": how much lower is the score without a token, and how much of that needs a pair of tokens?  It assumes
      nothing, and its numbers do not add up to the score.
    - "all": every level that the model allows.

    The score is that of `encode` and the checkpoint's own similarity; "output" and "input" support cosine and dot.
    Contributions that come from no token (positions, segments, biases) have rows and columns of their own: `bias` can
    "spread" them evenly over tokens, or "hide" them, and the explanation says so.  `test` compares the contributions
    with the effects of leaving tokens out.  `prompt_names` are the names of the checkpoint's prompts for a and b, such
    as ("query", "document").

    The logit of a Reranker is explained by "integrated", as one column of tokens, and by "deletion", as a table of a
    and b.

    Raises InputError for other values, and for "input" and "integrated" if the model computes in bfloat16 or int8;
    UnsupportedModelError if the model does not allow a level.

    >>> model = Embedder.load("all-MiniLM-L6-v2")  # doctest: +SKIP
    >>> found = explain(model, "A cat sleeps.", "A kitten naps.")  # doctest: +SKIP
    >>> found.residual < 1e-6, found.pairs(1)  # doctest: +SKIP
    """
    if not isinstance(model, Embedder | Reranker):
        raise InputTypeError(f"explain takes an Embedder or a Reranker, not {type(model).__name__}")
    if bias not in ("show", "spread", "hide"):
        raise InputError(f"bias must be 'show', 'spread' or 'hide', not {bias!r}")
    if not isinstance(prompt_names, tuple | list) or len(prompt_names) != 2:
        raise InputError(f"prompt_names must be two, of a and of b, each a name or None; not {prompt_names!r}")
    if level == "all":
        return _all(model, (a, b), bias, test, prompt_names)
    if not isinstance(level, str) or level not in LEVELS:
        raise InputError(f"level must be one of {', '.join(LEVELS)}, all; not {level!r}")
    pair = _scored(model, (a, b), prompt_names)
    seen = model if level == "deletion" else _observed(model)
    return _one(seen, pair, (a, b), level, bias, test, prompt_names)


def _all(
    model: Embedder | Reranker, texts: tuple[str, str], bias: Bias, test: bool, names: tuple[str | None, str | None]
) -> dict[Level, Explanation]:
    pair = _scored(model, texts, names)
    levels = levels_of(model)
    lost, model = deleting.deleted(pair), _observed(model)
    found: dict[Level, Explanation] = {}
    for level in levels:
        try:
            found[level] = _one(model, pair, texts, level, bias, test, names, lost)
        except UnsupportedModelError:
            continue
    return found


def levels_of(model: Embedder | Reranker) -> tuple[Level, ...]:
    """The levels that a model allows: gradients and contributions are computed in float32 only.

    >>> levels_of(Embedder.load("all-MiniLM-L6-v2", dtype="int8"))  # doctest: +SKIP
    ('output', 'deletion')
    """
    levels = OF_PAIRS if isinstance(model, Reranker) else tuple(LEVELS)
    return tuple(level for level in levels if model.dtype == "float32" or level in ROUNDED)


def _observed(model: Embedder | Reranker) -> Embedder | Reranker:
    """The model on the NumPy tier; its weights are read again if they were not kept, once per call."""
    if isinstance(model, Embedder):
        return on_numpy(model)
    if model.compute.reference is not None:
        return replace(model, compute=model.compute.reference)
    from minembed.weights.families import read_params

    checkpoint = model.model.checkpoint
    return replace(model, compute=prepare(read_params(checkpoint), checkpoint.config, model.dtype))


def _scored(
    model: Embedder | Reranker, texts: tuple[str, str], names: tuple[str | None, str | None]
) -> deleting.Scored:
    if isinstance(model, Reranker):
        return deleting.of_reranker(model, texts)
    return deleting.of_embedder(model, texts, (Options(prompt_name=names[0]), Options(prompt_name=names[1])))


Lost = tuple[float, Array, Array, Array]


def _one(
    model: Embedder | Reranker,
    pair: deleting.Scored,
    texts: tuple[str, str],
    level: Level,
    bias: Bias,
    test: bool,
    names: tuple[str | None, str | None],
    lost: Lost | None = None,
) -> Explanation:
    score = float(pair.scores([(deleting.NONE, deleting.NONE)])[0])
    found = _plain(model, pair, texts, level, names, score, lost)
    if test and level != "deletion":
        found = replace(found, test=_tested(found, pair, lost or deleting.deleted(pair)))
    found = with_bias(found, bias)
    found.matrix.flags.writeable = False
    return found


def _plain(
    model: Embedder | Reranker,
    pair: deleting.Scored,
    texts: tuple[str, str],
    level: Level,
    names: tuple[str | None, str | None],
    score: float,
    lost: Lost | None,
) -> Explanation:
    """The contributions, before `bias` is applied."""
    if level == "deletion":
        _, a, b, matrix = lost or deleting.deleted(pair)
        notes = ("each number is the loss that only both tokens together cause: they do not add up to the score",)
        return Explanation(level, pair.similarity, score, pair.a, pair.b, matrix, effects=(a, b), notes=notes)
    if isinstance(model, Reranker):
        return _of_reranker(model, texts, level, score)
    return _of_embedder(model, texts, level, names, score)


def _of_embedder(
    model: Embedder, texts: tuple[str, str], level: Level, names: tuple[str | None, str | None], score: float
) -> Explanation:
    similarity = model.checkpoint.similarity_fn_name
    if similarity not in PRODUCTS:
        raise UnsupportedModelError(
            f"the model compares by {similarity}, which is not a sum over pairs: use level='deletion'"
        )
    if level != "output" and model.dtype != "float32":
        raise InputError(
            f"the model computes in {model.dtype}, whose rounding cannot be split into a sum: for level={level!r} load "
            "it with dtype='float32'"
        )
    traced = tuple(trace(model, text, prompt_name=name) for text, name in zip(texts, names, strict=True))
    ends = [t["vector"].astype(np.float64) for t in traced]
    lengths = [float(np.sqrt((v * v).sum())) if similarity == "cosine" else 1.0 for v in ends]
    scale = 1 / (lengths[0] * lengths[1]) if all(lengths) else 0.0
    if level == "integrated":
        return _integrated(traced[0], traced[1], similarity, score)
    starts = beginnings(traced[0].steps, level)

    def added_up(works: list[Work]) -> Explanation:
        sides = zip(traced, vectors_of_parts(works), strict=True)
        (a, of_a), (b, of_b) = (side_of(t, starts, own) for t, own in sides)
        return Explanation(level, similarity, score, a, b, of_a @ of_b.T * scale, notes=_notes(model, level))

    found = added_up([begin(t.steps, t, starts) for t in traced])
    if level == "input" and found.residual > FINE * max(1.0, abs(score)):
        found = added_up([begin_wide(t.steps, starts) for t in traced])
    return found


def _notes(model: Embedder, level: Level) -> tuple[str, ...]:
    """Notes on the model's pooling."""
    modes = tuple(model.checkpoint.pooling)
    notes = []
    if level == "output" and {"cls", "lasttoken"} & set(modes):
        notes.append(f"pooling {' | '.join(modes)} reads one token: its pair has all of the score; use level='input'")
    if "max" in modes:
        notes.append("pooling max: the token that has the maximum of each column is held constant")
    if level == "output" and model.checkpoint.modules and any("Dense" in str(m) for m in model.checkpoint.modules):
        notes.append("Dense after pooling: the factor of its activation is held constant")
    return tuple(notes)


def _integrated(a: Trace, b: Trace, similarity: str, score: float) -> Explanation:
    """The products of the contributions of each token to the vectors, and of the vectors of average words."""
    ways = tuple(integrated.way_of(_to_compare(t.steps, similarity), t.special) for t in (a, b))
    starts = [way.last(0.0).astype(np.float64)[None] for way in ways]

    def table(steps: int) -> Mapping[str, Array]:
        of_a, of_b = integrated.vectors_of_tokens((ways[0], ways[1]), steps)
        return {"matrix": np.concatenate([of_a, starts[0]]) @ np.concatenate([of_b, starts[1]]).T}

    found, told = integrated.until_close(table, lambda parts: abs(float(parts["matrix"].sum()) - score))
    left, right = (Side(t.text, t.pieces, t.special, (AVERAGE,)) for t in (a, b))
    notes = () if told[-1][1] <= integrated.ENOUGH else (f"residual above {integrated.ENOUGH}: more steps would help",)
    return Explanation("integrated", similarity, score, left, right, found["matrix"], steps=told, notes=notes)


def _to_compare(graph: Graph, similarity: str) -> Graph:
    """The steps to the vector that is compared: for a cosine, one of length 1."""
    if similarity != "cosine":
        return graph
    last = graph["vector"]
    unit = Step("unit", ("vector",), last.axes, last.shape, "x / |x|", rules.Finish(None, True))
    return {**graph, "unit": unit}


def _of_reranker(model: Reranker, texts: tuple[str, str], level: Level, score: float) -> Explanation:
    """The contribution of each token of a pair to its one score."""
    if level not in OF_PAIRS:
        raise UnsupportedModelError(
            f"level {level!r} needs two vectors, and a cross-encoder has none: use {' or '.join(map(repr, OF_PAIRS))}"
        )
    if model.dtype != "float32":
        raise InputError(f"the model computes in {model.dtype}, and rounding has no gradients: load it with 'float32'")
    tokens = model.tokenizer.pairs([clean(texts[0], 0)], [clean(texts[1], 1)])
    pieces, special = pieces_of(model.tokenizer.reference, tokens.ids)
    checkpoint, tier = model.model.checkpoint, model.compute
    assert isinstance(tier, NumPyTier)  # `_observed` made it
    way = integrated.way_of(score_graph(tier, tokens, tuple(checkpoint.pooling), model.head), special)
    start = way.last(0.0).astype(np.float64)

    def column(steps: int) -> Mapping[str, Array]:
        return {"matrix": np.concatenate([integrated.parts_of_score(way, steps), start])[:, None]}

    found, told = integrated.until_close(column, lambda parts: abs(float(parts["matrix"].sum()) - score))
    a = Side(" | ".join(texts), pieces, special, (AVERAGE,))
    b = Side("", ("score",), np.zeros(1, bool))
    notes = ("the score is the logit, before any activation",)
    return Explanation("integrated", "score", score, a, b, found["matrix"], steps=told, notes=notes)


def _tested(found: Explanation, pair: deleting.Scored, lost: Lost) -> Test:
    """Compare contributions with the effects of leaving tokens out, for the tokens that can be left out."""
    _, lost_a, lost_b, both = lost
    of_a, of_b = pair.rows
    gone = lost_a[of_a], lost_b[of_b], both[np.ix_(of_a, of_b)]
    if found.similarity == "score":  # its rows are the tokens of both texts
        column = found.of_tokens()[0]
        return put_to_test(pair, (column[pair.may_go[0]], column[pair.may_go[1]], None), gone)
    a, b = found.of_tokens()
    return put_to_test(pair, (a[of_a], b[of_b], found.tokens[np.ix_(of_a, of_b)]), gone)
