"""The page at /: who gets it, and what its policy lets happen; tests/browser has it in a browser."""

import re

import pytest
from asgi import ask_one


@pytest.fixture(scope="module")
def locked(serving):
    with serving(api_keys=("secret-of-this-test",)) as parts:
        yield parts


def test_the_page_needs_no_key_and_holds_none(locked):
    reply = ask_one(locked.app, "GET", "/")
    assert reply.status == 200 and reply.headers["content-type"] == "text/html; charset=utf-8"
    assert b"secret-of-this-test" not in reply.body and b"tiny" not in reply.body
    assert ask_one(locked.app, "POST", "/", {"inputs": "a"}).status == 401
    assert ask_one(locked.app, "GET", "/docs").status == 401


def test_the_page_heeds_host_and_origin(locked):
    assert ask_one(locked.app, "GET", "/", headers={"host": "evil.example"}).status == 421
    assert ask_one(locked.app, "GET", "/", headers={"host": None}).status == 421
    assert ask_one(locked.app, "GET", "/", headers={"origin": "http://evil.example"}).status == 403


def test_the_page_is_one_file_that_asks_nobody_else(served):
    reply = ask_one(served.app, "GET", "/")
    page, policy = reply.body.decode(), reply.headers["content-security-policy"]
    rules = dict(rule.partition(" ")[::2] for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["connect-src"] == "'self'" and rules["img-src"] == "data:"
    assert rules["frame-ancestors"] == rules["form-action"] == rules["base-uri"] == "'none'"
    assert re.fullmatch("'sha256-[^ ]+'", rules["script-src"]) and re.fullmatch("'sha256-[^ ]+'", rules["style-src"])
    assert page.count("<script") == page.count("<style") == 1 and " src=" not in page
    assert set(re.findall(r"https?://[^\s'\"`)]+", page)) == {"http://www.w3.org/2000/svg"}
    assert "innerHTML" not in page and "insertAdjacentHTML" not in page and "eval(" not in page
    assert len(page) < 60_000


def test_post_stays_that_of_tei(served):
    assert len(ask_one(served.app, "POST", "/", {"inputs": "the cat"}).json[0]) == 32
    assert ask_one(served.app, "PUT", "/").headers["allow"] == "POST, GET, HEAD"
