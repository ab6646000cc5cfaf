"""/openapi.json, and /docs: the same as a readable page, which loads nothing else."""

import html
import json
from functools import cached_property
from typing import Any

import orjson

from minembed.serve.openapi import document
from minembed.serve.request import Answer, Request
from minembed.serve.served import Models
from minembed.serve.settings import Settings

HEADERS = {"content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"}
STYLE = (
    ":root{color-scheme:light dark}body{font:16px/1.5 system-ui;max-width:60rem;margin:auto;padding:1rem}"
    "pre{overflow:auto;padding:.5rem;border:1px solid #8888}summary{cursor:pointer}code{font-weight:600}"
)


class Docs:
    """The handlers."""

    def __init__(self, settings: Settings, models: Models) -> None:
        self.settings, self.models = settings, models

    @cached_property
    def value(self) -> dict[str, Any]:
        """The document."""
        return document(self.settings, self.models)

    async def openapi(self, request: Request) -> Answer:
        """The document as JSON."""
        return Answer(orjson.dumps(self.value))

    async def page(self, request: Request) -> Answer:
        """The document as a page."""
        return Answer(page_of(self.value).encode(), content_type="text/html; charset=utf-8", headers=HEADERS)


def page_of(value: dict[str, Any]) -> str:
    """Write a page: a list of routes, each with its parameters and results.

    >>> path = {"get": {"summary": "s", "responses": {}}}
    >>> page_of({"info": {"title": "t"}, "paths": {"/a": path}}).count("<details>")
    1
    """
    parts = []
    for path, methods in value["paths"].items():
        for method, own in methods.items():
            title = f"<code>{method.upper()} {html.escape(path)}</code> {html.escape(own['summary'])}"
            told = f"<p>{html.escape(own['description'])}</p>" if "description" in own else ""
            shown = [("takes", own["requestBody"])] if "requestBody" in own else []
            shown += [("answers", own["responses"])]
            blocks = "".join(
                f"<p>{name}</p><pre>{html.escape(json.dumps(what, indent=1))}</pre>" for name, what in shown
            )
            parts.append(f"<details><summary>{title}</summary>{told}{blocks}</details>")
    title = html.escape(value["info"]["title"])
    head = f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    width = "<meta name=viewport content='width=device-width'>"
    return f"{head}{width}<h1>{title}</h1><p><a href='openapi.json'>openapi.json</a></p>{''.join(parts)}"
