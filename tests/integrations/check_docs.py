"""Every program of docs/integrations.md, each section one of its own: run by `make test-integrations`."""

import re
from importlib.util import find_spec

import golden_heads
import pytest
from docstrings import docstrings
from places import ROOT

SECTIONS = {  # and what each needs
    "LangChain": "langchain_core",
    "LlamaIndex": "llama_index",
    "Haystack": "haystack",
    "Chroma": "chromadb",
    "scikit-learn": "sklearn",
    "BERTopic": "bertopic",
    "KeyBERT": "keybert",
    "MTEB": "mteb",
    "txtai": "txtai",
}
MOST_LINES = 11  # of code, imports too
RERANKER = (
    "cross-encoder/ms-marco-MiniLM-L6-v2"  # where the network is out of reach a folder of that name, with other weights
)


def programs():
    """The Python of the page by its headings."""
    page = (ROOT / "docs" / "integrations.md").read_text(encoding="utf-8")
    found = {}
    for heading, text in re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", page, re.S | re.M):
        if code := "\n".join(re.findall(r"```python\n(.*?)```", text, re.S)):
            found[heading] = code
    return found


def test_every_program_is_known():
    assert programs().keys() == SECTIONS.keys()


@pytest.mark.parametrize("section", SECTIONS)
def test_programs_run(section, tmp_path, monkeypatch):
    if not find_spec(SECTIONS[section]):
        pytest.skip(f"{SECTIONS[section]} is in the other environment")
    folder = tmp_path / RERANKER
    folder.mkdir(parents=True)
    golden_heads.write_checkpoint("bert", "classifier", folder)
    (tmp_path / "notes.txt").write_text("\n".join(docstrings(500)))
    monkeypatch.chdir(tmp_path)
    code = programs()[section]
    assert len([line for line in code.splitlines() if line.strip()]) <= MOST_LINES
    exec(compile(code, f"docs/integrations.md, {section}", "exec"), {"__name__": "__main__"})
