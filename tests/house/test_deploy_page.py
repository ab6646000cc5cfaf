"""Dockerfiles of the docs copy only what is there and start programs that exist; the server of the page answers."""

import json
import re
import shlex
from io import BytesIO
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest
from click.testing import CliRunner
from places import ROOT

from minembed.cli import main

PAGES = [ROOT / "docs" / name for name in ("deploy.md", "serve.md")]
SERVED = "serve.py"


def dockerfiles(page):
    """The instructions of each Dockerfile of a page that starts from an image, as (name, rest)."""
    found = re.findall(r"```dockerfile\n(FROM .*?)```", page.read_text(encoding="utf-8"), re.S)
    return [[line.split(maxsplit=1) for line in file.splitlines() if line] for file in found]


def program(page, name):
    """The program of a page that begins with a comment with its name."""
    (found,) = re.findall(rf"```python\n(# {re.escape(name)}\b.*?)```", page.read_text(encoding="utf-8"), re.S)
    return found


def commands(file):
    """The commands of RUN, and that of CMD, as words."""
    for name, rest in file:
        if name == "RUN":
            yield from (shlex.split(command) for command in rest.split("&&"))
        elif name == "CMD":
            yield json.loads(rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_copied_is_made_by_the_page(page):
    (file,) = dockerfiles(page)
    sources = [rest.split()[0] for name, rest in file if name == "COPY"]
    for source in sources:
        assert source.startswith("dist/minembed-") or program(page, source), source
    modules = {word.partition(":")[0] for word in file[-1][1].split('"') if re.fullmatch(r"\w+:\w+", word)}
    assert {f"{module}.py" for module in modules} <= {*sources}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_started_is_installed(page):
    (file,) = dockerfiles(page)
    found = list(commands(file))
    installed = {re.sub(r"\W.*", "", name) for words in found if words[:2] == ["pip", "install"] for name in words}
    assert found[-1][0] in {"minembed"} | installed, found[-1]
    for words in found:
        if words[0] == "minembed":
            assert CliRunner().invoke(main, [words[1], "--help"]).exit_code == 0, words


@pytest.mark.weights
def test_the_server_of_the_page_answers():
    page = PAGES[0]
    (file,) = dockerfiles(page)
    module, name = list(commands(file))[-1][-1].split(":")
    names = {"__name__": module}
    exec(compile(program(page, SERVED), SERVED, "exec"), names)
    environ = {"REQUEST_METHOD": "POST", "QUERY_STRING": "", "CONTENT_LENGTH": "6", "wsgi.input": BytesIO(b"a text")}
    setup_testing_defaults(environ)
    told = []
    answer = validator(names[name])(environ, lambda status, headers, error=None: told.append(status) or print)
    body = b"".join(answer)
    answer.close()
    assert told == ["200 OK"]
    assert json.loads(body) == names["model"].encode("a text").tolist()
