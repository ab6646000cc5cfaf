"""The lessons: pages that their programs have written, two questions each; `make test-study` runs all of them."""

import importlib.util
import re
import sys
from itertools import pairwise

import pytest
from places import ROOT

LEARN = ROOT / "docs" / "learn"
LESSONS = sorted(LEARN.glob("[0-9][0-9]-*.md"))
IN_THE_SUITE = "03-one-head.md"  # the others take seconds


@pytest.fixture(scope="module")
def lessons():
    """docs/learn/build.py; it finds pictures.py beside it."""
    sys.path.insert(0, str(LEARN))
    spec = importlib.util.spec_from_file_location("build_lessons", LEARN / "build.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_lessons"] = module
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(LEARN))


@pytest.mark.weights
def test_a_lesson_says_what_it_computes(lessons, minilm):
    path = LEARN / IN_THE_SUITE
    assert lessons.check(path, lessons.build(path)) == []


SMALL = """# A page

```python
x = 0.5
print("half", x, "~12.5 ms", "3e-08")
```

```text
half 0.5 ~99.9 ms 1e-08
```

It is 0.5.

<!-- answer: within 0.01
x / 2
-->
<details data-answer="0.25" data-within="0.01" markdown="1"><summary>Answer</summary>

**0.25**

Half of it.

</details>

<!-- answer: choice
"b" if x else "a"
-->
<details data-answer="b" markdown="1"><summary>Answer</summary>

**b**

</details>

<!-- picture: small.svg
picture(bars(["x"], [x]))
-->
![a bar](small.svg)
"""


@pytest.fixture
def page(lessons, tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "HERE", tmp_path)

    def wrong(text):
        path = tmp_path / "01-small.md"
        path.write_text(SMALL, encoding="utf-8")
        lessons.write(path, lessons.build(path))
        path.write_text(text, encoding="utf-8")
        return "\n".join(lessons.check(path, lessons.build(path)))

    return wrong


def test_what_stands_is_what_is_computed(page):
    assert page(SMALL) == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("half 0.5", "half 0.7", "half 0.7"),  # an output that is not the program's
        ("1e-08", "2e-05", "2e-05"),  # an error of another order of size
        ("~99.9 ms ", "", "now:"),  # a missing number, even a time
        ('data-answer="0.25"', 'data-answer="0.75"', "0.75"),
        ('data-answer="b"', 'data-answer="a"', 'now:    <details data-answer="b"'),
        ("It is 0.5.", "It is 0.6.", "says 0.6, which its program never prints"),
        ("```text\nhalf 0.5 ~99.9 ms 1e-08\n```\n", "", "lines, now"),
    ],
)
def test_each_kind_of_old_number_is_found(page, old, new, said):
    assert SMALL.count(old) == 1 and said in page(SMALL.replace(old, new))


def test_an_old_picture_is_found(lessons, page, tmp_path):
    assert page(SMALL) == ""
    path = tmp_path / "small.svg"
    path.write_text(path.read_text(encoding="utf-8").replace(">0.50<", ">0.40<"), encoding="utf-8")
    assert "small.svg" in lessons.check(tmp_path / "01-small.md", lessons.build(tmp_path / "01-small.md"))[0]


def test_one_unit_of_the_last_digit_is_rounding(lessons):
    assert lessons.close("0.49", "0.50") and not lessons.close("0.48", "0.50")
    assert lessons.close("−0.49", "-0.49") and not lessons.close("-0.49", "0.49")
    assert not lessons.close("13", "14") and not lessons.close("~13", "13")
    assert lessons.close("3e-05", "2e-04") and not lessons.close("3e-05", "4e-04")
    assert lessons.close("0e+00", "5e-07") and not lessons.close("0e+00", "2e-05")


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_a_page_has_a_picture_and_two_questions(path):
    text = path.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(path.name[:2])}. ")
    assert f"<!-- picture: {path.stem}.svg" in text and f"]({path.stem}.svg)" in text
    assert text.count("<!--") == text.count("-->")  # code that has one in it would end its comment
    answers = re.findall(
        r"<!-- answer: .*?-->\n<details data-answer=\"([^\"]+)\"(?: data-within=\"([\d.]+)\")? ", text, re.S
    )
    assert len(answers) == 2 and text.count("<details") == text.count("</details>") == 2
    for answer, within in answers:
        assert float(answer) is not None if within else re.search(rf"^- {answer}: ", text, re.M)


def test_the_lessons_are_listed_and_lead_to_each_other():
    assert re.findall(r"\]\((\d\d-[\w-]+\.md)\)", (LEARN / "index.md").read_text(encoding="utf-8")) == [
        p.name for p in LESSONS
    ]
    for before, after in pairwise(LESSONS):
        assert f"({after.name})" in before.read_text(encoding="utf-8").split("\n##")[0]
        assert f"({before.name})" in after.read_text(encoding="utf-8").split("\n##")[0]


@pytest.mark.parametrize("path", LESSONS, ids=lambda p: p.stem)
def test_links_of_lessons_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.S)
    for target in re.findall(r"\]\(([^)#\s]+)", text):
        assert target.startswith("https:") or (LEARN / target).exists(), target
