"""Schemas of requests and answers, from which the OpenAPI document is built."""

from collections.abc import Iterable
from typing import Any

from minembed.serve.settings import Settings

Schema = dict[str, Any]
STRING: Schema = {"type": "string"}
TEXT: Schema = {"type": "string", "minLength": 1}
BOOLEAN: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
ANY_OBJECT: Schema = {"type": "object"}
OPENAI, TEI, RERANK = "OpenAIError", "TEIError", "RerankError"  # names of components
REFUSALS = {  # of every POST
    "400": "The request is malformed, or asks for what cannot be",
    "401": "The key is missing or wrong",
    "403": "A page of another server asks",
    "404": "There is no model of that name",
    "411": "The body has no length",
    "413": "The body, or a list in it, is too long",
    "415": "The body is not announced as JSON",
    "421": "This server does not answer for that Host",
    "422": "A value cannot be worked with",
    "424": "The model gives no numbers for that",
    "429": "Too much waits already; Retry-After says when to come again",
    "503": "The server stops",
}
OF_ALL = ("400", "401", "403", "421", "503")


def array(items: Schema) -> Schema:
    """A list.

    >>> array(STRING)
    {'type': 'array', 'items': {'type': 'string'}}
    """
    return {"type": "array", "items": items}


def object_of(fields: Schema, *required: str) -> Schema:
    """An object; other fields are ignored.

    >>> object_of({"a": STRING}, "a")["required"]
    ['a']
    """
    return {"type": "object", "properties": fields, "required": list(required)}


def any_of(*kinds: Schema) -> Schema:
    """One of several.

    >>> any_of(STRING, NUMBER)
    {'anyOf': [{'type': 'string'}, {'type': 'number'}]}
    """
    return {"anyOf": list(kinds)}


def optional(kind: Schema, description: str = "") -> Schema:
    """A value, or null.

    >>> optional(BOOLEAN)
    {'anyOf': [{'type': 'boolean'}, {'type': 'null'}]}
    """
    return any_of(kind, {"type": "null"}) | ({"description": description} if description else {})


def one_of_names(names: Iterable[str]) -> Schema:
    """The name of a served model or index, or null for the first.

    >>> one_of_names(["a"])
    {'anyOf': [{'enum': ['a']}, {'type': 'null'}]}
    """
    return optional({"enum": list(names)})


def list_of(items: Schema, settings: Settings, most: int | None = None) -> Schema:
    """A list of items, within the server's limit.

    >>> list_of(STRING, Settings(models=("m",), max_items=3))["maxItems"]
    3
    """
    return {
        "type": "array",
        "items": items,
        "minItems": 1,
        "maxItems": min(settings.max_items, most or settings.max_items),
    }


def texts(settings: Settings, ids: tuple[Schema, int] | None = None) -> Schema:
    """A text or several; with `ids` (the schema of a token id, and the most per text), also lists of token ids.

    >>> len(texts(Settings(models=("m",)))["anyOf"])
    2
    """
    kinds = [TEXT, list_of(TEXT, settings)]
    if ids is not None:
        own = {"type": "array", "items": ids[0], "minItems": 1, "maxItems": ids[1]}
        kinds += [own, list_of(own, settings)]
    return any_of(*kinds)


def without_prompts(fields: Schema, inputs: str, settings: Settings) -> Schema:
    """A condition on a body: token ids, in the field `inputs`, come without a prompt; none if no ids are accepted.

    >>> without_prompts({}, "input", Settings(models=("m",)))
    {}
    """
    if not settings.accept_token_ids:
        return {}
    no_prompt: Schema = {name: {"type": "null"} for name in ("prompt", "prompt_name") if name in fields}
    return any_of({"properties": {inputs: texts(settings)}}, {"properties": {inputs: fields[inputs], **no_prompt}})


