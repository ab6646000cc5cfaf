"""The page at /, to try the models of this server.  It is one static file, and sends requests only to this server."""

from functools import cached_property, partial

from minembed.runtime.pages import BASE, DOM, fill, part_of, policy
from minembed.serve.request import Answer, Request

SCRIPTS = ("server.js", "calls.js", "heat.js", "compare.js", "search.js", "main.js")
OWN = ("connect-src 'self'", "img-src data:", "frame-ancestors 'none'")  # its icon is a data: URL
HEADERS = {"cache-control": "no-cache", "referrer-policy": "no-referrer", "cross-origin-opener-policy": "same-origin"}
part = partial(part_of, "minembed.serve")


class Page:
    """The handler."""

    @cached_property
    def answer(self) -> Answer:
        """The page, which is the same for everybody."""
        text, told = written()
        return Answer(text.encode(), content_type="text/html; charset=utf-8", headers={**HEADERS, **told})

    async def page(self, request: Request) -> Answer:
        """The page."""
        return self.answer


def written() -> tuple[str, dict[str, str]]:
    """The page, and the header with the content security policy that allows only its own script.

    >>> text, headers = written()
    >>> "<textarea" in text and "script-src 'sha256-" in headers["content-security-policy"]
    True
    """
    style = BASE + part("page.css")
    script = '"use strict";\n' + "\n".join([DOM, *map(part, SCRIPTS)])
    text = fill(part("page.html"), {"style": style, "script": script})
    return text, {"content-security-policy": policy(script, style, *OWN)}
