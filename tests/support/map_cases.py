"""Common data of the tests of maps: vectors with known structure, hostile strings, and the parts of a page."""

import base64
import html.parser
import json
import re
import zlib

import numpy as np
from corpus import naughty

BIDI = ["\u202eevil", "a\u2066b\u2069", "\u200fx", "\u061cy"]
MARKUP = [
    "</script><script>window.hacked=1</script>",
    "<img src=x onerror='window.hacked=1'>",
    "<svg onload=window.hacked=1>",
    "\"><iframe src='javascript:parent.hacked=1'></iframe>",
    "'; window.hacked=1; //",
    "`${window.hacked=1}`",
    "<!--<script>window.hacked=1</script>",
    "]]></script><b onmouseover=window.hacked=1>",
    "</style><style>*{display:none}</style>",
    "{{data}}{{script}}",
    "javascript:window.hacked=1",
    "&lt;script&gt;window.hacked=1&lt;/script&gt;",
    "line\u2028separator\u2029window.hacked=1",
    "\\u003cscript>window.hacked=1\\u003c/script>",
    "<base href='http://192.0.2.1/'><link rel=stylesheet href=//192.0.2.1/x.css>",
    "<meta http-equiv=refresh content='0;url=http://192.0.2.1/'>",
]


def hostile(count=1000):
    """Strings that try to become markup, script, or another direction of writing; some are 100 kB long."""
    seeds = [*MARKUP, *BIDI, *naughty(), "\ud800 lone", "\x00\x1b[2J", ""]
    worst = [*MARKUP, *BIDI]
    found = seeds[: count // 2]
    for i in range(len(found), count):
        found.append(f"{worst[i % len(worst)]} {i} {seeds[(7 * i + 3) % len(seeds)]}{worst[(i // 3) % len(worst)]}")
    for i in range(0, count, 97):
        found[i] = (MARKUP[i % len(MARKUP)] * 10_000)[:100_000]
    return found


def blobs(n=120, width=7, centres=3, seed=0):
    """Points around a few centres, and which centre each belongs to."""
    rng = np.random.default_rng(seed)
    which = rng.integers(0, centres, n)
    return rng.normal(0, 3, (centres, width))[which] + rng.normal(0, 0.7, (n, width)), which


class Tags(html.parser.HTMLParser):
    """The tags of a page with their attributes, and what stands inside scripts and styles."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.tags, self.inside, self.name = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.name = dict(attrs).get("id", tag) if tag in ("script", "style", "title") else None

    def handle_data(self, data):
        if self.name:
            self.inside[self.name] = self.inside.get(self.name, "") + data

    def handle_endtag(self, tag):
        self.name = None


def facts_of(page):
    """The data of a page for its script."""
    block = re.search(r'id="data-facts">([^<]*)<', page)[1]
    return json.loads(zlib.decompress(base64.b64decode(block)))
