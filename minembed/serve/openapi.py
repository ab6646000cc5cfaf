"""The OpenAPI document of a running server, with its models and limits."""

from typing import Any

from minembed.serve import schemas as s
from minembed.serve.rerank import MOST_WANTED
from minembed.serve.search_route import MOST
from minembed.serve.served import LONGEST_PROMPT, Models
from minembed.serve.settings import Settings
from minembed.version import __version__

Schema = dict[str, Any]
TRUNCATE = "Whether a text of too many tokens is cut (true) or an error (false); the server's own setting where absent."
IDS_NOTE = "Lists of token ids are this model's, special ones included, as /tokenize gives them, and without a prompt."


def document(settings: Settings, models: Models) -> Schema:
    """The document, version 3.1."""
    paths: Schema = {}
    if models.embedders:
        paths |= _of_embedders(settings, models)
    if models.rerankers:
        paths |= _of_rerankers(settings, models)
    if models.indexes:
        paths |= _of_indexes(settings, models)
    paths |= _always(models)
    if models.embedders or models.indexes:
        page = s.get("A page to try it", None, s.TEI, media="text/html", is_open=True)
        paths["/"] = paths.get("/", {}) | page
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


class _Fields:
    """Fields that several bodies have."""

    def __init__(self, settings: Settings, models: Models) -> None:
        model = next(iter(models.embedders.values())).model
        self.ids = {"type": "integer", "minimum": 0, "maximum": model.config.vocab_size - 1}
        own_ids = (self.ids, model.max_seq_length) if settings.accept_token_ids else None
        self.texts, self.only_texts = s.texts(settings, own_ids), s.texts(settings)
        self.model = s.one_of_names(models.embedders)
        self.truncate = s.optional(s.BOOLEAN, TRUNCATE)
        self.prompt_name = s.optional({"enum": sorted({"query", "document", *model.checkpoint.prompts})})
        self.dimensions = s.optional({"type": "integer", "minimum": 1, "maximum": model.dimension})
        self.normalize = s.optional(s.BOOLEAN)
        self.direction = {"enum": ["right", "Right"]}
        self.how = {
            "truncate": self.truncate,
            "truncation_direction": self.direction,
            "prompt_name": self.prompt_name,
        }


def _of_embedders(settings: Settings, models: Models) -> Schema:
    f = _Fields(settings, models)
    prompt = s.optional({**s.STRING, "maxLength": LONGEST_PROMPT})
    of_ours = {"prompt_name": f.prompt_name, "prompt": prompt, "normalize": f.normalize}
    wanted = {
        "input": f.texts,
        "model": f.model,
        "encoding_format": s.optional({"enum": ["float", "base64"]}),
        "dimensions": f.dimensions,
        "user": s.optional(s.STRING),
        "truncate": f.truncate,
        **of_ours,
    }
    openai = s.body(wanted, "input", condition=s.without_prompts(wanted, "input", settings))
    both = {**f.how, "model": f.model}
    wanted = {"inputs": f.texts, "normalize": f.normalize, "dimensions": f.dimensions, **both}
    embed = s.body(wanted, "inputs", condition=s.without_prompts(wanted, "inputs", settings))
    embed_all = s.body({"inputs": f.only_texts, **both}, "inputs")
    fields = {"source_sentence": s.TEXT, "sentences": s.list_of(s.TEXT, settings)}
    compared, parameters = s.object_of(fields, *fields), s.optional(s.object_of(f.how))
    similarity = s.body({"inputs": compared, "parameters": parameters, "model": f.model}, "inputs")
    return {
        "/v1/embeddings": s.post("Vectors of texts", openai, s.EMBEDDINGS, s.OPENAI, IDS_NOTE),
        "/embeddings": s.post("The same", openai, s.EMBEDDINGS, s.TEI),
        "/embed": s.post("Vectors of texts", embed, s.VECTORS, s.TEI, IDS_NOTE),
        "/": s.post("The same", embed, s.VECTORS, s.TEI),
        "/embed_all": s.post("Hidden states of every token", embed_all, s.STATES, s.TEI),
        "/similarity": s.post("Cosines of a text with others", similarity, s.NUMBERS, s.TEI),
        **_of_tokenizers(settings, f),
    }


def _of_tokenizers(settings: Settings, f: _Fields) -> Schema:
    one = {"type": "array", "items": f.ids, "minItems": 1}
    lists = s.any_of(one, s.list_of({"type": "array", "items": f.ids}, settings))
    inputs = s.any_of(s.STRING, s.list_of(s.STRING, settings))
    tokenize = {"inputs": inputs, "add_special_tokens": s.BOOLEAN, "prompt_name": f.prompt_name, "model": f.model}
    decode = {"ids": lists, "skip_special_tokens": s.BOOLEAN, "model": f.model}
    return {
        "/tokenize": s.post("Tokens of texts", s.body(tokenize, "inputs"), s.TOKENS, s.TEI),
        "/decode": s.post("Texts of token ids", s.body(decode, "ids"), s.STRINGS, s.TEI),
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
        "top_n": s.optional({"type": "integer", "minimum": 1, "maximum": MOST_WANTED}),
        "return_documents": s.optional(s.BOOLEAN),
        "rank_fields": s.optional({"const": ["text"]}),
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


def _of_one_model(models: Models) -> Schema:
    path = s.get("One of the models", s.ANY_OBJECT, s.OPENAI, more=("404",))
    known = {"enum": [*models.embedders, *models.rerankers]} if models.embedders or models.rerankers else s.STRING
    path["get"]["parameters"] = [{"name": "model", "in": "path", "required": True, "schema": known}]
    return path


def _always(models: Models) -> Schema:
    return {
        "/v1/models": s.get("The models", s.MODELS, s.OPENAI),
        "/v1/models/{model}": _of_one_model(models),
        "/info": s.get("The first model, in TEI's words", s.ANY_OBJECT, s.TEI),
        "/health": s.get("Whether the process answers", s.ANY_OBJECT, s.TEI, is_open=True),
        "/ping": s.get("The same", s.ANY_OBJECT, s.TEI),
        "/ready": s.get("Whether requests are taken", s.ANY_OBJECT, s.TEI, is_open=True),
        "/metrics": s.get("Numbers for Prometheus", None, s.TEI, media="text/plain"),
        "/openapi.json": s.get("This document", s.ANY_OBJECT, s.TEI),
        "/docs": s.get("This document, to be read", None, s.TEI, media="text/html"),
    }
