"""The OpenAPI document of a running server: what it serves, within the limits that it has."""

from typing import Any

from minembed.serve import schemas as s
from minembed.serve.search_route import MOST
from minembed.serve.served import Models
from minembed.serve.settings import Settings
from minembed.version import __version__

Schema = dict[str, Any]
TRUNCATE = "Whether a text of too many tokens is cut (true) or an error (false); the server's own setting where absent."
IDS_NOTE = "Lists of token ids are this model's, special ones included, as /tokenize gives them."


def document(settings: Settings, models: Models) -> Schema:
    """The document, version 3.1."""
    paths: Schema = {}
    if models.embedders:
        paths |= _of_embedders(settings, models)
    if models.rerankers:
        paths |= _of_rerankers(settings, models)
    if models.indexes:
        paths |= _of_indexes(settings, models)
    paths |= _always()
    value: Schema = {
        "openapi": "3.1.0",
        "info": {"title": "minembed", "version": __version__, "description": "Text embeddings on CPUs."},
        "paths": paths,
        "components": {"schemas": s.COMPONENTS},
    }
    if settings.api_keys:
        value["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        value["security"] = [{"key": []}]
    return value


def _of_embedders(settings: Settings, models: Models) -> Schema:
    first = next(iter(models.embedders.values())).model
    names, prompts = s.one_of_names(models.embedders), sorted({"query", "document", *first.checkpoint.prompts})
    texts = s.texts(
        settings, ids=settings.accept_token_ids, vocabulary=first.config.vocab_size, limit=first.max_seq_length
    )
    only_texts = s.texts(settings)
    dimensions = s.optional({"type": "integer", "minimum": 1, "maximum": first.dimension})
    prompt_name, truncate = s.optional({"enum": prompts}), s.optional(s.BOOLEAN, TRUNCATE)
    both = {"truncate": truncate, "prompt_name": prompt_name, "model": names}
    tei = {**both, "truncation_direction": {"enum": ["right", "Right"]}}
    openai = s.body(
        {
            "input": texts,
            "model": names,
            "encoding_format": s.optional({"enum": ["float", "base64"]}),
            "dimensions": dimensions,
            "user": s.optional(s.STRING),
            "prompt_name": prompt_name,
            "prompt": s.optional(s.STRING),
            "normalize": s.optional(s.BOOLEAN),
            "truncate": truncate,
        },
        "input",
    )
    embed = s.body({"inputs": texts, **tei, "normalize": s.optional(s.BOOLEAN), "dimensions": dimensions}, "inputs")
    parameters = s.optional(
        s.object_of({name: tei[name] for name in ("truncate", "truncation_direction", "prompt_name")})
    )
    compared = s.object_of(
        {"source_sentence": s.TEXT, "sentences": s.list_of(s.TEXT, settings)}, "source_sentence", "sentences"
    )
    ids = {"type": "integer", "minimum": 0, "maximum": first.config.vocab_size - 1}
    lists = s.any_of(s.list_of(ids, settings), s.list_of({"type": "array", "items": ids}, settings))
    tokens = {"inputs": s.any_of(s.STRING, s.list_of(s.STRING, settings)), "add_special_tokens": s.BOOLEAN}
    vectors = "Vectors of texts"
    return {
        "/v1/embeddings": s.post(vectors, openai, s.EMBEDDINGS, s.OPENAI, IDS_NOTE),
        "/embeddings": s.post(vectors, openai, s.EMBEDDINGS, s.TEI),
        "/embed": s.post(vectors, embed, s.VECTORS, s.TEI, IDS_NOTE),
        "/": s.post(vectors, embed, s.VECTORS, s.TEI),
        "/embed_all": s.post(
            "Hidden states of every token", s.body({"inputs": only_texts, **tei}, "inputs"), s.STATES, s.TEI
        ),
        "/similarity": s.post(
            "Cosines of a text with others",
            s.body({"inputs": compared, "parameters": parameters, "model": names}, "inputs"),
            s.NUMBERS,
            s.TEI,
        ),
        "/tokenize": s.post(
            "Tokens of texts",
            s.body({**tokens, "prompt_name": prompt_name, "model": names}, "inputs"),
            s.TOKENS,
            s.TEI,
        ),
        "/decode": s.post(
            "Texts of token ids",
            s.body({"ids": lists, "skip_special_tokens": s.BOOLEAN, "model": names}, "ids"),
            s.STRINGS,
            s.TEI,
        ),
    }


def _of_rerankers(settings: Settings, models: Models) -> Schema:
    names, truncate = s.one_of_names(models.rerankers), s.optional(s.BOOLEAN, TRUNCATE)
    tei = {"truncate": truncate, "truncation_direction": {"enum": ["right", "Right"]}, "model": names}
    texts, raw = s.list_of(s.STRING, settings), {"raw_scores": s.BOOLEAN}
    pair = {"type": "array", "items": s.STRING, "minItems": 1, "maxItems": 2}
    documents = s.list_of(s.any_of(s.STRING, s.object_of({"text": s.STRING}, "text")), settings)
    rank = {
        "query": s.TEXT,
        "documents": documents,
        "model": names,
        "top_n": s.optional({"type": "integer", "minimum": 1, "maximum": 2**63 - 1}),
        "return_documents": s.optional(s.BOOLEAN),
        "truncate": truncate,
    }
    rerank = {"query": s.TEXT, "texts": texts, **raw, "return_text": s.BOOLEAN, **tei}
    predict = {"inputs": s.any_of(s.STRING, pair, s.list_of(pair, settings)), **raw, **tei}
    return {
        "/rerank": s.post("Texts by how well they answer", s.body(rerank, "query", "texts"), s.RANKS, s.TEI),
        "/predict": s.post("Labels of texts or pairs", s.body(predict, "inputs"), s.PREDICTIONS, s.TEI),
        "/v1/rerank": s.post(
            "Documents by how well they answer", s.body(rank, "query", "documents"), s.RANKED, s.RERANK
        ),
    }


def _of_indexes(settings: Settings, models: Models) -> Schema:
    queries = s.any_of(s.TEXT, s.list_of(s.TEXT, settings, MOST))
    fields = {
        "query": queries,
        "index": s.one_of_names(models.indexes),
        "k": {"type": "integer", "minimum": 1, "maximum": MOST},
        "truncate": s.optional(s.BOOLEAN, TRUNCATE),
    }
    return {"/v1/search": s.post("Rows that are most alike", s.body(fields, "query"), s.FOUND, s.OPENAI)}


def _always() -> Schema:
    return {
        "/v1/models": s.get("The models", s.MODELS, s.OPENAI),
        "/info": s.get("The first model, in TEI's words", s.ANY_OBJECT, s.TEI),
        "/health": s.get("Whether the process answers", s.ANY_OBJECT, s.TEI, is_open=True),
        "/ping": s.get("The same", s.ANY_OBJECT, s.TEI),
        "/ready": s.get("Whether requests are taken", s.ANY_OBJECT, s.TEI, is_open=True),
        "/metrics": s.get("Numbers for Prometheus", None, s.TEI, media="text/plain"),
        "/openapi.json": s.get("This document", s.ANY_OBJECT, s.TEI),
        "/docs": s.get("This document, to be read", None, s.TEI, media="text/html"),
    }
