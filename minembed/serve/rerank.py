"""Cross-encoders: /rerank and /predict of text-embeddings-inference, and /v1/rerank of Cohere and Jina."""

import asyncio
import json
import sys
from typing import Annotated, Any
from uuid import uuid4

import msgspec
import numpy as np
import orjson

from minembed.serve.asking import find, told
from minembed.serve.errors import Refusal
from minembed.serve.inputs import check_count
from minembed.serve.lanes import numbered
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models, ServedReranker
from minembed.serve.service import Service, counted, joined
from minembed.serve.settings import Settings
from minembed.serve.tei import Direction
from minembed.transformer.heads import SCORE_ACTIVATIONS
from minembed.types import Array

MOST_WANTED = 2**31 - 1  # documents
MOST_FLOAT = int(sys.float_info.max)
Some = Annotated[str, msgspec.Meta(min_length=1)]


class RerankRequest(msgspec.Struct):
    """The body of TEI's /rerank."""

    query: Some
    texts: list[str]
    raw_scores: bool = False
    return_text: bool = False
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    model: str | None = None


class PredictRequest(msgspec.Struct):
    """The body of /predict: a text, a pair, or a list of [text] and [text, text]."""

    inputs: str | list[str | list[str]]
    raw_scores: bool = False
    truncate: bool | None = None
    truncation_direction: Direction = "Right"
    model: str | None = None


class RankRequest(msgspec.Struct):
    """The body of /v1/rerank."""

    query: Some
    documents: list[str | dict[str, Any]]
    model: str | None = None
    top_n: Annotated[int, msgspec.Meta(ge=1, le=MOST_WANTED)] | None = None
    return_documents: bool | None = False
    rank_fields: list[str] | None = None
    truncate: bool | None = None


class Rerank:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def rerank(self, request: Request) -> Answer:
        """Texts ranked by their relevance to a query, best first."""
        asked = request.read(RerankRequest)
        check_count(asked.texts, "texts", self.settings.max_items)
        served = _of_one_label(find(self.models.rerankers, asked.model, "reranker or classifier"))
        scores, told_beside = await self._scores(served, asked.query, asked.texts, asked.truncate, request)
        scores = scores if asked.raw_scores else SCORE_ACTIVATIONS["Sigmoid"](scores)
        ranks = [
            {"index": i, "score": float(scores[i])} | ({"text": asked.texts[i]} if asked.return_text else {})
            for i in best_first(scores)
        ]
        return answer_json(ranks, **told_beside)

    async def rank(self, request: Request) -> Answer:
        """The same, with the field names of Cohere and Jina."""
        asked = request.read(RankRequest)
        check_count(asked.documents, "documents", self.settings.max_items)
        if asked.rank_fields not in (None, ["text"]):
            raise Refusal(
                400, '`rank_fields` can be ["text"] alone: join several fields to one text', param="rank_fields"
            )
        texts = as_documents(asked.documents)
        objects = as_objects(asked.documents) if asked.return_documents else None
        served = _of_one_label(find(self.models.rerankers, asked.model, "reranker or classifier"))
        scores, beside = await self._scores(served, asked.query, texts, asked.truncate, request)
        scores = SCORE_ACTIVATIONS["Sigmoid"](scores)
        results = [
            {"index": i, "relevance_score": float(scores[i])} | ({"document": objects[i]} if objects else {})
            for i in best_first(scores)[: asked.top_n]
        ]
        usage = {"prompt_tokens": beside["tokens"], "total_tokens": beside["tokens"]}
        meta = {"api_version": {"version": "1"}, "billed_units": {"search_units": 1}}
        value = {"id": str(uuid4()), "object": "list", "model": served.name, "results": results}
        return answer_json(value | {"usage": usage, "meta": meta}, **beside)

    async def predict(self, request: Request) -> Answer:
        """The labels of texts, or of pairs, with their scores, best first."""
        asked = request.read(PredictRequest)
        items, is_single = as_predicted(asked.inputs)
        check_count(items, "inputs", self.settings.max_items)
        served: ServedReranker = find(self.models.rerankers, asked.model, "reranker or classifier")
        logits, beside = await self._logits(served, items, asked.truncate, request)
        activation = "Sigmoid" if len(served.model.labels) == 1 else "Softmax"
        scores = logits if asked.raw_scores else SCORE_ACTIVATIONS[activation](logits)
        named = [[{"score": float(row[i]), "label": served.model.labels[i]} for i in best_first(row)] for row in scores]
        return answer_json(named[0] if is_single else named, **beside)

    async def _scores(
        self, served: ServedReranker, query: str, texts: list[str], truncate: bool | None, request: Request
    ) -> tuple[Array, dict[str, Any]]:  # -> (N,)
        parts = await self.service.run(served.scores([(query, text) for text in texts], truncate), request)
        return joined(parts)[:, 0], _beside(served, *counted(parts))

    async def _logits(
        self, served: ServedReranker, items: list[tuple[str, ...]], truncate: bool | None, request: Request
    ) -> tuple[Array, dict[str, Any]]:  # -> (N, L)
        """Compute texts and pairs separately, and merge the logits in the original order."""
        alone = [i for i, item in enumerate(items) if len(item) == 1]
        both = [i for i, item in enumerate(items) if len(item) == 2]
        jobs = []
        if alone:
            texts = [items[i][0] for i in alone]
            jobs.append((alone, served.scores_of_texts(texts, truncate, lambda i: numbered(alone[i]))))
        if both:
            pairs = [(items[i][0], items[i][1]) for i in both]
            jobs.append((both, served.scores(pairs, truncate, lambda i: numbered(both[i]))))
        logits, tokens, truncated = np.empty((len(items), len(served.model.labels)), np.float32), 0, 0
        found = await asyncio.gather(*(self.service.run(job, request) for _, job in jobs))
        for (places, _), parts in zip(jobs, found, strict=True):
            logits[places] = joined(parts)
            read, cut = counted(parts)
            tokens, truncated = tokens + read, truncated + cut
        return logits, _beside(served, tokens, truncated)


