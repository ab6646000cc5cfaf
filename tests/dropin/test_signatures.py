"""Everything that can be called of sentence-transformers is here, with its parameters, or is refused by name."""

import json
import lzma
from functools import cache

import pytest
from places import GOLDENS_FOLDER
from signature_walk import described, module_of

from minembed.errors import UnsupportedCallError

PACKAGE = "minembed.sentence_transformers"
PRIVATE = {"ORIGINAL_TRANSFORMER_MODELS", "_save_pretrained_wrapper"}  # nothing that scripts call
ANYTHING = [["args", "VAR_POSITIONAL", "required"], ["options", "VAR_KEYWORD", "required"]]


@cache
def read_golden():
    """What `make_signature_goldens.py` found in the reference."""
    return json.loads(lzma.decompress((GOLDENS_FOLDER / "calls" / "signatures.json.xz").read_bytes()))


def golden():
    """By module, by name."""
    return read_golden()["modules"]


NAMES = [(path, name) for path, names in golden().items() for name in names if name not in PRIVATE]


def test_the_version_is_that_of_the_goldens():
    assert module_of(PACKAGE, "").__version__ == read_golden()["version"]


def is_refused(value):
    return type(value).__name__ == "_Refusing"


@pytest.mark.parametrize("path", golden())
def test_every_module_has_every_name(path):
    module = module_of(PACKAGE, path)
    missing = [name for name in golden()[path] if name not in PRIVATE and not hasattr(module, name)]
    assert not missing


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_parameters_are_the_references(path, name):
    """Names, kinds, order and defaults; a method that is refused takes anything, and says so."""
    theirs, value = golden()[path][name], getattr(module_of(PACKAGE, path), name)
    if is_refused(value):
        with pytest.raises(UnsupportedCallError, match=f"{name} is not supported: .{{20,}}"):
            value()
        return
    if not theirs:
        return
    ours = described(value, PACKAGE, path)
    assert ours["parameters"] == theirs["parameters"]
    for member, signature in theirs.get("members", {}).items():
        assert ours["members"].get(member) in (signature, ANYTHING), member


def test_what_is_refused_is_no_more_than_what_is_known():
    """So that a name that works today is not refused tomorrow without a word."""
    refused = {name for path, name in NAMES if is_refused(getattr(module_of(PACKAGE, path), name))}
    working = {name for _, name in NAMES} - refused
    assert {
        "SentenceTransformer",
        "CrossEncoder",
        "InputExample",
        "SimilarityFunction",
        "quantize_embeddings",
    } <= working
    assert {name for name in golden()["evaluation"]} & refused == {"LabelAccuracyEvaluator", "NanoBEIREvaluator"}
    assert {name for name in golden()["cross_encoder.evaluation"]} & refused == {"CrossEncoderNanoBEIREvaluator"}
    searching = {"cos_sim", "semantic_search", "paraphrase_mining", "community_detection", "semantic_search_faiss"}
    assert searching <= working
