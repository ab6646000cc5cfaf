"""The tables of docs/models.md are those of the code and the goldens; what was measured is within what tests hold."""

from pathlib import Path

import make_model_table as maker
import pytest
from test_families import COSINE, VECTOR

PAGE = Path(__file__).parent.parent / "docs" / "models.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["families", "proof", "models", "refused"])
def test_the_page_is_what_the_code_says(name, page):
    stated = maker.from_markdown(page, name)
    empty = maker.tables(lambda family: [""] * (len(maker.PROOF) - maker.MEASURED))[name]
    if name == "proof":
        stated = [stated[0], *([*row[: maker.MEASURED], *empty[1][maker.MEASURED :]] for row in stated[1:])]
    assert stated == empty, "write the page anew: make model-table"


def test_what_was_measured_is_within_the_tolerances(page):
    for row in maker.from_markdown(page, "proof")[1:]:
        numpy, numba, bfloat16, int8 = map(float, row[maker.MEASURED :])
        assert max(numpy, numba) <= VECTOR and min(numpy, numba) > 0
        assert COSINE["bfloat16"] <= bfloat16 <= 1 and COSINE["int8"] <= int8 <= 1
