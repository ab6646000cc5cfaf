"""Every call on sentence-transformers' published pages runs here after a change of the import line, and gives what the
reference gives; or it is refused with an error that says what to write, as docs/sentence-transformers.md has it.

What needs torch or another library runs in `make test-sentence-transformers`, beside the reference itself.
"""

import json
import lzma

import make_call_table as maker
import published_calls
import pytest
from places import GOLDENS_FOLDER, ROOT
from published_calls.models import MINILM, Models
from published_calls.running import OURS, Runner, differences, is_there, record

from minembed.errors import MinembedError

COMPUTED = [call for call in published_calls.CALLS if not call.is_refused]
REFUSED = [call for call in published_calls.CALLS if call.is_refused]
TENSORS = [call for call in COMPUTED if "torch" in call.needs and "torch" not in "".join((*call.given, call.code))]
PAGE = (ROOT / "docs" / "sentence-transformers.md").read_text(encoding="utf-8")
WITHOUT_TORCH = pytest.mark.skipif(is_there("torch"), reason="torch is installed")


def marked(calls, imports=True):
    """The calls as parameters: `weights` where the real model is used, `slow` where a library must be imported."""
    for call in calls:
        real = any(MINILM in part for part in (*call.given, call.code))
        marks = [pytest.mark.weights] * real + [pytest.mark.slow] * bool(call.heavy or (imports and call.needs))
        yield pytest.param(call, id=call.name, marks=marks)


def at_hand(calls):
    """The calls whose libraries are here."""
    return list(marked(call for call in calls if all(map(is_there, call.needs))))


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    return Runner(OURS, Models(folder / "models"), folder)


@pytest.fixture(scope="module")
def answers():
    return json.loads(lzma.decompress((GOLDENS_FOLDER / "calls" / "answers.json.xz").read_bytes()))


@pytest.mark.parametrize("call", at_hand(COMPUTED))
def test_a_call_gives_what_the_reference_gives(call, runner, answers):
    found = record(runner.run(call))
    assert not differences(call, answers[call.name], found, tensors=is_there("torch"))


@WITHOUT_TORCH
@pytest.mark.parametrize("call", list(marked(TENSORS, imports=False)))
def test_without_torch_tensors_are_arrays_or_the_error_says_so(call, runner, answers):
    try:
        found = record(runner.run(call))
    except MinembedError as error:
        assert "pip install torch" in str(error)
    else:
        assert not differences(call, answers[call.name], found, tensors=False)


@pytest.mark.parametrize("call", at_hand(REFUSED))
def test_a_call_is_refused_in_the_words_of_the_page(call, runner):
    said = maker.refusal(call, runner) or maker.refusal_of_others(call)
    assert maker.row(call, said) in PAGE, "write the page anew: make call-table"


def test_the_page_has_every_call():
    assert maker.summary() in PAGE, "write the page anew: make call-table"
    for call in COMPUTED:
        assert maker.row(call, maker.verdict(call)) in PAGE, "write the page anew: make call-table"
    assert (
        PAGE.count("\n| ") == len(published_calls.CALLS) + len(published_calls.KINDS) + len(published_calls.PAGES) + 1
    )


def test_nearly_all_calls_about_texts_are_computed():
    texts = [call for call in published_calls.CALLS if call.kind == "text"]
    equal = [call for call in texts if not call.is_refused and call.within == maker.VECTOR]
    assert len(texts) >= 120 and len(equal) >= 0.95 * len(texts)


def test_what_minembed_does_not_do_is_refused():
    """Each of these calls is run by the test of refusals, and none of them computes anything."""
    for kind in ("gpu", "image", "sparse", "multi-vector"):
        calls = [call for call in published_calls.CALLS if call.kind == kind]
        assert len(calls) >= 4 and {call.name for call in calls} <= {call.name for call in REFUSED}, kind


def test_a_model_with_an_adapter_says_what_its_base_is(runner):
    from minembed.sentence_transformers import SentenceTransformer

    model = SentenceTransformer(runner.models.place("tomaarsen/bert-base-uncased-gooaq-peft"))
    assert model.config.hidden_size == 32 and model.tokenizer.cls_token == "[CLS]"
