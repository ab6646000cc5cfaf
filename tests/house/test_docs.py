"""Every snippet of the docs runs, every doctest too; links lead somewhere, and commands of the guide exist."""

import doctest
import re

import pytest
from click.testing import CliRunner
from modules_of_package import MODULES
from places import ROOT

from minembed.cli import main


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name):
    assert doctest.testmod(MODULES[name]).failed == 0


def snippets(path):
    """The Python of a page, in order: each page is one program."""
    return "\n".join(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.S))


PAGES = [ROOT / name for name in ("README.md", "PACKAGE.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
PAGES += sorted((ROOT / "docs" / "stores").glob("*.md"))
ELSEWHERE = ("integrations.md", "serve.md")  # make test-integrations, and tests/serve, where a server is


def is_run_here(page):
    """Pages on stores need other packages, too, and 20,000 passages: make test-stores runs them."""
    return snippets(page) and page.name not in ELSEWHERE and page.parent.name != "stores"


@pytest.mark.weights
@pytest.mark.parametrize("page", [p for p in PAGES if is_run_here(p)], ids=lambda p: p.name)
def test_snippets_run(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(compile(snippets(page), str(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("http://", "https://")):
            file, _, anchor = target.partition("#")
            linked = (page.parent / file) if file else page
            assert linked.exists(), f"{page.name} links to {target}"
            if anchor:
                headings = re.findall(r"^#+ (.*)$", linked.read_text(encoding="utf-8"), re.M)
                slugs = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
                assert anchor in slugs, f"{page.name} links to {target}"


COMMANDS = ("demo", "embed", "similarity", "search", "index", "dedupe", "map", "rerank")
COMMANDS += ("train", "evaluate", "models", "pull", "info", "explain", "study", "doctor")


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_of_the_guide_exist(command):
    assert f"minembed {command}" in (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    assert CliRunner().invoke(main, [command, "--help"]).exit_code == 0


def test_no_absolute_paths_of_a_machine():
    pattern = re.compile(r"(^|[^.A-Za-z/])/(tmp|work|root|home)/[A-Za-z]", re.M)
    for folder in ("minembed", "weights", "kernels", "docs", "bench"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", ".json", ".svg", ".toml") and ".work" not in path.parts:
                assert not pattern.search(path.read_text(encoding="utf-8")), path