def body(fields: Schema, *required: str, condition: Schema | None = None) -> Schema:
    """The body of a request; `condition` is what its fields fulfil together.

    >>> list(body({"a": STRING}, "a")["content"])
    ['application/json']
    """
    schema = object_of(fields, *required) | (condition or {})
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def answers(result: Schema | None, error: str, statuses: Iterable[str], media: str = "application/json") -> Schema:
    """The possible answers.

    >>> sorted(answers(STRINGS, TEI, ["400"]))
    ['200', '400', 'default']
    """
    content = {media: {"schema": result if result is not None else STRING}}
    refused = {"application/json": {"schema": {"$ref": f"#/components/schemas/{error}"}}}
    found: Schema = {"200": {"description": "The result", "content": content}}
    found |= {status: {"description": REFUSALS[status], "content": refused} for status in statuses}
    return found | {"default": {"description": "Anything else", "content": refused}}


def post(summary: str, request: Schema, result: Schema, error: str, description: str = "") -> Schema:
    """The POST of a path.

    >>> list(post("", body({}), STRINGS, TEI))
    ['post']
    """
    told = {"description": description} if description else {}
    return {"post": {"summary": summary, **told, "requestBody": request, "responses": answers(result, error, REFUSALS)}}


def get(
    summary: str,
    result: Schema | None,
    error: str,
    media: str = "application/json",
    is_open: bool = False,
    more: Iterable[str] = (),
) -> Schema:
    """The GET of a path; `is_open` if it needs no key; `more` statuses that it may answer.

    >>> get("", None, TEI, is_open=True)["get"]["security"]
    []
    """
    own = {"summary": summary, "responses": answers(result, error, [*OF_ALL, *more], media)}
    return {"get": own | ({"security": []} if is_open else {})}


STRINGS, NUMBERS = array(STRING), array(NUMBER)
VECTORS, STATES = array(NUMBERS), array(array(NUMBERS))
USAGE = object_of({"prompt_tokens": INTEGER, "total_tokens": INTEGER}, "prompt_tokens", "total_tokens")
EMBEDDING = object_of(
    {"object": {"const": "embedding"}, "index": INTEGER, "embedding": any_of(NUMBERS, STRING)},
    *("object", "index", "embedding"),
)
EMBEDDINGS = object_of(
    {"object": {"const": "list"}, "data": array(EMBEDDING), "model": STRING, "usage": USAGE},
    *("object", "data", "model", "usage"),
)
MODEL = object_of({"id": STRING, "object": {"const": "model"}, "created": INTEGER, "owned_by": STRING}, "id", "object")
MODELS = object_of({"object": {"const": "list"}, "data": array(MODEL)}, "object", "data")
PLACE = optional(INTEGER)
TOKEN = object_of(
    {"id": INTEGER, "text": STRING, "special": BOOLEAN, "start": PLACE, "stop": PLACE},
    *("id", "text", "special", "start", "stop"),
)
TOKENS = array(array(TOKEN))
RANKS = array(object_of({"index": INTEGER, "score": NUMBER, "text": STRING}, "index", "score"))
PREDICTION = array(object_of({"score": NUMBER, "label": STRING}, "score", "label"))
PREDICTIONS = any_of(PREDICTION, array(PREDICTION))
RESULT = object_of(
    {"index": INTEGER, "relevance_score": NUMBER, "document": object_of({"text": STRING}, "text")},
    *("index", "relevance_score"),
)
RANKED = object_of({"id": STRING, "model": STRING, "results": array(RESULT), "usage": USAGE}, "id", "model", "results")
HIT = object_of(
    {"id": any_of(STRING, INTEGER), "score": NUMBER, "text": optional(STRING), "fields": optional(ANY_OBJECT)},
    *("id", "score", "text", "fields"),
)
FOUND = object_of(
    {"object": {"const": "list"}, "index": STRING, "model": STRING, "data": any_of(array(HIT), array(array(HIT)))},
    *("object", "index", "model", "data"),
)
COMPONENTS: Schema = {
    OPENAI: object_of(
        {
            "error": object_of(
                {"message": STRING, "type": STRING, "param": optional(STRING), "code": optional(STRING)},
                *("message", "type", "param", "code"),
            )
        },
        "error",
    ),
    TEI: object_of({"error": STRING, "error_type": STRING}, "error", "error_type"),
    RERANK: object_of({"message": STRING, "detail": STRING}, "message", "detail"),
}
