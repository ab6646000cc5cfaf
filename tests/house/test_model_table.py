"""The tables of docs/models.md are those of the code and the goldens; what was measured is within what tests hold."""

import golden_families as goldens
import make_model_table as maker
import pytest
from places import ROOT
from tiny import write_json

from minembed.errors import UnsupportedModelError
from minembed.weights.families import FAMILIES, read_config
from minembed.weights.sources.known import KNOWN

PAGE = ROOT / "docs" / "models.md"


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
        assert max(numpy, numba) <= goldens.VECTOR and min(numpy, numba) > 0
        assert goldens.COSINE["bfloat16"] <= bfloat16 <= 1 and goldens.COSINE["int8"] <= int8 <= 1


TELLING = {  # what sets apart those whose model_type is that of a family
    "jinaai/jina-embeddings-v3": {"position_embedding_type": "rotary"},
    "nomic-ai/nomic-embed-text-v2-moe": {"moe_every_n_layers": 2, "num_experts": 8},
}


@pytest.mark.parametrize("model", [model for model in KNOWN if not model.computed], ids=lambda model: model.name)
def test_what_is_said_to_be_refused_is(model, tmp_path):
    settings = goldens.config_of(goldens.read(model.family)) if model.family in FAMILIES else {}
    write_json(tmp_path / "config.json", settings | {"model_type": model.family} | TELLING.get(model.name, {}))
    with pytest.raises(UnsupportedModelError) as caught:
        read_config(tmp_path / "config.json")
    assert any(word in str(caught.value) for word in (repr(model.family), *TELLING.get(model.name, {})))


def test_the_quantisations_of_others_are_refused(tmp_path):
    settings = goldens.config_of(goldens.read("bert")) | {"quantization_config": {"quant_method": "gptq", "bits": 4}}
    write_json(tmp_path / "config.json", settings)
    with pytest.raises(UnsupportedModelError, match="quantization_config"):
        read_config(tmp_path / "config.json")
