"""/tokenize and /decode of text-embeddings-inference: from texts to tokens, and back."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import msgspec
import numpy as np
import orjson

from minembed.serve.asking import find_embedder, vector_options
from minembed.serve.errors import Refusal
from minembed.serve.inputs import check_count
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models, prompted
from minembed.serve.service import Service, chained
from minembed.serve.settings import Settings
from minembed.text.tokenizer import clean

SLICE = 10_000  # tokens
MOST_CHARACTERS = 500_000  # per request: each can be a token, and each token some 65 bytes of JSON


class TokenizeRequest(msgspec.Struct):
    """The body of /tokenize."""

    inputs: str | list[str]
    add_special_tokens: bool = True
    prompt_name: str | None = None
    model: str | None = None


class DecodeRequest(msgspec.Struct):
    """The body of /decode."""

    ids: list[int | list[int]]
    skip_special_tokens: bool = True
    model: str | None = None


class TokenRoutes:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def tokenize(self, request: Request) -> Answer:
        """The tokens of texts without truncation; /info has the limit of the model."""
        asked = request.read(TokenizeRequest)
        served = find_embedder(self.models, asked.model)
        texts = [asked.inputs] if isinstance(asked.inputs, str) else asked.inputs
        check_count(texts, "inputs", self.settings.max_items)
        options = vector_options(served, None, None, asked.prompt_name)
        work = _Tokenize(asked.add_special_tokens)
        whole = prompted(served.prompt(options), texts)
        if sum(map(len, whole)) > MOST_CHARACTERS:
            message = f"`inputs` has more than {MOST_CHARACTERS} characters: send several requests"
            raise Refusal(413, message, param="inputs")
        job = served.errand([clean(text, i) for i, text in enumerate(whole)], work)
        written = chained(await self.service.run(job, request))
        return Answer(b"[" + b",".join(written) + b"]", model=served.name)

    async def decode(self, request: Request) -> Answer:
        """Texts from token ids."""
        asked = request.read(DecodeRequest)
        served = find_embedder(self.models, asked.model)
        lists = as_lists(asked.ids)
        check_count(lists, "ids", self.settings.max_items)
        top = served.model.config.vocab_size
        if any(not 0 <= i < top for ids in lists for i in ids):
            raise Refusal(400, f"`ids` must lie from 0 to {top - 1}", param="ids")
        job = served.errand(lists, _Decode(asked.skip_special_tokens))
        return answer_json(chained(await self.service.run(job, request)), model=served.name)


def as_lists(ids: list[Any]) -> list[list[int]]:
    """One list of ids, or several, as a list of lists; raises Refusal for a mixture.

    >>> as_lists([1, 2]), as_lists([[1], [2, 3]])
    ([[1, 2]], [[1], [2, 3]])
    """
    kinds = {type(item) for item in ids}
    if len(kinds) > 1:
        raise Refusal(400, "`ids` mixes ids and lists of them", param="ids")
    return [ids] if kinds == {int} else ids


def byte_offsets(text: str) -> Sequence[int]:
    """Where each character begins in UTF-8, and the end: TEI counts bytes.

    >>> list(byte_offsets("aé中b"))
    [0, 1, 3, 6, 7]
    """
    if text.isascii():
        return range(len(text) + 1)
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    widths = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return [0, *np.cumsum(widths).tolist()]


class _Tokenize:
    def __init__(self, special: bool) -> None:
        self.special = special

    def __call__(self, tokenizer: Any, text: str) -> bytes:
        """A JSON array, written slice by slice: objects of a million tokens would take a gigabyte."""
        found = tokenizer.encode(text, add_special_tokens=self.special)
        columns = zip(found.ids, found.special_tokens_mask, found.offsets, strict=True)
        at = byte_offsets(text)
        written = []
        while some := list(islice(columns, SLICE)):
            tokens = [
                {"id": i, "text": tokenizer.id_to_token(i), "special": True, "start": None, "stop": None}
                if is_special
                else {"id": i, "text": text[start:stop], "special": False, "start": at[start], "stop": at[stop]}
                for i, is_special, (start, stop) in some
            ]
            written.append(orjson.dumps(tokens)[1:-1])
        return b"[" + b",".join(written) + b"]"


class _Decode:
    def __init__(self, skip: bool) -> None:
        self.skip = skip

    def __call__(self, tokenizer: Any, ids: list[int]) -> str:
        return str(tokenizer.decode(ids, skip_special_tokens=self.skip))
