"""Every call on sentence-transformers' published pages runs here after a change of the import line, and gives what the
reference gives; or it is refused with an error that says what to write.

What needs torch or another library runs in `make test-sentence-transformers`, beside the reference itself.
"""

import json
import lzma

import published_calls
import pytest
from places import GOLDENS_FOLDER
from published_calls.models import MINILM, Models
from published_calls.running import OURS, Runner, differences, is_there, record

from minembed.errors import MinembedError

COMPUTED = [call for call in published_calls.CALLS if not call.is_refused]
REFUSED = [call for call in published_calls.CALLS if call.is_refused]


def those_at_hand(calls):
    """The calls whose libraries are here; those of the real model carry the mark `weights`."""
    for call in calls:
        if all(map(is_there, call.needs)):
            real = any(MINILM in part for part in (*call.given, call.code))
            yield pytest.param(call, id=call.name, marks=[pytest.mark.weights] if real else [])


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    folder = tmp_path_factory.mktemp("calls")
    return Runner(OURS, Models(folder / "models"), folder)


@pytest.fixture(scope="module")
def answers():
    return json.loads(lzma.decompress((GOLDENS_FOLDER / "calls" / "answers.json.xz").read_bytes()))


@pytest.mark.parametrize("call", list(those_at_hand(COMPUTED)))
def test_a_call_gives_what_the_reference_gives(call, runner, answers):
    found = record(runner.run(call))
    assert not differences(call, answers[call.name], found, tensors=is_there("torch"))


@pytest.mark.parametrize("call", list(those_at_hand(REFUSED)))
def test_a_call_is_refused_with_what_to_write(call, runner):
    with pytest.raises(MinembedError) as refused:
        runner.run(call)
    assert any(word in str(refused.value) for word in ("use ", "load ", "write ", "install", "leave ", "pass "))
