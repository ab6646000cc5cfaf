"""/v1/search: the rows of an index that are most similar to a query."""

from typing import Annotated

import msgspec

from minembed.search.hits import Hit
from minembed.serve.asking import find, told, vector_options
from minembed.serve.inputs import check_count, check_texts
from minembed.serve.request import Answer, Request, answer_json
from minembed.serve.served import Models
from minembed.serve.service import Service, chained, counted, joined
from minembed.serve.settings import Settings

MOST = 1000  # rows of an answer


class SearchRequest(msgspec.Struct):
    """The body of /v1/search."""

    query: str | list[str]
    index: str | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MOST)] = 10
    truncate: bool | None = None


class Search:
    """The handler."""

    def __init__(self, settings: Settings, models: Models, service: Service) -> None:
        self.settings, self.models, self.service = settings, models, service

    async def search(self, request: Request) -> Answer:
        """Hits, best first: a list for one query, a list of lists for several."""
        asked = request.read(SearchRequest)
        served = find(self.models.indexes, asked.index, "index", "index")
        queries = [asked.query] if isinstance(asked.query, str) else asked.query
        check_count(queries, "query", min(self.settings.max_items, MOST))
        check_texts(queries, "query")
        embedder = served.embedder
        width = served.index.dimension
        options = vector_options(embedder, width if width < embedder.model.dimension else None, None, "query")
        parts = await self.service.run(embedder.vectors(queries, options, asked.truncate), request)
        tokens, truncated = counted(parts)
        found = chained(await self.service.run(served.search(joined(parts), asked.k), request))[0]
        data = [[fields_of(hit) for hit in hits] for hits in found]
        value: dict[str, object] = {"object": "list", "index": served.name, "model": embedder.name}
        value["data"] = data[0] if isinstance(asked.query, str) else data
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return answer_json(value | {"usage": usage}, headers=told(truncated), tokens=tokens, model=embedder.name)


def fields_of(hit: Hit) -> dict[str, object]:
    """A hit as a JSON object.

    >>> fields_of(Hit("a", "one", 0.5, 3))
    {'id': 'a', 'score': 0.5, 'text': 'one', 'fields': None}
    """
    return {"id": hit.id, "score": hit.score, "text": hit.text, "fields": hit.fields}