def _beside(served: ServedReranker, tokens: int, truncated: int) -> dict[str, Any]:
    return {"headers": told(truncated), "tokens": tokens, "model": served.name}


def _of_one_label(served: ServedReranker) -> ServedReranker:
    labels = served.model.labels
    if len(labels) != 1:
        raise Refusal(
            424, f"this model scores {len(labels)} labels, which are classes and no order: /predict", "backend"
        )
    return served


def as_documents(documents: list[Any]) -> list[str]:
    """The texts of documents, which are strings, or objects with a field `text`, as Cohere and Jina allow.

    >>> as_documents(["a", {"text": "b", "page": 7}])
    ['a', 'b']
    """
    for i, one in enumerate(documents):
        if not isinstance(one, str) and not isinstance(one.get("text"), str):
            raise Refusal(400, f"`documents[{i}]` has no string `text`", param="documents")
    return [one if isinstance(one, str) else one["text"] for one in documents]


def as_objects(documents: list[Any]) -> list[orjson.Fragment]:
    """Documents as they are returned, in JSON: with all fields that they had.

    >>> orjson.dumps(as_objects(["a", {"text": "b", "page": 2**100}]))
    b'[{"text": "a"},{"text": "b", "page": 1.2676506002282294e+30}]'
    """
    found = []
    for i, one in enumerate(documents):
        try:
            text = json.dumps({"text": one} if isinstance(one, str) else _short(one), allow_nan=False)
        except ValueError as error:
            message = f"`documents[{i}]` has a number that cannot be returned: it is beyond float64"
            raise Refusal(400, message, param="documents") from error
        found.append(orjson.Fragment(text))
    return found


def _short(value: Any) -> Any:
    """The same, without integers that orjson could not write, or whose digits would be many more than were sent."""
    if isinstance(value, dict):
        return {key: _short(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    whole = isinstance(value, int) and 2**63 < abs(value) <= MOST_FLOAT and int(float(value)) == value
    return float(value) if whole else value


def best_first(scores: Array) -> list[int]:  # (N,)
    """The indices of scores, largest first; ties in their original order.

    >>> best_first(np.float32([0.5, 2.0, 0.5]))
    [1, 0, 2]
    """
    return np.argsort(-scores, kind="stable").tolist()


def as_predicted(inputs: str | list[Any]) -> tuple[list[tuple[str, ...]], bool]:
    """Texts and pairs as tuples of one or two; and whether the input was a single one, not a list.

    >>> as_predicted("a"), as_predicted(["a", "b"]), as_predicted([["a"], ["b", "c"]])
    (([('a',)], True), ([('a', 'b')], True), ([('a',), ('b', 'c')], False))
    """
    if isinstance(inputs, str):
        return [(inputs,)], True
    if inputs and all(isinstance(one, str) for one in inputs):
        if len(inputs) > 2:
            raise Refusal(400, "`inputs` is a list of texts: send [[text], [text], ...]", param="inputs")
        return [tuple(inputs)], True
    if any(isinstance(one, str) or not 1 <= len(one) <= 2 for one in inputs):
        raise Refusal(400, "`inputs` must be a text, a pair, or a list of [text] and [text, text]", param="inputs")
    return [tuple(one) for one in inputs], False
