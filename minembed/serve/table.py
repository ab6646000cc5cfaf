"""Which handler answers which path and method."""

from minembed.serve.app import Route, Table
from minembed.serve.openai import OpenAI
from minembed.serve.status import Status
from minembed.serve.tei import TEI


def table_of(openai: OpenAI, tei: TEI, status: Status) -> Table:
    """The table of routes."""
    return {
        "/v1/embeddings": {"POST": Route(openai.embeddings)},
        "/v1/models": {"GET": Route(openai.list_models)},
        "/embeddings": {"POST": Route(openai.embeddings)},
        "/embed": {"POST": Route(tei.embed)},
        "/": {"POST": Route(tei.embed)},  # as TEI; GET is for a page
        "/health": {"GET": Route(status.health, is_open=True)},
        "/ready": {"GET": Route(status.ready, is_open=True)},
        "/metrics": {"GET": Route(status.metrics)},
    }
