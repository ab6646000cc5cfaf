"""The table of routes: a handler for each path and method."""

from collections.abc import Callable

from minembed.serve.app import ONE_MODEL, Handler, Route, Table
from minembed.serve.docs_page import Docs
from minembed.serve.metrics import Meter
from minembed.serve.openai import OpenAI
from minembed.serve.page import Page
from minembed.serve.rerank import Rerank
from minembed.serve.search_route import Search
from minembed.serve.served import Models
from minembed.serve.service import Service
from minembed.serve.settings import Settings
from minembed.serve.status import Status
from minembed.serve.tei import TEI
from minembed.serve.tokens_route import TokenRoutes


def table_of(
    settings: Settings, models: Models, service: Service, meter: Meter, is_stopping: Callable[[], bool]
) -> Table:
    """The table of routes: those of the served models, and those that every server has."""
    own, status = (settings, models, service), Status(meter, is_stopping)
    openai, tei, tokens, rerank, search = OpenAI(*own), TEI(*own), TokenRoutes(*own), Rerank(*own), Search(*own)
    posts: dict[str, Handler] = {}
    if models.embedders:
        posts |= {
            "/v1/embeddings": openai.embeddings,
            "/embeddings": openai.embeddings,
            "/": tei.embed,  # as in TEI; GET is the page
            "/embed": tei.embed,
            "/embed_all": tei.embed_all,
            "/similarity": tei.similarity,
            "/tokenize": tokens.tokenize,
            "/decode": tokens.decode,
        }
    if models.rerankers:
        posts |= {"/rerank": rerank.rerank, "/predict": rerank.predict, "/v1/rerank": rerank.rank}
    if models.indexes:
        posts["/v1/search"] = search.search
    docs = Docs(settings, models)
    gets: dict[str, Handler] = {"/v1/models": openai.list_models, ONE_MODEL: openai.one_model}
    gets |= {"/info": tei.info, "/metrics": status.metrics}
    gets |= {"/openapi.json": docs.openapi, "/docs": docs.page}
    table = {path: {"POST": Route(handler)} for path, handler in posts.items()}
    table |= {path: {"GET": Route(handler)} for path, handler in gets.items()}
    if models.embedders or models.indexes:  # the page is static, and asks for a key if one is needed
        table["/"] = table.get("/", {}) | {"GET": Route(Page().page, needs_key=False)}
    for path, handler in (("/health", status.health), ("/ping", status.health), ("/ready", status.ready)):
        table[path] = {"GET": Route(handler, is_open=path != "/ping")}
    return table
